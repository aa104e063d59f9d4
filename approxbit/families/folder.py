"""Where checkpoints and what is made of them lie, and what they are called.

    <checkpoints>/<family>/backbone.safetensors         backbone.json
    <checkpoints>/<family>/<configuration>.safetensors  <configuration>.json
    <checkpoints>/<family>/lut.json

The card of a nested codec names the numbers of first bits that decode by themselves; each of them is a
configuration too, and has no files of its own. A family may hold codecs only; their cards then name the
family that has their backbone.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Sequence

from approxbit.configuration import Configuration
from approxbit.errors import WeightsError
from approxbit.files import PathLike, load_json

BACKBONE = "backbone"
LUT_FILE = "lut.json"
ENVIRONMENT_VARIABLE = "APPROXBIT_CHECKPOINTS"
_FAMILY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PACKAGE = Path(__file__).resolve().parents[1]


def find_checkpoints(checkpoints: PathLike | None = None, family: str = "") -> Path:
    """The folder of all families, or the one that has a family.

    Args:
        checkpoints: The folder; by default the environment variable APPROXBIT_CHECKPOINTS. Where neither says
            it, families are looked for in `checkpoints` in the current folder, where that holds one, and then
            among those that ship: with the package, or at the top of the repository.
        family: What is looked for; if no folder has it, the first folder is given.

    Raises:
        ValueError: There is no such folder.
    """
    folders = _list_folders(checkpoints)
    is_name = _FAMILY.fullmatch(family) is not None
    return next((each for each in folders if is_name and (each / family).is_dir()), folders[0])


def _list_folders(checkpoints: PathLike | None) -> list[Path]:
    """All folders of families, the user's own before what ships."""
    named = checkpoints or os.environ.get(ENVIRONMENT_VARIABLE)
    own = Path.cwd() / "checkpoints"
    shipped = [_PACKAGE / "_checkpoints", _PACKAGE.parent / "checkpoints"]
    candidates = [Path(named)] if named else shipped
    found = [each for each in candidates if each.is_dir()][:1]
    if not named and own not in found and any(own.glob("*/*.safetensors")):
        found.insert(0, own)
    if not found:
        raise ValueError(
            f"expected a folder of checkpoints at {' or '.join(map(str, candidates))}: "
            f"pass checkpoints=... or set {ENVIRONMENT_VARIABLE}"
        )
    return found


def own_checkpoints(checkpoints: PathLike | None = None) -> Path:
    """Where a new family is written: the given folder, else $APPROXBIT_CHECKPOINTS, else `checkpoints` here.

    It is perhaps not there. `find_checkpoints` finds it as soon as it holds a family.
    """
    return Path(checkpoints or os.environ.get(ENVIRONMENT_VARIABLE) or "checkpoints")


def find_cache(cache: PathLike | None = None) -> Path:
    """The folder of what can be made again; by default `$APPROXBIT_CACHE`, else `~/.cache/approxbit`.

    It is perhaps not there.
    """
    return Path(cache or os.environ.get("APPROXBIT_CACHE") or Path.home() / ".cache" / "approxbit")


def available(checkpoints: PathLike | None = None) -> tuple[str, ...]:
    """Names that `load` takes, in the order of their families and configurations.

    Raises:
        ValueError: There is no folder of checkpoints.
    """
    return tuple(
        f"{family}/{configuration}"
        for family in list_families(checkpoints)
        for configuration in list_configurations(find_checkpoints(checkpoints, family) / family)
    )


def list_families(checkpoints: PathLike | None = None) -> list[str]:
    """Names of all families, whatever their folders hold.

    Raises:
        ValueError: There is no folder of checkpoints.
    """
    found = (each for folder in _list_folders(checkpoints) for each in folder.iterdir())
    return sorted({each.name for each in found if each.is_dir() and _FAMILY.fullmatch(each.name)})


def list_configurations(folder: Path) -> list[Configuration]:
    """Configurations of a family's folder, nested ones too; files of other names are not the zoo's."""
    return sorted(find_configurations(folder))


def find_configurations(folder: Path) -> dict[Configuration, Path]:
    """Each configuration of a family's folder, and the card of the codec that holds it."""
    own: dict[Configuration, Path] = {}
    nested: dict[Configuration, Path] = {}
    for path in sorted(folder.glob("*.json")):
        with suppress(ValueError):
            own[Configuration.parse(path.stem)] = path
    for configuration, path in own.items():
        for size in _nested_sizes(path, configuration.codebook_size):
            nested.setdefault(replace(configuration, codebook_size=size), path)
    return {**nested, **own}


def _nested_sizes(card: Path, codebook_size: int) -> list[int]:
    """What a card says of nested codes; nothing, where it cannot be read: `load_card` says why."""
    try:
        sizes = load_json(card, Dict[str, Any], WeightsError)["arguments"]["nested_sizes"]
    except (WeightsError, LookupError, TypeError):
        return []
    if not isinstance(sizes, list):
        return []
    return [size for size in sizes if type(size) is int and 0 < size < codebook_size]


def locate_family(root: Path, family: str) -> Path:
    """The folder of a family. A name that is not in the listing of `root` never becomes a path.

    Raises:
        ValueError: There is no such family.
    """
    return root / _choose(root, "families", list_families(root), family)


def locate_codec(root: Path, name: str) -> Path:
    """The card of a codec, or of the codec that it is nested in.

    Raises:
        ValueError: There is no such codec.
    """
    family, _, configuration = name.partition("/") if isinstance(name, str) else ("", "", "")
    if family in list_families(root):
        for found, path in find_configurations(root / family).items():
            if str(found) == configuration:
                return path
    raise _not_among(root, "models", available(root), name)


def locate_backbone(root: Path, family: str) -> Path:
    """The card of a backbone.

    Raises:
        ValueError: There is no such family, or it has no backbone.
    """
    return _locate_in_family(root, "backbones", family, f"{BACKBONE}.json")


def locate_lut(root: Path, family: str) -> Path:
    """The LUT of a family.

    Raises:
        ValueError: There is no such family, or it has no LUT.
    """
    return _locate_in_family(root, "LUTs", family, LUT_FILE)


def check_family(family: str) -> str:
    """A new family's name, as it is.

    Raises:
        ValueError: `family` holds anything but letters, digits, '-' and '_'.
    """
    if _FAMILY.fullmatch(family) is None:
        raise ValueError(
            f"expected a family of letters, digits, '-' and '_', such as 'digits-movinet', found {family!r}"
        )
    return family


def _locate_in_family(root: Path, what: str, family: str, file_name: str) -> Path:
    families = [each for each in list_families(root) if (root / each / file_name).is_file()]
    return root / _choose(root, what, families, family) / file_name


def _choose(root: Path, what: str, names: Sequence[str], name: str) -> str:
    if name not in names:
        raise _not_among(root, what, names, name)
    return name


def _not_among(root: Path, what: str, names: Sequence[str], name: str) -> ValueError:
    advice = "" if isinstance(name, str) else ", which is no name: here something saved is named"
    return ValueError(f"{root} has the {what} {', '.join(names) or '(none)'}; found {name!r}{advice}")
