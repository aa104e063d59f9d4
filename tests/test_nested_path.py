"""Nested codes from the clip to the answer: one runner on the edge, one decoder on the server."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from approxbit import zoo
from approxbit.codec import Code, Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.server.loading import build_service
from approxbit.training.prior import CodePrior
from approxbit.wire import Answer, AnswerKind, Logits, Packet, Request, Wanted, read_reply

ARGUMENTS = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
CLIP = np.random.default_rng(4).random((3, 4, 32, 32), np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OffloadedModel]:
    """A family of one codec with 8 bits, of which the first 2 and 5 decode by themselves, with a prior."""
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("checkpoints")
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    zoo.save_backbone(root / "toy", backbone, "movinet_small", ARGUMENTS)
    configuration = Configuration.parse("8-NoEnc-B3")
    codec = Codec(backbone.feature_shape("B3"), configuration, options=CodecOptions(nested_sizes=(2, 5)))
    prior = CodePrior.for_codec(codec)
    with torch.no_grad():
        code = codec.encode(backbone.edge_half("B3")(torch.from_numpy(CLIP)[None]))
    prior.fit(Code(code.grid.clone(), code.tokens.clone()), num_steps=40)  # so that it codes this clip
    zoo.save_codec(root / "toy", codec.eval(), prior=prior.freeze())
    return zoo.load_family("toy", root)


@torch.inference_mode()
def answer_of(model: OffloadedModel) -> np.ndarray:
    return model(torch.from_numpy(CLIP)[None])[0].numpy()


def ask(models: dict[str, OffloadedModel], packet: Packet) -> np.ndarray:
    reply = read_reply(build_service(models.values(), num_threads=1).answer(packet.to_bytes()))
    assert isinstance(reply, Answer), reply
    assert isinstance(reply.content, Logits)
    return reply.content.values


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_first_bits_of_one_runner_are_answered_by_their_own_decoder(
    models: dict[str, OffloadedModel], bits: int
) -> None:
    runner = models["8-NoEnc-B3"].edge_runner(1).first_bits(bits)
    request = Request(wanted=Wanted(AnswerKind.LOGITS, 0))
    code_format = runner.clip_format.link_format(runner.code_format)
    packet = code_format.packet(runner.run(CLIP).payload, request=request)
    assert str(packet.configuration) == f"{bits}-NoEnc-B3"
    expected = answer_of(models[f"{bits}-NoEnc-B3"])
    np.testing.assert_allclose(ask(models, packet), expected, rtol=0, atol=1e-5)


def test_all_sizes_share_one_decoder_and_one_fingerprint(models: dict[str, OffloadedModel]) -> None:
    shared = {id(model.codec.decoder) for model in models.values()}
    assert len(shared) == 1
    assert len({model.fingerprint for model in models.values()}) == 1
