"""Code that a name in a file may reach: a table of ours, or packages that the user trusts by name.

A card or a recipe is data, and may come from a stranger. It names what ships with approxbit by a key of a
table, and the user's own by an import path, `my_package.models:make`. Such a path is followed only into
packages that the user has named: `--trust my_package` on the command line, `approxbit.trust("my_package")` in
Python. PyTorch keeps a list of the same kind in `torch.serialization.add_safe_globals`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any, Mapping, TypeVar

from approxbit.errors import UntrustedError

ENVIRONMENT_VARIABLE = "APPROXBIT_TRUST"
"""Where the trusted packages are kept, with commas between them, so that child processes inherit them."""

_NAME = r"[^\W\d]\w*"
_PACKAGE = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_IMPORT_PATH = re.compile(rf"({_NAME}(?:\.{_NAME})*):({_NAME})")

Known = TypeVar("Known")


def trust(*packages: str) -> None:
    """From now on, names in cards may reach into these packages, here and in child processes.

    Args:
        *packages: Such as `my_package`, with all modules in it, or a single module, `my_package.models`. The
            modules of the current folder can be named too.

    Raises:
        ValueError: One of them is no name of a package.
    """
    for package in packages:
        if _PACKAGE.fullmatch(package) is None:
            raise ValueError(f"expected a package to trust, such as my_package, found {package!r}")
    os.environ[ENVIRONMENT_VARIABLE] = ",".join(dict.fromkeys([*trusted_packages(), *packages]))


def trusted_packages() -> list[str]:
    """The packages that the user trusts, in the order in which they were named."""
    return [name for name in os.environ.get(ENVIRONMENT_VARIABLE, "").split(",") if name]


def trust_package_of(name: str) -> None:
    """Trust the package of an import path that the user himself wrote; of any other name, nothing.

    For recipes, command lines and arguments of functions. What a card says never comes here.
    """
    if package := package_of(name):
        trust(package)


def package_of(name: str) -> str:
    """The package that an import path leads into; empty for any other name.

    Example:
        >>> package_of("my_package.models:make"), package_of("mvitv2_b")
        ('my_package', '')
    """
    return name.partition(":")[0].partition(".")[0] if is_import_path(name) else ""


def is_import_path(name: str) -> bool:
    """Whether a name has the form `package.module:attribute`.

    Example:
        >>> is_import_path("my_package.models:make"), is_import_path("mvitv2_b")
        (True, False)
    """
    return _IMPORT_PATH.fullmatch(name) is not None


def find_named(name: str, known: Mapping[str, Known], what: str) -> Known | Any:
    """The value of a table, or the function or class that a trusted package defines.

    The first use of an import path makes the current folder importable, ahead of what is installed, as it is
    for `python -m`.

    Args:
        name: Key of `known`, or an import path.
        known: The table.
        what: What one of its values is, for messages, such as `builder`.

    Raises:
        UntrustedError: The package of the path is not trusted; the message says how to trust it.
        ValueError: It is neither, its module cannot be imported, or what it names is not there, cannot be
            called, or is something that the module has from elsewhere.
    """
    if name in known:
        return known[name]
    match = _IMPORT_PATH.fullmatch(name)
    if match is None:
        raise ValueError(
            f"expected one of the {what}s {', '.join(sorted(known))}, or an import path of your own, such as "
            f"my_package.module:make, found {name!r}"
        )
    module, attribute = match.groups()
    if not _is_trusted(module):
        package = package_of(name)
        raise UntrustedError(
            f"{name!r} is code of the package {package}, which is not trusted: where you know who wrote it, "
            f'allow it by --trust {package}, or by approxbit.trust("{package}")'
        )
    return _find_attribute(name, _import(name, module), attribute)


def _is_trusted(module: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in trusted_packages())


def _import(name: str, module: str) -> Any:
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ValueError(
            f"{name!r}: {module} cannot be imported: {type(error).__name__}: {error}; it must lie in "
            f"{folder}, in a folder of PYTHONPATH or among the installed packages"
        ) from error


def _find_attribute(name: str, module: Any, attribute: str) -> Any:
    """A trusted module also holds what it imports, such as `os.system`: that is not its own."""
    found = getattr(module, attribute, None)
    if found is None or not callable(found):
        is_there = f"a {type(found).__name__}" if hasattr(module, attribute) else "nothing of that name"
        raise ValueError(f"{name!r}: expected a function or class in {module.__name__}, found {is_there}")
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or not _is_trusted(home):
        raise UntrustedError(
            f"{name!r}: expected a function or class that a trusted package defines, found one of {home}: "
            f"define a function in {module.__name__} that calls it"
        )
    return found
