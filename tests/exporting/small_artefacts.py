"""Two artefacts of a small model that all tests share: an export takes seconds."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from loading import load_file

from approxbit.exporting.export import export_model
from approxbit.exporting.gate import load_target
from approxbit.offload import OffloadedModel


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """The module `small_models.py`."""
    return load_file(Path(__file__).with_name("small_models.py"))


@pytest.fixture(scope="session")
def movinet(small: ModuleType) -> OffloadedModel:
    model = small.make_model(small.make_movinet(), "5-Enc-B2")
    model.fingerprint, model.backbone.fingerprint = 0x1234, 0xABCD
    return model


@pytest.fixture(scope="session")
def device_artefact(movinet: OffloadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For a Xavier, by the torchscript exporter, with the unsplit model."""
    folder = tmp_path_factory.mktemp("device")
    return export_model(movinet, load_target("xavier-jp5"), folder, "small/5-Enc-B2", whole=True)


@pytest.fixture(scope="session")
def server_artefact(movinet: OffloadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For ONNX Runtime, by the dynamo exporter, with an open batch."""
    folder = tmp_path_factory.mktemp("server")
    return export_model(movinet, load_target("onnxruntime"), folder, "small/5-Enc-B2")
