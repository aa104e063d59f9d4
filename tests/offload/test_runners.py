"""Both halves run by torch give what the model gives."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import movinet_digits
from approxbit.backbones.mvitv2 import mvitv2_digits
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.engines.runner import ClipFormat
from approxbit.errors import WireError
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import TorchEdgeRunner, TorchServerRunner, TorchWholeRunner
from approxbit.wire import CodeFormat

CLIP_SHAPE = (3, 4, 32, 32)


def make_model(backbone: Backbone, configuration: str) -> OffloadedModel:
    parsed = Configuration.parse(configuration)
    point = parsed.offload_point
    codec = Codec(backbone.feature_shape(point), parsed, backbone.num_tokens(point))
    return OffloadedModel(backbone, codec)


@pytest.fixture(scope="module")
def movinet() -> Backbone:
    torch.manual_seed(1)
    return movinet_digits(num_classes=3, clip_shape=CLIP_SHAPE).eval()


@pytest.fixture(scope="module")
def mvitv2() -> Backbone:
    torch.manual_seed(1)
    return mvitv2_digits(num_classes=3, clip_shape=CLIP_SHAPE).eval()


def make_clip() -> np.ndarray:
    return np.random.default_rng(1).standard_normal(CLIP_SHAPE).astype(np.float32)


@pytest.mark.parametrize("configuration", ["5-Enc-B3", "4-NoEnc-B3"])
@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
def test_edge_and_server_together_are_the_model(
    name: str, configuration: str, request: pytest.FixtureRequest
) -> None:
    model = make_model(request.getfixturevalue(name), configuration)
    clip = make_clip()
    edge, server = TorchEdgeRunner(model), TorchServerRunner(model)
    sent = edge.run(clip)
    answer = server.run(sent.payload)
    assert len(sent.payload) == edge.code_format.payload_bytes
    with torch.inference_mode():
        expected = model(torch.from_numpy(clip)[None])[0].numpy()
    assert answer.logits.dtype == np.float32
    assert np.array_equal(answer.logits, expected)
    assert min(sent.edge_ms, sent.encode_ms, answer.decode_ms, answer.server_ms) > 0


def test_both_sides_say_what_their_codes_look_like(movinet: Backbone) -> None:
    model = make_model(movinet, "5-Enc-B3")
    model.fingerprint = 77
    expected = CodeFormat(Configuration.parse("5-Enc-B3"), movinet.feature_shape("B3").size, 0, 77)
    assert TorchEdgeRunner(model).code_format == expected
    assert TorchServerRunner(model).code_format == expected


def test_the_whole_runner_is_the_backbone(movinet: Backbone) -> None:
    clip = make_clip()
    runner = TorchWholeRunner(movinet)
    result = runner.run(clip)
    with torch.inference_mode():
        assert np.array_equal(result.logits, movinet(torch.from_numpy(clip)[None])[0].numpy())
    assert result.whole_ms > 0
    assert runner.clip_format == ClipFormat(4, 32, movinet.mean, movinet.std)


def test_the_number_of_threads_holds_in_the_thread_that_runs(movinet: Backbone) -> None:
    runner = TorchWholeRunner(movinet, num_threads=1)
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
    with pytest.raises(WireError, match=r"payload: expected .* bytes for"):
        TorchServerRunner(make_model(movinet, "5-Enc-B3")).run(b"\x00")


@pytest.mark.parametrize("clip", [np.zeros(CLIP_SHAPE), np.zeros((4, 32, 32, 3), np.float32)])
def test_a_clip_that_was_not_prepared_is_refused(movinet: Backbone, clip: np.ndarray) -> None:
    for runner in (TorchEdgeRunner(make_model(movinet, "5-Enc-B3")), TorchWholeRunner(movinet)):
        with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, time, height, width\], found"):
            runner.run(clip)


def test_a_model_in_training_mode_is_refused(movinet: Backbone) -> None:
    model = make_model(movinet, "5-Enc-B3").train()
    with pytest.raises(ValueError, match=r"OffloadedModel is in training mode, call eval\(\)"):
        TorchEdgeRunner(model)


def test_no_thread_at_all_is_refused(movinet: Backbone) -> None:
    with pytest.raises(
        ValueError, match="num_threads must be at least 1, or None for torch's choice, found 0"
    ):
        TorchWholeRunner(movinet, num_threads=0)


def test_a_backbone_of_wide_clips_is_refused() -> None:
    wide = movinet_digits(num_classes=3, clip_shape=(3, 4, 32, 48)).eval()
    with pytest.raises(ValueError, match=r"clips must be square, found a clip_shape of \(3, 4, 32, 48\)"):
        TorchWholeRunner(wide)
