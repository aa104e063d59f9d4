"""A family of two configurations and one backbone, too small to be right about anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.tasks import Classification

ARGUMENTS = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the family `toy`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(1)
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    zoo.save_backbone(folder / "toy", backbone, "movinet_small", ARGUMENTS, Classification.of_names("abc"))
    for name in ("5-Enc-B3", "4-NoEnc-B2"):
        configuration = Configuration.parse(name)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration)
        zoo.save_codec(folder / "toy", codec.eval())
    return folder


@pytest.fixture(scope="session")
def models(checkpoints: Path) -> dict[str, OffloadedModel]:
    return zoo.load_family("toy", checkpoints)
