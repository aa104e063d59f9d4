"""Clips as people have them, and models in other types of numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from approxbit import Codec, Configuration, OffloadedModel, split
from approxbit.backbones import mvitv2_tiny
from approxbit.codec import Code
from approxbit.edge.arms import CodesArm
from approxbit.offload.inputs import prepare
from approxbit.offload.runners import torch_whole
from approxbit.wire import pack
from approxbit.zoo import load


class Network(nn.Module):
    """Small, and sensitive to the scale of its clips."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, 2, stride=2)
        self.head = nn.Linear(8, 4)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(clip).mean((2, 3, 4)))


def make_model(mean: float = 0.0, std: float = 1.0, dtype: torch.dtype = torch.float32) -> OffloadedModel:
    torch.manual_seed(0)
    network = Network().eval().to(dtype)
    example = torch.rand(1, 3, 4, 8, 8).to(dtype)
    backbone = split(network, "stem", example, mean=(mean,) * 3, std=(std,) * 3)
    return OffloadedModel(backbone, Codec(backbone.feature_shape("stem"), Configuration.parse("5-Enc-stem")))


def same(found: Code, expected: Code) -> bool:
    return torch.equal(found.grid, expected.grid) and torch.equal(found.tokens, expected.tokens)


def test_frames_and_the_clip_made_of_them_have_one_code_and_one_answer_on_all_ways() -> None:
    model = load("digits-mvitv2/32-Enc-B3")  # which wants (RGB - 0.45) / 0.225
    frames = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8)
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None]
    scaled = clip.float() * (1 / 255)
    runner = model.edge_runner()
    prepared = runner.clip_format.prepare(frames)
    assert np.array_equal(prepare(clip, model.backbone)[0].numpy(), prepared)
    packet, (payload,) = model.encode_packet(clip), [runner.run(prepared).payload]
    assert pack(model.encode(scaled).to_planes()[0].numpy()) == payload
    assert packet.to_bytes() == model.encode_packet(scaled).to_bytes()
    assert packet.to_bytes() == CodesArm(runner).encode(frames).packet.to_bytes()
    with torch.no_grad():
        logits = model(clip)[0].numpy()
        whole = model.backbone(model.backbone.normalise(scaled))[0].numpy()
    answer = model.server_runner().run([payload], [32]).logits[0]
    np.testing.assert_allclose(logits, answer, atol=1e-5)
    np.testing.assert_allclose(whole, torch_whole(model.backbone).run(prepared).logits, atol=1e-5)


def test_a_clip_is_normalised_by_hand_worked_numbers() -> None:
    backbone = mvitv2_tiny()
    assert backbone.mean == (0.45,) * 3
    assert backbone.std == (0.225,) * 3
    clip = torch.tensor([0.0, 0.45, 0.9]).view(1, 3, 1, 1, 1)
    assert backbone.normalise(clip).flatten().tolist() == pytest.approx([-2, 0, 2])


def test_a_model_in_bfloat16_takes_clips_of_any_floats_and_a_codec_in_float32() -> None:
    model, clip = make_model(0.5, 0.25, torch.bfloat16), torch.rand(2, 3, 4, 8, 8)
    code = model.encode(clip)
    assert same(code, model.encode(clip.double()))
    logits = model.answer(code)
    assert (logits.dtype, logits.shape) == (torch.bfloat16, (2, 4))
    packet = model.encode_packet(clip[:1])
    assert packet.payload == pack(code.to_planes()[0].numpy())
    best = model.answer_packet(packet).content.best  # type: ignore[union-attr]
    assert best == int(model(clip[:1]).argmax())


CLIP = torch.rand(2, 3, 4, 8, 8)


@pytest.mark.parametrize(
    ("clip", "problem"),
    [
        (CLIP.permute(0, 2, 3, 4, 1), r"channels last, clip\.permute\(0, 4, 1, 2, 3\) puts them second"),
        (CLIP.transpose(1, 2), r"frames before its channels, clip\.transpose\(1, 2\) swaps them"),
        (CLIP[:, :1], r"is grey, clip\.expand\(-1, 3, -1, -1, -1\) gives it 3 channels"),
        (CLIP[0], r"has no batch axis, clip\[None\] adds it"),
        (CLIP[0].permute(1, 2, 3, 0), r"frames, clip\.permute\(3, 0, 1, 2\)\[None\] makes a batch of one"),
        (CLIP[:, :2], r"expected clips \[batch, 3, time, height, width\], found shape \(2, 2, 4, 8, 8\)$"),
        (CLIP * 255, "from 0 to 1, found values from .* divide them by 255, or give them as uint8"),
        (
            (CLIP - 0.45) / 0.225,
            "from -.* to 2.4.*: leave them as they are, the model normalises",
        ),
        ((CLIP * 255).int(), r"expected RGB as floats from 0 to 1 or as uint8, found torch\.int32"),
    ],
)
def test_what_is_no_batch_of_clips_is_refused_with_the_cure(clip: torch.Tensor, problem: str) -> None:
    model = make_model()
    for use in (model.encode, model, model.encode_packet):
        with pytest.raises(ValueError, match=problem):
            use(clip)


def test_frames_of_numpy_are_told_how_to_become_a_clip() -> None:
    with pytest.raises(ValueError, match=r"found a ndarray: torch\.from_numpy\(frames\)\.permute"):
        prepare(CLIP.numpy(), make_model().backbone)


def test_the_cures_work() -> None:
    model = make_model()
    code = model.encode(CLIP)
    last, first = CLIP.permute(0, 2, 3, 4, 1), CLIP.transpose(1, 2)
    assert same(model.encode(last.permute(0, 4, 1, 2, 3)), code)
    assert same(model.encode(first.transpose(1, 2)), code)
    assert same(model.encode(CLIP[0][None]), Code(code.grid[:1], code.tokens[:1]))
    frames = CLIP[0].permute(1, 2, 3, 0)
    assert same(model.encode(frames.permute(3, 0, 1, 2)[None]), Code(code.grid[:1], code.tokens[:1]))


def test_a_model_of_single_frames_takes_images() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    backbone = split(network, "0", torch.rand(1, 3, 8, 8))
    model = OffloadedModel(backbone, Codec(backbone.feature_shape("0"), Configuration.parse("5-NoEnc-0")))
    images = torch.rand(2, 3, 8, 8)
    assert same(model.encode(images), model.encode(images[:, :, None]))
