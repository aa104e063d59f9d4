"""A family that answers questions, so small that it answers in milliseconds, with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.tasks import QuestionAnswering

ASKED = "asked-tiny"
ARGUMENTS = {
    **{
        "words": ["what", "is", "red", "there", "how", "many"],
        "answers": ["yes", "no", "a seven", *"12345678"],
    },
    **{"clip_shape": [3, 4, 16, 16], "width": 16, "num_layers": 3, "num_local": 1, "num_heads": 2},
    **{"head_width": 16, "head_layers": 2},
}
CONFIGURATIONS = ("8-NoEnc-L1", "4-Enc-L2")


@pytest.fixture(scope="session")
def asked_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the family."""
    root = tmp_path_factory.mktemp("asked")
    torch.manual_seed(3)
    backbone = zoo.build_backbone("video_questions", ARGUMENTS)
    for parameter in backbone.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)  # answers then depend on clip and question
    zoo.save_backbone(root / ASKED, backbone, "video_questions", ARGUMENTS, QuestionAnswering())
    for name in CONFIGURATIONS:
        configuration = Configuration.parse(name)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration)
        zoo.save_codec(root / ASKED, codec.eval())
    return root


@pytest.fixture
def asked(asked_checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the family, found by everything that runs in this test."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(asked_checkpoints))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("APPROXBIT_TRACEBACK", raising=False)
    return ASKED
