"""Configurations of one backbone share it: switching touches no weight and keeps no memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from approxbit import zoo
from approxbit.offload import OffloadedModel
from approxbit.zoo import build_family


def storages(module: nn.Module) -> dict[str, int]:
    """Address of the storage of each parameter and buffer."""
    tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.untyped_storage().data_ptr() for name, tensor in tensors.items()}


def shipped() -> dict[str, OffloadedModel]:
    return zoo.load_family("digits-movinet")


def test_all_configurations_of_a_family_lie_on_the_same_backbone_weights() -> None:
    models = shipped()
    first, *others = (storages(model.backbone) for model in models.values())
    assert len(models) > 1
    assert all(other == first for other in others)


def test_both_halves_hold_the_backbones_own_weights_and_nothing_else() -> None:
    for model in shipped().values():
        whole = set(storages(model.backbone).values())
        halves = {*storages(model.edge_half).values(), *storages(model.server_half).values()}
        assert halves == whole


def test_switching_moves_no_weight_and_changes_none() -> None:
    models = shipped()
    clip = torch.rand(1, *next(iter(models.values())).backbone.clip_shape)
    places = {name: storages(model) for name, model in models.items()}
    versions = {name: [p._version for p in model.parameters()] for name, model in models.items()}
    with torch.inference_mode():
        for name in [*models, *reversed(models)]:
            models[name].answer(models[name].encode(clip))
    assert {name: storages(model) for name, model in models.items()} == places
    assert {name: [p._version for p in model.parameters()] for name, model in models.items()} == versions


def test_a_configuration_costs_its_codec_and_not_another_backbone() -> None:
    with torch.device("meta"):
        models = build_family("mvitv2_b")
    unique = {id(p): p.numel() for model in models.values() for p in model.parameters()}
    backbone = sum(p.numel() for p in models["64-Enc-B8"].backbone.parameters())
    codecs = sum(p.numel() for model in models.values() for p in model.codec.parameters())
    assert len(models) == 8
    assert sum(unique.values()) == backbone + codecs
    assert codecs < backbone
