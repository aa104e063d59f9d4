"""Whole graphs: from the clip to the bytes of the wire, and from these to the answer."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from approxbit.engines.opening import open_edge
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import load_target
from approxbit.exporting.views import EdgeView, ServerView, WholeView, view_of
from approxbit.wire import pack, packed_bytes

CONFIGURATIONS = ["5-Enc-B2", "3-NoEnc-B1", "8-NoEnc-B3"]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
@pytest.mark.parametrize("encoder_attention", [False, True])
@torch.inference_mode()
def test_both_views_together_are_the_model(
    name: str, configuration: str, encoder_attention: bool, small: ModuleType
) -> None:
    model = small.make_model(small.BACKBONES[name](), configuration, encoder_attention=encoder_attention)
    clips = small.make_clips(model.backbone, 3)
    code = model.codec.encode(model.edge_half(clips))
    packed = EdgeView(model)(clips)
    expected = [pack(planes) for planes in code.to_planes().numpy()]
    assert [row.numpy().tobytes() for row in packed] == expected
    assert 0.1 < np.unpackbits(packed.numpy()).mean() < 0.9
    answer = ServerView(model)(packed)
    torch.testing.assert_close(answer, model.answer(code), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
@torch.inference_mode()
def test_the_whole_view_is_the_backbone(name: str, small: ModuleType) -> None:
    backbone = small.BACKBONES[name]()
    clips = small.make_clips(backbone)
    torch.testing.assert_close(WholeView(backbone)(clips), backbone(clips), rtol=0, atol=1e-4)


def test_the_logits_are_in_the_order_of_the_bits(small: ModuleType) -> None:
    model = small.make_model(small.make_mvitv2(), "5-Enc-B2")
    view = EdgeView(model, "int32")
    logits = view.compute_logits(model.edge_half(small.make_clips(model.backbone, 1)))
    assert logits.shape == (1, view.num_bits)
    bits = (logits[0] > 0).numpy()
    packed = view(small.make_clips(model.backbone, 1))
    assert packed.dtype == torch.int32
    assert packed.shape[1] == packed_bytes(view.num_bits, 1)
    assert np.array_equal(np.packbits(bits), packed[0].numpy())


def test_large_weights_are_shared_with_the_model(small: ModuleType) -> None:
    model = small.make_model(small.make_mvitv2(), "5-Enc-B2")
    block = model.edge_half.blocks[0]
    view = EdgeView(model).edge_half.blocks[0]
    pairs = [
        (view.attention.query_weight, block.attn.qkv.weight),
        (view.attention.project[0].weight, block.attn.project[0].weight),
        (view.mlp[0].weight, block.mlp[0].weight),
    ]
    assert all(found.data_ptr() == weight.data_ptr() for found, weight in pairs)
    assert ServerView(model).decoder.matrix.data_ptr() == model.codec.codebook.matrix.data_ptr()


def test_a_half_of_an_unknown_kind_stands_for_itself() -> None:
    half = nn.Identity()
    assert view_of(half, (3, 1, 1, 1)) is half


def test_a_backbone_of_ones_own_registers_its_halves() -> None:
    class Half(nn.Module):
        pass

    @view_of.register(Half)
    def _(half: nn.Module, input_shape: tuple[int, int, int, int]) -> nn.Module:
        return nn.Linear(input_shape[0], 1)

    view = view_of(Half(), (3, 1, 1, 1))
    assert isinstance(view, nn.Linear)
    assert view.in_features == 3


@pytest.mark.parametrize("view", [EdgeView, ServerView])
def test_a_model_in_training_mode_is_refused(view: type[nn.Module], small: ModuleType) -> None:
    model = small.make_model(small.make_movinet(), "5-Enc-B2").train()
    with pytest.raises(ValueError, match=r"OffloadedModel is in training mode, call eval\(\) before it is"):
        view(model)
    with pytest.raises(ValueError, match="MoViNet is in training mode"):
        WholeView(small.make_movinet().train())


@torch.inference_mode()
def test_a_logit_of_exactly_0_is_bit_0_in_modules_view_and_graph(small: ModuleType, tmp_path: Path) -> None:
    model = small.make_model(small.make_movinet(), "5-Enc-B2")
    for parameter in model.codec.compressor.parameters():
        parameter.zero_()
    clips = small.make_clips(model.backbone, 1)
    assert not EdgeView(model).compute_logits(model.edge_half(clips)).any()
    assert not model.codec.encode(model.edge_half(clips)).grid.any()
    assert not EdgeView(model)(clips).any()
    folder = export_model(model, load_target("onnxruntime"), tmp_path, "zero/5-Enc-B2")
    assert not any(open_edge(folder).run(clips[0].numpy()).payload)
