"""A codec between the halves of a video-language model: codes, class tokens, and learning."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel


def offload(backbone, configuration):
    torch.manual_seed(3)
    configuration = Configuration.parse(configuration)
    point = configuration.offload_point
    codec = Codec(backbone.feature_shape(point), configuration, backbone.num_tokens(point))
    return OffloadedModel(backbone, codec)


@pytest.mark.parametrize("configuration", ["24-Enc-L2", "16-NoEnc-L1"])
@torch.no_grad()
def test_the_server_answers_from_the_code(backbone, tiny, configuration):
    model, clip = offload(backbone, configuration), tiny.clips_of(backbone)
    questions = tiny.questions_of(backbone)
    code = model.encode(clip)
    point = model.codec.configuration.offload_point
    assert code.tokens.shape == (2, backbone.num_tokens(point), model.codec.configuration.codebook_size)
    visual = model.answer(code)
    assert torch.equal(visual, model(clip))
    answer = backbone.generate(visual, questions, max_new_tokens=4, do_sample=False)
    assert torch.equal(answer[:, :-4], questions)


@torch.no_grad()
def test_every_frame_has_class_bits_of_its_own(tiny):
    backbone = tiny.build("video_llava")
    model = offload(backbone, "16-NoEnc-L1")
    clip = tiny.clips_of(backbone)
    other = clip.clone()
    other[:, :, 1] = 1 - other[:, :, 1]
    same = (model.encode(clip).tokens == model.encode(other).tokens).all(dim=2)
    assert same.tolist() == [[True, False, True]] * 2


def test_a_codec_learns_through_the_frozen_server_half_and_language_model(backbone, tiny):
    model, clip = offload(backbone, "16-NoEnc-L1").train(), tiny.clips_of(backbone)
    ids = tiny.questions_of(backbone, num_words=8)
    optimizer = torch.optim.Adam(model.codec.parameters(), lr=3e-3)
    frozen = {name: parameter.clone() for name, parameter in backbone.named_parameters()}
    with torch.no_grad():
        feature = model.edge_half(backbone.normalise(clip))
    losses = []
    for _ in range(20):
        visual = model.server_half(model.codec(feature).feature)
        logits = backbone.logits(visual, ids)[:, -6:-1]  # what predicts the last five words
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, -5:].flatten())
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            silent = [name for name, p in model.codec.named_parameters() if not p.grad.abs().sum() > 0]
            assert silent == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert all(torch.equal(parameter, frozen[name]) for name, parameter in backbone.named_parameters())
