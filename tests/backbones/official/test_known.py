from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
import torch

from approxbit.backbones.official.known import KNOWN_CHECKPOINTS
from approxbit.zoo import BUILDERS


@pytest.mark.parametrize("name", KNOWN_CHECKPOINTS)
def test_a_known_checkpoint_is_for_a_backbone_that_can_be_built(name):
    known = KNOWN_CHECKPOINTS[name]
    with torch.device("meta"):
        backbone = BUILDERS[known.builder](num_classes=known.num_classes)
    assert backbone.num_classes == known.num_classes
    assert known.builder.replace("_", "-") in name
    assert (known.num_classes == 174) == ("ssv2" in name)
    assert known.origin in ("slowfast", "mmaction2", "torchvision", "atze00")
    assert urlsplit(known.url).scheme == "https"
    assert 60 < known.top1_percent < 90


def test_every_published_size_is_there_once():
    urls = [known.url for known in KNOWN_CHECKPOINTS.values()]
    assert len(urls) == len(set(urls)) == 9 + 6 + 3
    for size in ("a0", "a1", "a2", "a3", "a4", "a5"):
        assert KNOWN_CHECKPOINTS[f"movinet-{size}-k600"].builder == f"movinet_{size}"


def test_hashes_stand_in_the_names_of_those_who_write_them_there():
    for known in KNOWN_CHECKPOINTS.values():
        named = re.search(r"-[0-9a-f]{8}\.pth$", known.url)
        assert bool(named) == (known.origin in ("mmaction2", "torchvision")), known.url


def test_the_checkpoints_of_the_paper_have_short_names():
    assert KNOWN_CHECKPOINTS["mvitv2-b-ssv2"].url.endswith("/MViTv2_B_32x3_ssv2_f305803282.pyth")
    assert KNOWN_CHECKPOINTS["mvitv2-b-ssv2-mmaction2"].top1_percent == 70.8
    assert KNOWN_CHECKPOINTS["movinet-a2-k600"].url.endswith("/weights/modelA2_statedict_v3?raw=true")
    assert KNOWN_CHECKPOINTS["movinet-a2-stream-k600"].top1_percent == 78.40
