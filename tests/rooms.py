"""Which modules there are, and which of them a device imports."""

from __future__ import annotations

from pathlib import Path

from approxbit.engines.build_script import DEVICE_ROOMS

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "approxbit"
MODULE_PATHS = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def is_torch_free(module: str) -> bool:
    """Whether a device imports it: Python 3.8 must run it (JetPack 5), and it never reaches torch."""
    return room_of(module) in {"__init__", *DEVICE_ROOMS}
