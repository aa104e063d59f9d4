"""Both halves run by torch give what the model gives."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import movinet_small
from approxbit.backbones.mvitv2 import mvitv2_tiny
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.engines.runner import ClipFormat
from approxbit.errors import WireError
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import torch_whole
from approxbit.wire import CodeFormat, pack

CLIP_SHAPE = (3, 4, 32, 32)


def make_model(backbone: Backbone, configuration: str) -> OffloadedModel:
    parsed = Configuration.parse(configuration)
    point = parsed.offload_point
    codec = Codec(backbone.feature_shape(point), parsed, backbone.num_tokens(point))
    return OffloadedModel(backbone, codec)


@pytest.fixture(scope="module")
def movinet() -> Backbone:
    torch.manual_seed(1)
    return movinet_small(num_classes=3, clip_shape=CLIP_SHAPE).eval()


@pytest.fixture(scope="module")
def mvitv2() -> Backbone:
    torch.manual_seed(1)
    return mvitv2_tiny(num_classes=3, clip_shape=CLIP_SHAPE).eval()


def make_clip() -> np.ndarray:
    return np.random.default_rng(1).standard_normal(CLIP_SHAPE).astype(np.float32)


@pytest.mark.parametrize("configuration", ["5-Enc-B3", "4-NoEnc-B3"])
@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
def test_edge_and_server_together_are_the_model(
    name: str, configuration: str, request: pytest.FixtureRequest
) -> None:
    model = make_model(request.getfixturevalue(name), configuration)
    pictures = torch.rand(1, *CLIP_SHAPE)
    clip = model.backbone.normalise(pictures)[0].numpy()
    edge, server = model.edge_runner(), model.server_runner()
    sent = edge.run(clip)
    answer = server.run([sent.payload])
    assert len(sent.payload) == edge.code_format.payload_bytes
    with torch.inference_mode():
        expected = model(pictures)[0].numpy()
    assert answer.logits.dtype == np.float32
    assert np.array_equal(answer.logits[0], expected)
    assert min(sent.edge_ms, sent.encode_ms, answer.decode_ms, answer.server_ms) > 0


@pytest.mark.parametrize("configuration", ["5-Enc-B3", "4-NoEnc-B3"])
@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
def test_a_batch_has_the_answers_of_its_codes_one_by_one(
    name: str, configuration: str, request: pytest.FixtureRequest
) -> None:
    model = make_model(request.getfixturevalue(name), configuration)
    calls: list[int] = []
    for part in (model.codec.decoder, model.server_half):
        hook = part.register_forward_hook(lambda module, inputs, outputs: calls.append(1))
        request.addfinalizer(hook.remove)
    server = model.server_runner()
    payloads = [make_code(server.code_format, seed) for seed in range(5)]
    batch = server.run(payloads)
    assert len(calls) == 2  # one decoder and one server half for all
    singles = np.concatenate([server.run([payload]).logits for payload in payloads])
    np.testing.assert_allclose(batch.logits, singles, rtol=1e-5, atol=1e-5)
    assert np.array_equal(batch.logits.argmax(axis=1), singles.argmax(axis=1))


@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
def test_nested_sizes_in_one_batch_have_the_answers_of_their_own_codecs(
    name: str, request: pytest.FixtureRequest
) -> None:
    torch.manual_seed(2)
    backbone: Backbone = request.getfixturevalue(name)
    options = CodecOptions(nested_sizes=(2, 5))
    codec = Codec(
        backbone.feature_shape("B3"), Configuration.parse("8-Enc-B3"), backbone.num_tokens("B3"), options
    )
    model = OffloadedModel(backbone, codec)
    servers = {bits: model.first_bits(bits).server_runner() for bits in (2, 5, 8)}
    sizes = [5, 8, 2, 2]
    payloads = [make_code(servers[bits].code_format, seed) for seed, bits in enumerate(sizes)]
    found = servers[8].run(payloads, sizes).logits
    expected = [servers[bits].run([payload]).logits[0] for bits, payload in zip(sizes, payloads, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)
    filled = [payload.ljust(servers[8].code_format.payload_bytes, b"\0") for payload in payloads]
    zeros = servers[8].run(filled).logits  # a bit that did not arrive is not a 0
    assert np.abs(zeros[[0, 2, 3]] - found[[0, 2, 3]]).max() > 1e-4


def make_code(code_format: CodeFormat, seed: int) -> bytes:
    size = code_format.configuration.codebook_size, code_format.num_positions
    return pack(np.random.default_rng(seed).integers(0, 2, size, np.uint8))


def test_both_sides_say_what_their_codes_look_like(movinet: Backbone) -> None:
    model = make_model(movinet, "5-Enc-B3")
    model.fingerprint = 77
    expected = CodeFormat(Configuration.parse("5-Enc-B3"), movinet.feature_shape("B3").size, 0, 77)
    assert model.edge_runner().code_format == expected
    assert model.server_runner().code_format == expected


def test_the_whole_runner_is_the_backbone(movinet: Backbone) -> None:
    clip = make_clip()
    runner = torch_whole(movinet)
    result = runner.run(clip)
    with torch.inference_mode():
        assert np.array_equal(result.logits, movinet(torch.from_numpy(clip)[None])[0].numpy())
    assert result.whole_ms > 0
    assert runner.clip_format == ClipFormat(4, 32, movinet.mean, movinet.std)


def test_the_number_of_threads_holds_in_the_thread_that_runs(movinet: Backbone) -> None:
    runner = torch_whole(movinet, num_threads=1)
    found = []

    def work() -> None:
        torch.set_num_threads(2)
        runner.run(make_clip())
        found.append(torch.get_num_threads())

    before = torch.get_num_threads()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    torch.set_num_threads(before)
    assert found == [1]


def test_a_payload_of_another_length_is_refused(movinet: Backbone) -> None:
    with pytest.raises(WireError, match=r"code 0 of 1: payload: expected .* bytes for"):
        make_model(movinet, "5-Enc-B3").server_runner().run([b"\x00"])


@pytest.mark.parametrize("clip", [np.zeros(CLIP_SHAPE), np.zeros((4, 32, 32, 3), np.float32)])
def test_a_clip_that_was_not_prepared_is_refused(movinet: Backbone, clip: np.ndarray) -> None:
    for runner in (make_model(movinet, "5-Enc-B3").edge_runner(), torch_whole(movinet)):
        with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, 4, 32, 32\], found"):
            runner.run(clip)


def test_a_model_in_training_mode_is_refused(movinet: Backbone) -> None:
    model = make_model(movinet, "5-Enc-B3").train()
    with pytest.raises(ValueError, match=r"OffloadedModel is in training mode, call eval\(\)"):
        model.edge_runner()


def test_no_thread_at_all_is_refused(movinet: Backbone) -> None:
    with pytest.raises(
        ValueError, match="num_threads must be at least 1, or None for torch's choice, found 0"
    ):
        torch_whole(movinet, num_threads=0)


def test_a_backbone_of_wide_clips_is_refused() -> None:
    wide = movinet_small(num_classes=3, clip_shape=(3, 4, 32, 48)).eval()
    with pytest.raises(ValueError, match=r"clips must be square, found a clip_shape of \(3, 4, 32, 48\)"):
        torch_whole(wide)
