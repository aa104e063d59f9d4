"""The build script as one file that a device can run, beside the graphs it is to build.

`export/build_engine.py` imports rooms of the device. What it needs of them takes nothing but numpy, TensorRT
and CUDA, so they can travel with the script: Python runs a zip archive of both as it runs a script.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from approxbit.files import PathLike

SCRIPT_FILE = "build_engine.pyz"

_PACKAGE = Path(__file__).resolve().parents[1]
DEVICE_ROOMS = (
    "errors",
    "configuration",
    "trust",
    "files",
    "drawing",
    "processes",
    "tasks",
    "wire",
    "link",
    "select",
    "families",
    "video",
    "engines",
    "edge",
)
"""The rooms below the torch wall: they never import torch, and Python 3.8 runs them."""

_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same archive


def write_build_script(folder: PathLike) -> Path:
    """Write `build_engine.pyz`, which `python3 build_engine.pyz .` runs in the artefact's folder.

    Raises:
        FileNotFoundError: This installation lacks `export/build_engine.py`.
    """
    contents = {"__main__.py": _find_script()}
    for room in ("__init__", *DEVICE_ROOMS):
        for path in [*_PACKAGE.glob(f"{room}.py"), *sorted(_PACKAGE.glob(f"{room}/**/*.py"))]:
            contents[f"approxbit/{path.relative_to(_PACKAGE).as_posix()}"] = path
    target = Path(folder) / SCRIPT_FILE
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def _find_script() -> Path:
    """The script that was installed with the package, else the one in the repository."""
    candidates = [folder / "build_engine.py" for folder in (_PACKAGE / "_export", _PACKAGE.parent / "export")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"expected {' or '.join(map(str, candidates))}: install approxbit again")
