"""Names that lead to code: only into packages that the user has named."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import approxbit
from approxbit.errors import UntrustedError
from approxbit.trust import find_named, trust, trust_package_of, trusted_packages

KNOWN = {"small": 1}
MODULE = """
from os import system
from functools import partial

NUMBER = 3
NOTHING = None
halve = partial(divmod, 2)

def make(side=4):
    return side

class Model:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a package in it that nobody trusts yet."""
    (tmp_path / "own_trees").mkdir()
    (tmp_path / "own_trees" / "__init__.py").write_text("")
    (tmp_path / "own_trees" / "models.py").write_text(MODULE)
    (tmp_path / "own_trees" / "broken.py").write_text("raise SystemExit('this is a script')")
    (tmp_path / "own_trees_of_others.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("APPROXBIT_TRUST", "")
    yield tmp_path
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.startswith("own_trees")]:
        del sys.modules[name]


def test_a_name_is_a_key_or_a_path_into_a_trusted_package_of_the_current_folder(folder: Path) -> None:
    assert find_named("small", KNOWN, "builder") == 1
    trust("own_trees")
    assert find_named("own_trees.models:make", KNOWN, "builder")(side=5) == 5
    assert find_named("own_trees.models:Model", KNOWN, "builder").__name__ == "Model"


def test_an_untrusted_package_is_never_imported(folder: Path) -> None:
    trust("own_trees.models", "own")
    for name in ("own_trees_of_others:make", "own_trees:make", "own_trees.models2:make"):
        with pytest.raises(UntrustedError, match=r'--trust own_trees.*approxbit.trust\("own_trees'):
            find_named(name, KNOWN, "builder")
    assert not any(name.startswith("own_trees") for name in sys.modules)


def test_what_a_trusted_module_has_from_elsewhere_is_not_its_own(folder: Path) -> None:
    trust("own_trees")
    for attribute, home in (("system", "posix"), ("halve", "functools"), ("partial", "functools")):
        with pytest.raises(UntrustedError, match=f"that a trusted package defines, found one of {home}"):
            find_named(f"own_trees.models:{attribute}", KNOWN, "builder")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", r"one of the builders small, or an import path .* my_package.module:make, found 'smal'"),
        ("own_trees.models:a.b", "or an import path"),
        ("own_trees..models:make", "or an import path"),
        ("own_trees.models:nothing", "found nothing of that name"),
        ("own_trees.models:NUMBER", "expected a function or class in own_trees.models, found a int"),
        ("own_trees.models:NOTHING", "found a NoneType"),
        ("own_trees.broken:make", "cannot be imported: SystemExit: this is a script; it must lie in"),
        ("own_trees.absent:make", "cannot be imported: ModuleNotFoundError: No module named"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_was_expected(folder: Path, name: str, message: str) -> None:
    trust("own_trees")
    with pytest.raises(ValueError, match=message):
        find_named(name, KNOWN, "builder")


def test_whoever_writes_an_import_path_himself_trusts_its_package(folder: Path) -> None:
    trust_package_of("own_trees.models:make")
    trust_package_of("mvitv2_b")
    trust_package_of("own_trees:make")
    assert trusted_packages() == ["own_trees"]


def test_only_names_of_packages_can_be_trusted() -> None:
    for name in ("", "my-package", "a,b", "a:b", ".a", "a."):
        with pytest.raises(ValueError, match="expected a package to trust"):
            trust(name)


def test_a_child_process_trusts_what_its_parent_does(folder: Path) -> None:
    approxbit.trust("own_trees")
    child = "from approxbit.trust import find_named; print(find_named('own_trees.models:make', {}, '')())"
    ran = subprocess.run([sys.executable, "-P", "-c", child], capture_output=True, text=True, check=True)
    assert ran.stdout == "4\n"
