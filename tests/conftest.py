"""Shape checks on for the torch rooms, and what several rooms share: small models, videos and family."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from jaxtyping import install_import_hook
from loading import load_file

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


_artefacts = load_file(HERE / "exporting" / "small_artefacts.py")
small, movinet = _artefacts.small, _artefacts.movinet
device_artefact, server_artefact = _artefacts.device_artefact, _artefacts.server_artefact

_bench = load_file(HERE / "export" / "bench.py")
bindings, touched_names_file, rtx = _bench.bindings, _bench.touched_names_file, _bench.rtx
build_script, profile_script = _bench.build_script, _bench.profile_script
cudart, device, small_artefact = _bench.cudart, _bench.device, _bench.small_artefact
facts, power = _bench.facts, _bench.power

_videos = load_file(HERE / "video" / "small_videos.py")
make_video = _videos.make_video
damaged_video = _videos.damaged_video
audio_file = _videos.audio_file
read_numbers = _videos.read_numbers
numbered = _videos.numbered

_family = load_file(HERE / "demo" / "small_family.py")
lut, checkpoints, cache = _family.lut, _family.checkpoints, _family.cache
prepared, family = _family.prepared, _family.family

_questions = load_file(HERE / "edge" / "question_family.py")
asked_checkpoints, asked = _questions.asked_checkpoints, _questions.asked

own_package = load_file(HERE / "own_package.py").own_package

# What exports, trains, starts programs or fills an environment of its own: `make test-fast` leaves it out.
SLOW = (
    "backbones/splitting",
    "backbones/test_mvitv2.py",
    "backbones/vlm",
    "baselines",
    "codec/test_codec.py",
    "datasets/scenes",
    "demo",
    "edge/test_client.py",
    "edge/test_device.py",
    "edge/test_questions.py",
    "engines/test_onnx_graph.py",
    "export/test_on_gpu.py",
    "export/test_rtx.py",
    "export/test_rtx_shipped.py",
    "exporting",
    "families/test_hub.py",
    "profiling",
    "recipes",
    "server/test_process.py",
    "test_base_install.py",
    "test_documents.py",
    "test_export_command.py",
    "test_hostile_cards.py",
    "test_inspect.py",
    "test_own_models.py",
    "test_own_project.py",
    "test_python_3_8.py",
    "test_startup.py",
    "test_zoo.py",
    "training",
    "video/cameras/test_camera.py",
    "video/cameras/test_four_cameras.py",
    "video/cameras/test_gstreamer.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests by where they lie."""
    slow = [HERE / place for place in SLOW]
    for item in items:
        if any(place == item.path or place in item.path.parents for place in slow):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """`tests/golden/golden.py`: `golden.load_case(name)` and `golden.errors(case, outputs)`."""
    return load_file(HERE / "golden" / "golden.py")
