from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from approxbit.backbones.mvitv2 import mvitv2_b
from approxbit.backbones.mvitv2_keys import rename_mmaction2, rename_slowfast

KEYS_FILE = Path(__file__).parents[1] / "golden" / "mvit_b_112.keys.json"


MMACTION2 = (
    ("cls_token", "backbone.cls_token"),
    ("patch_embed.proj.", "backbone.patch_embed.projection."),
    ("blocks.", "backbone.blocks."),
    ("norm.", "backbone.norm3."),
    ("head.projection.", "cls_head.fc_cls."),
)


@pytest.fixture(scope="module")
def slowfast() -> dict[str, torch.Tensor]:
    entries = json.loads(KEYS_FILE.read_text())["keys"]
    return {key: torch.empty(shape, device="meta") for key, shape, _ in entries}


def test_all_589_keys_map_one_to_one_onto_the_model(slowfast):
    with torch.device("meta"):
        model = mvitv2_b(174, (3, 8, 112, 112))
    names = [rename_slowfast(key) for key in slowfast]
    assert len(names) == 589
    shapes = [tensor[0, 0].shape if tensor.ndim == 3 else tensor.shape for tensor in slowfast.values()]
    assert dict(zip(names, shapes, strict=True)) == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }


def test_all_589_keys_of_mmaction2_map_to_the_same_names(slowfast):
    for key in slowfast:
        (start, theirs), *_ = [pair for pair in MMACTION2 if key.startswith(pair[0])]
        assert rename_mmaction2(theirs + key.removeprefix(start)) == rename_slowfast(key), key


@pytest.mark.parametrize(
    "key", ["backbone.norm.weight", "head.projection.weight", "backbone.pos_embed", "meta"]
)
def test_keys_that_mmaction2_does_not_have_get_no_name(key):
    assert rename_mmaction2(key) is None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("patch_embed.proj.bias", "conv_proj.bias"),
        ("blocks.2.proj.weight", "blocks.2.project.weight"),
        ("blocks.11.attn.proj.weight", "blocks.11.attn.project.0.weight"),
        ("blocks.0.attn.pool_k.weight", "blocks.0.attn.pool_k.pool.weight"),
        ("blocks.0.attn.norm_v.bias", "blocks.0.attn.pool_v.norm_act.0.bias"),
        ("blocks.0.attn.rel_pos_t", "blocks.0.attn.rel_pos_t"),
        ("blocks.3.mlp.fc1.weight", "blocks.3.mlp.0.weight"),
        ("head.projection.weight", "head.1.weight"),
    ],
)
def test_a_key_gets_the_name_of_its_value(theirs, ours):
    assert rename_slowfast(theirs) == ours


@pytest.mark.parametrize("key", ["epoch", "blocks.0.pos_embed", "norm.weight.more"])
def test_keys_that_slowfast_does_not_have_get_no_name(key):
    assert rename_slowfast(key) is None
