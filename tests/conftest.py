"""Shape checks on for the torch rooms, and what several rooms share: small models, videos and family."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jaxtyping import install_import_hook

install_import_hook(
    [
        "approxbit.backbones",
        "approxbit.codec",
        "approxbit.exporting.views",
        "approxbit.offload",
    ],
    "beartype.beartype",
)


HERE = Path(__file__).parent


def load_file(path: Path) -> ModuleType:
    """A Python file as a module of its own, the same at every call."""
    name = f"approxbit_tests_{path.stem}"
    if name not in sys.modules:
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_artefacts = load_file(HERE / "exporting" / "small_artefacts.py")
small, movinet = _artefacts.small, _artefacts.movinet
device_artefact, server_artefact = _artefacts.device_artefact, _artefacts.server_artefact

_videos = load_file(HERE / "video" / "small_videos.py")
make_video = _videos.make_video
damaged_video = _videos.damaged_video
audio_file = _videos.audio_file
read_numbers = _videos.read_numbers
numbered = _videos.numbered

_family = load_file(HERE / "demo" / "small_family.py")
lut, checkpoints, cache = _family.lut, _family.checkpoints, _family.cache
prepared, family = _family.prepared, _family.family


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """`tests/golden/golden.py`: `golden.load_case(name)` and `golden.errors(case, outputs)`."""
    return load_file(HERE / "golden" / "golden.py")
