"""A family so small that it answers in milliseconds, with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import TASK
from approxbit.exporting.prepare import prepare_family
from approxbit.select import LUT, LUTRow

FAMILY = "digits-tiny"
NAMES = ("top1_action_digit", "top1_actions")


def make_row(arm: str, edge_ms: float, payload_bytes: int, server_ms: float, accuracy: float) -> LUTRow:
    scores = {NAMES[0]: accuracy, NAMES[1]: accuracy + 5}
    return LUTRow(arm, edge_ms, 0, payload_bytes, 0, server_ms, accuracy, scores)


@pytest.fixture(scope="session")
def lut() -> LUT:
    rows = (
        make_row("edge-only", 10, 0, 0, 90),
        make_row("server-only", 0, 12288, 10, 90),
        make_row("h264-superfast-crf32", 0, 900, 10, 88),
        make_row("8-Enc-B3", 5, 8, 5, 80),
        make_row("4-NoEnc-B5", 8, 8, 2, 85),
    )
    return LUT(rows, "a machine", "torch", "2026-01-01", 100, 1, FAMILY, NAMES)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, lut: LUT) -> Path:
    root = tmp_path_factory.mktemp("checkpoints")
    arguments = {"num_classes": TASK.num_classes, "clip_shape": (3, 4, 32, 32)}
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", arguments)
    made = zoo.Provenance(data=zoo.DataRecord("digits"))
    zoo.save_backbone(root / FAMILY, backbone, "movinet_small", arguments, TASK, made)
    for text in ("8-Enc-B3", "4-NoEnc-B5"):
        configuration = Configuration.parse(text)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration)
        zoo.save_codec(root / FAMILY, codec)
    lut.save(root / FAMILY / "lut.json")
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests keep the family's artefacts: an export takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def prepared(checkpoints: Path, cache: Path) -> Path:
    """The file that the device of the family opens."""
    return prepare_family(FAMILY, checkpoints, cache)


@pytest.fixture
def family(checkpoints: Path, cache: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the family, found by everything that runs in this test."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("APPROXBIT_CACHE", str(cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("APPROXBIT_TRACEBACK", raising=False)
    return FAMILY
