from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from approxbit.backbones.mvitv2 import mvitv2_b
from approxbit.backbones.mvitv2_keys import convert_slowfast_keys, rename_mmaction2, rename_slowfast
from approxbit.errors import MissingKeyError, WrongShapeError

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
    converted = convert_slowfast_keys(slowfast)
    assert len(slowfast) == len(converted) == 589
    assert {key: tensor.shape for key, tensor in converted.items()} == {
        key: tensor.shape for key, tensor in model.state_dict().items()
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
def test_values_follow_their_key(theirs, ours):
    value = torch.ones(1)
    assert convert_slowfast_keys({theirs: value})[ours] is value


def test_the_class_token_loses_its_two_empty_axes():
    token = torch.arange(96.0).reshape(1, 1, 96)
    assert torch.equal(convert_slowfast_keys({"cls_token": token})["pos_encoding.class_token"], token[0, 0])


def test_unknown_keys_are_named(slowfast):
    with pytest.raises(
        MissingKeyError, match=r"'model_state'.*found 2 unknown keys: epoch, blocks.0.pos_embed$"
    ):
        convert_slowfast_keys({**slowfast, "epoch": torch.zeros(1), "blocks.0.pos_embed": torch.zeros(1)})


def test_many_unknown_keys_are_shortened():
    state_dict = {f"layer{number}": torch.zeros(1) for number in range(9)}
    with pytest.raises(MissingKeyError, match=r"found 9 unknown keys: layer0, .*layer4, \.\.\.$"):
        convert_slowfast_keys(state_dict)


@pytest.mark.parametrize("shape", [(96,), (2, 1, 96), (1, 96)])
def test_a_class_token_of_another_shape_is_refused(shape):
    with pytest.raises(WrongShapeError, match=r"cls_token must be of shape \(1, 1, channel\), found"):
        convert_slowfast_keys({"cls_token": torch.zeros(shape)})
