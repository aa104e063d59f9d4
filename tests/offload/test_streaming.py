from __future__ import annotations

import gc

import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.backbones.movinet import movinet
from approxbit.codec import Codec
from approxbit.codec.statistics import FeatureStatistics
from approxbit.configuration import Configuration
from approxbit.errors import StreamError
from approxbit.offload import OffloadedModel
from approxbit.offload.streaming import (
    EdgeStream,
    ServerStream,
    StreamCode,
    answer_clip,
    join_frames,
    split_frames,
)
from approxbit.wire import pack

SIZE = (21, 30)
CONFIGURATIONS = ("16-Enc-B5", "8-NoEnc-B3", "8-Enc-B1", "5-NoEnc-B6")
# As in tests/backbones/test_movinet_stream.py: convolutions round by how many frames they get at once.
TOLERANCE = 1e-5


def make_model(configuration: str = "8-NoEnc-B3", frames_per_code: int = 1) -> OffloadedModel:
    """An untrained model whose features lie on both sides of the codec's thresholds."""
    torch.manual_seed(0)
    parsed = Configuration.parse(configuration)
    backbone = movinet("small", streaming=True, num_classes=9, clip_shape=(3, frames_per_code, *SIZE)).eval()
    codec = Codec(backbone.feature_shape(parsed.offload_point), parsed)
    statistics = FeatureStatistics()
    statistics.update(backbone.edge_half(parsed.offload_point)(random_clip(4, 6, seed=2)))
    codec.fit_statistics(statistics.mean, statistics.std)
    return OffloadedModel(backbone, codec)


def random_clip(batch_size: int, time: int, seed: int = 1) -> torch.Tensor:
    """Noise whose brightness drifts, so that the codes change from frame to frame."""
    noise = torch.rand(batch_size, 3, time, *SIZE, generator=torch.Generator().manual_seed(seed))
    return noise * torch.linspace(0.2, 1, time)[:, None, None]


def frames_of(clip: torch.Tensor, frames_per_code: int = 1) -> list[torch.Tensor]:
    return list(clip.split(frames_per_code, dim=2))


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("frames_per_code", [1, 3])
@torch.no_grad()
def test_a_stream_is_answered_as_the_whole_clip_through_the_same_codes(configuration, frames_per_code):
    model = make_model(configuration, frames_per_code)
    clip = random_clip(2, 6)
    edge, server = EdgeStream(model, batch_size=2), ServerStream(model, batch_size=2)
    decoded = []
    for number, frames in enumerate(frames_of(clip, frames_per_code)):
        message = edge.encode(frames)
        assert (message.sequence, message.is_key) == (number, number == 0)
        logits = server.answer(message)
        assert {0, 1} == set(message.code.grid.unique().tolist())
        decoded.append(model.codec.decode(message.code).grid)
        grid = torch.cat(decoded, dim=2)
        expected = model.server_half(Feature(grid, grid.new_zeros(2, 0, grid.shape[1])))
        torch.testing.assert_close(logits, expected, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_a_whole_clip_goes_through_the_codes_of_its_stream():
    model = make_model("16-Enc-B5")
    clip = random_clip(2, 5)
    edge, server = EdgeStream(model, batch_size=2), ServerStream(model, batch_size=2)
    for frame in frames_of(clip):
        logits = server.answer(edge.encode(frame))
    torch.testing.assert_close(answer_clip(model, clip), logits, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("configuration", "payload_bytes"), [("16-Enc-B5", 98), ("16-NoEnc-B5", 392)])
def test_a_frame_costs_the_bytes_of_a_feature_of_one_frame(configuration, payload_bytes):
    parsed = Configuration.parse(configuration)
    with torch.device("meta"):
        shape = movinet("a2", streaming=True, clip_shape=(3, 1, 224, 224)).feature_shape("B5")
    assert parsed.payload_bytes(shape) == payload_bytes
    model = make_model(configuration)
    code = EdgeStream(model).encode(random_clip(1, 1)).code
    assert len(pack(code.to_planes()[0].numpy())) == parsed.payload_bytes(model.codec.feature_shape)


def living_bytes() -> int:
    """What all tensors of this process hold."""
    gc.collect()
    tensors = (item for item in gc.get_objects() if type(item) is torch.Tensor)
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_memory_does_not_grow_with_the_stream():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    frames = frames_of(random_clip(1, 12))
    server.answer(edge.encode(frames[0]))
    before = living_bytes()
    for frame in frames[1:]:
        server.answer(edge.encode(frame))
    assert living_bytes() == before
    assert edge.state_bytes == model.edge_half.initial_state().num_bytes
    assert server.state_bytes == model.server_half.initial_state().num_bytes


def test_a_missing_code_is_refused_until_it_comes():
    model = make_model()
    edge, server, other = EdgeStream(model), ServerStream(model), ServerStream(model)
    first, second, third = (edge.encode(frame) for frame in frames_of(random_clip(1, 3)))
    server.answer(first)
    with pytest.raises(StreamError, match="code 1 must come first, found code 2; reset the edge's stream"):
        server.answer(third)
    server.answer(second)
    logits = server.answer(third)
    for message in (first, second, third):
        expected = other.answer(message)
    assert torch.equal(logits, expected)


def test_a_repeated_code_is_refused():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    first, second = (edge.encode(frame) for frame in frames_of(random_clip(1, 2)))
    server.answer(first)
    server.answer(second)
    for late in (first, second):
        with pytest.raises(StreamError, match=f"code 1 was answered already, found code {late.sequence}"):
            server.answer(late)


def test_a_stream_starts_with_a_key_code():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    _, second = (edge.encode(frame) for frame in frames_of(random_clip(1, 2)))
    with pytest.raises(StreamError, match="a stream starts with a key code, found code 1"):
        server.answer(second)


def test_a_reset_of_the_edge_resynchronises_both():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    frames = frames_of(random_clip(1, 6))
    server.answer(edge.encode(frames[0]))
    edge.encode(frames[1])  # lost
    with pytest.raises(StreamError):
        server.answer(edge.encode(frames[2]))
    edge.reset()
    key = edge.encode(frames[3])
    assert (key.sequence, key.is_key) == (3, True)
    server.answer(key)
    logits = server.answer(edge.encode(frames[4]))
    fresh_edge, fresh_server = EdgeStream(model), ServerStream(model)
    for frame in frames[3:5]:
        expected = fresh_server.answer(fresh_edge.encode(frame))
    assert torch.equal(logits, expected)


def test_a_server_that_was_reset_takes_any_key_code():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    frame = random_clip(1, 1)
    for _ in range(3):
        server.answer(edge.encode(frame))
    restarted = EdgeStream(model).encode(frame)
    with pytest.raises(StreamError, match="code 2 was answered already, found code 0"):
        server.answer(restarted)
    server.reset()
    server.answer(restarted)


def test_a_refused_call_leaves_both_streams_as_they_were():
    model = make_model()
    edge, server = EdgeStream(model), ServerStream(model)
    frames = frames_of(random_clip(1, 2))
    server.answer(edge.encode(frames[0]))
    with pytest.raises(ValueError, match="a step takes"):
        edge.encode(torch.zeros(1, 3, 1, 0, 8))
    second = edge.encode(frames[1])
    assert second.sequence == 1
    with pytest.raises(ValueError, match="code of a feature of size"):
        server.answer(StreamCode(1, False, second.code._replace(grid=second.code.grid[:, :3])))
    logits = server.answer(second)
    torch.testing.assert_close(logits, answer_clip(model, torch.cat(frames, dim=2)), atol=TOLERANCE, rtol=0)


def test_a_code_takes_as_many_frames_as_the_codec_was_made_for():
    edge = EdgeStream(make_model(frames_per_code=2))
    with pytest.raises(ValueError, match=r"one code takes \[1, 3, 2, height, width\], found \(1, 3, 3, "):
        edge.encode(random_clip(1, 3))


def test_a_base_backbone_cannot_stream():
    backbone = movinet("small", num_classes=9, clip_shape=(3, 1, *SIZE)).eval()
    codec = Codec(backbone.feature_shape("B3"), Configuration.parse("8-NoEnc-B3"))
    model = OffloadedModel(backbone, codec)
    for use in (EdgeStream, ServerStream, lambda model: answer_clip(model, random_clip(1, 1))):
        with pytest.raises(
            ValueError, match=r"streaming needs a backbone with a MoViNetStream\w+Half, .*found"
        ):
            use(model)


def test_split_frames_come_together_again():
    feature = Feature(torch.rand(2, 5, 6, 3, 4), torch.zeros(2, 0, 5))
    for frames_per_code in (1, 2, 3, 6):
        pieces = split_frames(feature, frames_per_code)
        assert pieces.grid.shape == (12 // frames_per_code, 5, frames_per_code, 3, 4)
        assert pieces.tokens.shape == (12 // frames_per_code, 0, 5)
        assert torch.equal(pieces.grid[0], feature.grid[0, :, :frames_per_code])
        assert torch.equal(join_frames(pieces, 2).grid, feature.grid)


@pytest.mark.parametrize(("num_tokens", "time"), [(0, 5), (1, 6)])
def test_what_does_not_split_into_codes_is_refused(num_tokens, time):
    feature = Feature(torch.rand(2, 5, time, 3, 4), torch.zeros(2, num_tokens, 5))
    with pytest.raises(ValueError, match=f"found {time} frames and {num_tokens} class tokens"):
        split_frames(feature, 2)


def test_a_codec_learns_through_the_frames_of_a_stream():
    model = make_model("8-Enc-B3").train()
    clip = random_clip(2, 3)
    pieces = split_frames(model.edge_half(clip), 1)
    output = model.codec(pieces)
    model.server_half(join_frames(output.feature, 2)).square().mean().backward()
    gradient = model.codec.compressor.grid.weight.grad
    assert gradient is not None
    assert gradient.any()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
