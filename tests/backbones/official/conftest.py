"""The state dicts of tiny models under the names of each origin.

The names are made here by plain replacement, from ours to theirs: the other way round than the package does.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet_stream import MoViNetStream
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


def tensorflow_variables(model: Backbone, generation: int) -> dict[str, Tensor]:
    """Generation 1 is that of the published files, 2 that of later code, 3 that of streams trained in 3-D."""
    variables = {}
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            variable = tensorflow_name(name, generation, is_stream=isinstance(model, MoViNetStream))
            variables[variable] = tensorflow_layout(name, variable, value)
    return variables


def tensorflow_name(name: str, generation: int, is_stream: bool) -> str:
    temporal = "_temporal" if ".conv_2." in name else ""
    pairs = [("conv1.conv", "stem/stem.conv"), ("conv7.", "head/project.")]
    pairs += [
        (f"classifier.{n}.", f"classifier_head/{part}.") for n, part in ((0, "head"), (3, "classifier"))
    ]
    layer = r"b\1/l\2" if generation == 1 else r"block\1_layer\2"
    name = re.sub(r"blocks\.b(\d+)_l(\d+)\.alpha", f"{layer}/scale", name)
    name = re.sub(r"blocks\.b(\d+)_l(\d+)\.", f"{layer}/bneck/", name)
    pairs += [("expand.", "expansion."), ("deep.", "feature."), ("bneck/project.", "bneck/projection.")]
    pairs += [("se.fc1.", "se/se_reduce."), ("se.fc2.", "se/se_expand.")]
    pairs += [("res.0.", "skip/skip_project."), ("res.1.", "skip/skip_project.")]
    pairs += [(".conv_1.", "/"), (".conv_2.", "/")]
    leaves = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    norm = f"conv2d{temporal}/bn{temporal}" if generation == 2 and is_stream else f"bn{temporal}"
    pairs += [(f"norm.{ours}", f"{norm}/{theirs}") for ours, theirs in leaves.items()]
    conv2d = "conv3d{}/" if generation == 3 else "conv2d{}/conv2d_3/"
    if "deep." in name and generation != 3:
        pairs += [("conv2d.weight", f"conv2d{temporal}/depthwise_conv2d/depthwise_kernel")]
    pairs += [
        ("conv2d.weight", conv2d.format(temporal) + "kernel"),
        ("conv2d.bias", conv2d.format("") + "bias"),
    ]
    pairs += [("conv3d.weight", "conv3d/kernel"), ("conv3d.bias", "conv3d/bias")]
    return replaced(name, pairs) + ":0"


def tensorflow_layout(name: str, variable: str, value: Tensor) -> Tensor:
    if value.ndim == 5:
        return value.permute(2, 3, 4, 1, 0)
    if value.ndim != 4:
        return value
    if "conv3d" in variable:
        lifted = value[..., None] if ".conv_2." in name else value[:, :, None]
        return lifted.permute(2, 3, 4, 1, 0)
    return value.permute(2, 3, 0, 1) if "depthwise" in variable else value.permute(2, 3, 1, 0)


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
    names = "answer slowfast_state mmaction2_state tensorflow_variables copy_of is_as_before"
    return SimpleNamespace(**vars(tiny_models), **{name: globals()[name] for name in names.split()})
