from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature
from approxbit.backbones.movinet import movinet
from approxbit.backbones.movinet_stream import MoViNetStream
from approxbit.backbones.movinet_stream_layers import (
    CausalSqueezeExcite,
    SameConv2d,
    TimeUnit,
    advance_mean,
)
from approxbit.backbones.movinet_table import ARCHITECTURES

POINTS = ("B1", "B2", "B3", "B4", "B5", "B6")

# The convolutions of PyTorch choose their kernels by the number of images, here batch times frames, so
# that the rounding may differ between a whole clip and its pieces. Everything else gives the same bits.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model(tiny_models) -> MoViNetStream:
    return tiny_models.stream(num_classes=7)


def random_clip(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def largest_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).abs().max())


@torch.no_grad()
def test_the_reference_answers_the_same_whole_and_in_pieces(golden):
    case = golden.load_case("movinet_a0_stream_small")
    model = movinet("a0", streaming=True).eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in case.weights.items()}, strict=True)
    clip = torch.from_numpy(case.clip)
    outputs = tapped_outputs(model, clip)
    for name, lengths in case.meta["stream_steps"].items():
        state, logits = model.initial_state(2, (172, 172)), []
        for frames in clip.split(lengths, dim=2):
            after, state = model.step(frames, state)
            logits.append(after)
        outputs[f"logits_stream_{name}"] = torch.stack(logits)
    found = golden.errors(case, outputs)
    assert len(found) == 11 + 7  # taps with statistics count twice
    assert max(found.values()) < 1e-5, found
    assert largest_difference(outputs["logits"], torch.from_numpy(case.golden["logits_f64"]).float()) < 1e-5


def tapped_outputs(model: MoViNetStream, clip: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the reference was recorded at, as [batch, channel, time, height, width]."""
    outputs: dict[str, torch.Tensor] = {}

    def tap(module: nn.Module, name: str) -> None:
        def keep(_, __, output):
            frames = output[0] if isinstance(output, tuple) else output.unflatten(0, clip.shape[:3:2])
            outputs[name] = frames.transpose(1, 2)

        handles.append(module.register_forward_hook(keep))

    handles: list = []
    tap(model.conv1, "block1")
    tap(model.conv7, "conv7")
    for number, end in enumerate((1, 4, 7, 11, 15), start=2):
        tap(model.blocks[end - 1], f"block{number}")
    logits = model(clip)
    for handle in handles:
        handle.remove()
    pooled = outputs["conv7"].mean(dim=(2, 3, 4))
    return {**outputs, "pooled": pooled, "logits": logits}


@pytest.mark.parametrize(
    ("name", "num_parameters", "num_keys"),
    [
        ("a0", 3_748_031, 451),
        ("a1", 6_447_352, 694),
        ("a2", 7_326_962, 752),
        # Without the positional encoding of the official ones.
        ("a3", 10_986_585, 943),
        ("a4", 18_136_135, 1331),
        ("a5", 31_495_875, 1661),
    ],
)
def test_every_architecture_has_its_published_size(name, num_parameters, num_keys):
    with torch.device("meta"):
        model = movinet(name, streaming=True, num_classes=600)
    assert isinstance(model, MoViNetStream)
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters
    assert len(model.state_dict()) == num_keys
    assert model.clip_shape == ARCHITECTURES[name].clip_shape


def test_the_stream_variant_is_cut_where_the_base_variant_is():
    with torch.device("meta"):
        base, stream = movinet("a2"), movinet("a2", streaming=True)
        short = movinet("a2", streaming=True, clip_shape=(3, 1, 224, 224))
    assert stream.offload_points == base.offload_points == POINTS
    for point in POINTS:
        assert stream.feature_shape(point) == base.feature_shape(point)
        assert stream.num_tokens(point) == 0
        assert stream.num_layers_before(point) == base.num_layers_before(point)
    assert short.feature_shape("B5") == (72, 1, 14, 14)


@torch.no_grad()
@pytest.mark.parametrize("size", [(5, 27, 22), (4, 32, 32), (1, 33, 17), (3, 1, 2)])
def test_the_halves_make_the_whole_bit_for_bit(model, size):
    clip = random_clip(2, 3, *size)
    logits = model(clip)
    assert logits.shape == (2, 7)
    for point in POINTS:
        feature = model.edge_half(point)(clip)
        assert feature.grid.shape[1:] == model.feature_shape(point, (3, *size))
        assert feature.tokens.shape == (2, 0, feature.grid.shape[1])
        assert torch.equal(model.server_half(point)(feature), logits)


@torch.no_grad()
@settings(deadline=None, max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    batch_size=st.integers(1, 3),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_every_step_answers_as_the_whole_clip_so_far(model, lengths, batch_size, size):
    clip = random_clip(batch_size, 3, sum(lengths), *size)
    state, time = model.initial_state(batch_size, size), 0
    for frames in clip.split(lengths, dim=2):
        logits, state = model.step(frames, state)
        time += frames.shape[2]
        assert largest_difference(logits, model(clip[:, :, :time])) < TOLERANCE
    assert state.num_frames.tolist() == [time] * batch_size


@torch.no_grad()
@pytest.mark.parametrize("point", POINTS)
def test_halves_that_step_together_make_the_whole_after_every_frame(model, point):
    clip = random_clip(2, 3, 6, 27, 22)
    edge, server = model.edge_half(point), model.server_half(point)
    edge_state, server_state, state = (part.initial_state(2) for part in (edge, server, model))
    for frames in clip.split([1, 1, 3, 1], dim=2):
        feature, edge_state = edge.step(frames, edge_state)
        logits, server_state = server.step(feature, server_state)
        expected, state = model.step(frames, state)
        assert torch.equal(logits, expected)
    for part in (edge_state, server_state):
        assert part.num_frames.tolist() == [6, 6]
    assert edge_state.head_mean is None


@torch.no_grad()
def test_a_step_changes_neither_the_model_nor_the_state_it_was_given(model):
    clip = random_clip(1, 3, 4, 27, 22)
    _, state = model.step(clip, model.initial_state())
    held = [*model.state_dict().values(), *state.tensors()]
    copies = [tensor.clone() for tensor in held]
    first, _ = model.step(clip, state)
    second, _ = model.step(clip, state)
    assert torch.equal(first, second)
    assert all(map(torch.equal, held, copies))


@torch.no_grad()
def test_streams_of_different_ages_share_a_batch(model):
    young, old = random_clip(1, 3, 3, 27, 22), random_clip(1, 3, 5, 27, 22, seed=2)
    states = [model.step(clip[:, :, :-1], model.initial_state())[1] for clip in (young, old)]
    both = states[0].with_tensors(map(torch.cat, zip(*(state.tensors() for state in states), strict=True)))
    logits, both = model.step(torch.cat([young[:, :, -1:], old[:, :, -1:]]), both)
    assert largest_difference(logits, torch.cat([model(young), model(old)])) < TOLERANCE
    assert both.num_frames.tolist() == [3, 5]


def test_a_state_takes_as_many_tensors_as_it_has(model):
    state = model.edge_half("B3").initial_state()
    assert len(state.tensors()) == 1 + 3 + 2
    with pytest.raises(ValueError, match="this state holds 6 tensors, found 5"):
        state.with_tensors(state.tensors()[1:])


@torch.no_grad()
def test_no_frame_sees_a_later_one(model):
    clip = random_clip(1, 3, 6, 27, 22)
    other = torch.cat([clip[:, :, :4], 1 - clip[:, :, 4:]], dim=2)
    grids = [model.edge_half("B6")(each).grid for each in (clip, other)]
    assert torch.equal(grids[0][:, :, :4], grids[1][:, :, :4])
    assert not torch.equal(grids[0][:, :, 4], grids[1][:, :, 4])


@torch.no_grad()
def test_a_state_stays_as_large_as_it_says(model):
    state = model.initial_state()
    size = state.num_bytes
    for length in (1, 7, 1):
        _, state = model.step(random_clip(1, 3, length, 27, 22), state)
        stored = sum(tensor.untyped_storage().nbytes() for tensor in state.tensors())
        assert stored == state.num_bytes == size


def test_the_state_of_a2_is_known_before_there_is_one():
    with torch.device("meta"):
        model = movinet("a2", streaming=True)
    parts = [model, *(half("B5") for half in (model.edge_half, model.server_half))]
    whole, edge, server = (part.initial_state().num_bytes for part in parts)
    assert whole == 10_828_360
    assert edge + server == whole + 8  # both count frames
    # One layer of B6 looks back four frames of 480x7x7, one looks back two.
    means = 480 + 384 + 384 + 480 + 480 + 480 + 576 + 640
    assert server == 4 * (means + (4 + 2) * 480 * 7 * 7) + 8
    assert model.initial_state(3, (112, 112)).num_bytes < 3 * whole


def test_a_mean_runs_over_all_frames_of_its_own_stream():
    values = torch.tensor([[[4.0], [9.0]], [[4.0], [9.0]]])
    means, last = advance_mean(values, torch.tensor([[2.0], [0.0]]), torch.tensor([1, 0]))
    assert means.flatten(1).tolist() == [[3.0, 5.0], [4.0, 6.5]]
    assert last.tolist() == [[5.0], [6.5]]


def test_the_convolution_over_time_is_causal_and_depthwise():
    unit = TimeUnit(1, 3).eval()
    nn.init.zeros_(unit.norm.bias)
    with torch.no_grad():
        unit.conv2d.weight.copy_(torch.tensor([100.0, 10.0, 1.0]).reshape(1, 1, 3, 1))
        unit.norm.running_var.fill_(1 - unit.norm.eps)
        frames = torch.tensor([3.0, 4.0, 5.0]).reshape(1, 3, 1, 1, 1)
        history = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1, 1)
        mixed, following = unit(frames, history)
    assert mixed.flatten().tolist() == pytest.approx([123.0, 234.0, 345.0])
    assert following.flatten().tolist() == [4.0, 5.0]


@torch.no_grad()
def test_the_gate_is_a_clipped_line_of_slope_a_fifth():
    layer = CausalSqueezeExcite(16)
    nn.init.zeros_(layer.fc2.conv_1.conv2d.weight)
    layer.fc2.conv_1.conv2d.bias.copy_(torch.linspace(-4, 4, 16))
    gated, _ = layer(torch.ones(1, 1, 16, 2, 2), torch.zeros(1, 16), torch.zeros(1, dtype=torch.int64))
    expected = (0.2 * torch.linspace(-4, 4, 16) + 0.5).clamp(0, 1)
    torch.testing.assert_close(gated[0, 0, :, 0, 0], expected)
    assert layer.fc1.conv_1.conv2d.weight.shape == (8, 32, 1, 1)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_same_convolution_is_a_plain_one_on_a_padded_image(stride, size):
    layer = SameConv2d(2, 4, 5, stride)
    images = torch.rand(3, 2, size, size + 1)
    edges = []
    for length in (size + 1, size):  # F.pad counts from the last axis
        total = max((-(-length // stride) - 1) * stride + 5 - length, 0)
        edges += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(images, edges), layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(images), expected)


def test_the_halves_hold_the_parameters_of_the_whole_once_each(model):
    whole = {id(parameter) for parameter in model.parameters()}
    for point in POINTS:
        edge = {id(parameter) for parameter in model.edge_half(point).parameters()}
        server = {id(parameter) for parameter in model.server_half(point).parameters()}
        assert edge | server == whole
        assert not edge & server


def test_a_half_is_in_the_mode_of_its_model(tiny_models):
    model = MoViNetStream(tiny_models.MOVINET, num_classes=7)
    assert model.edge_half("B3").training
    assert model.server_half("B3").training
    model.eval()
    assert not model.edge_half("B3").training
    assert not model.server_half("B3").training


def test_a_fresh_model_learns_with_every_parameter(tiny_models):
    model = MoViNetStream(tiny_models.MOVINET, num_classes=7, dropout=0.0)
    model(torch.rand(4, 3, 3, 16, 16)).square().mean().backward()
    silent = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_every_norm_has_the_published_epsilon(model):
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert {norm.eps for norm in norms} == {1e-3}


def test_an_unknown_offload_point_is_refused_by_name(model):
    for use in (model.edge_half, model.server_half, model.feature_shape, model.num_layers_before):
        with pytest.raises(ValueError, match=r"MoViNetStream has the offload points B1, .*, B6, found 'B7'"):
            use("B7")


@pytest.mark.parametrize("shape", [(1, 4, 1, 27, 22), (1, 3, 0, 27, 22)])
def test_frames_of_another_shape_are_refused(model, shape):
    message = r"a step takes \[batch, 3, time, height, width\] with at least one frame, found \(1, . ?"
    for part in (model, model.edge_half("B3")):
        with pytest.raises(ValueError, match=message):
            part.step(torch.zeros(shape), part.initial_state())
    server = model.server_half("B3")
    feature = Feature(torch.zeros(1, 3, 1, 4, 3), torch.zeros(1, 0, 3))
    with pytest.raises(ValueError, match=r"a step takes \[batch, 6, time, height, width\] .*found \(1, 3, "):
        server.step(feature, server.initial_state())


def test_a_state_of_another_part_or_batch_is_refused(model):
    edge, server = model.edge_half("B5"), model.server_half("B5")
    frame = torch.zeros(1, 3, 1, 27, 22)
    for part in (model, edge):
        with pytest.raises(ValueError, match=r"must be one of this part, .*found 1, 1 and 16"):
            part.step(frame, server.initial_state())
    with pytest.raises(ValueError, match=r"expected 1 streams, .*found 2, "):
        model.step(frame, model.initial_state(2))


def test_a_state_for_another_frame_size_is_refused(model):
    for size in ((27, 60), (54, 22)):
        with pytest.raises(ValueError, match=r"a layer expected a mean and a history of shapes .*, found "):
            model.step(torch.zeros(1, 3, 1, 27, 22), model.initial_state(1, size))


@pytest.mark.parametrize(("batch_size", "size"), [(0, (8, 8)), (1, (0, 8))])
def test_an_empty_state_is_refused(model, batch_size, size):
    for part in (model, model.edge_half("B3"), model.server_half("B3")):
        with pytest.raises(ValueError, match="at least one stream and frames of at least 1x1, found"):
            part.initial_state(batch_size, size)


@torch.no_grad()
def test_a_step_can_be_exported_as_a_graph(model):
    frames = random_clip(1, 3, 1, 27, 22)
    _, state = model.step(frames, model.initial_state())

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, frames, state):
            return self.model.step(frames, state)

    exported = torch.export.export(Step().eval(), (frames, state)).module()
    (expected, following), (found, found_following) = model.step(frames, state), exported(frames, state)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_following.tensors(), following.tensors())
