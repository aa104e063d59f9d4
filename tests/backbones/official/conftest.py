"""The state dicts of tiny models under the names of each origin.

The names are made here by plain replacement, from ours to theirs: the other way round than the package does.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.backbones.mvitv2 import MViTv2


@torch.no_grad()
def answer(model: Backbone) -> Tensor:
    return model(torch.rand(1, *model.clip_shape, generator=torch.Generator().manual_seed(9)))


def slowfast_state(model: MViTv2) -> dict[str, Tensor]:
    pairs = [("pos_encoding.class_token", "cls_token"), ("conv_proj.", "patch_embed.proj.")]
    pairs += [(".attn.project.0.", ".attn.proj."), (".project.", ".proj."), ("head.1.", "head.projection.")]
    pairs += [(".mlp.0.", ".mlp.fc1."), (".mlp.3.", ".mlp.fc2."), (".pool.", ".")]
    pairs += [(f".pool_{letter}.norm_act.0.", f".norm_{letter}.") for letter in "qkv"]
    state = {replaced(name, pairs): value for name, value in model.state_dict().items()}
    return {**state, "cls_token": state["cls_token"][None, None]}


def mmaction2_state(model: MViTv2) -> dict[str, Tensor]:
    pairs = [("backbone.patch_embed.proj.", "backbone.patch_embed.projection.")]
    pairs += [("backbone.norm.", "backbone.norm3."), ("backbone.head.projection.", "cls_head.fc_cls.")]
    return {replaced(f"backbone.{key}", pairs): value for key, value in slowfast_state(model).items()}


def replaced(text: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def copy_of(model: Backbone) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def is_as_before(model: Backbone, before: dict[str, Tensor]) -> bool:
    state = model.state_dict()
    return state.keys() == before.keys() and all(torch.equal(state[name], before[name]) for name in before)


@pytest.fixture(scope="session")
def samples(tiny_models: SimpleNamespace) -> SimpleNamespace:
    """The tiny models and the functions above; test files cannot import each other."""
    names = "answer slowfast_state mmaction2_state copy_of is_as_before"
    return SimpleNamespace(**vars(tiny_models), **{name: globals()[name] for name in names.split()})
