from __future__ import annotations

import copy
import io
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from approxbit.backbones.splitting import (
    GridLayout,
    SplitModel,
    TokenLayout,
    UnknownLayoutError,
    offload_points,
    split,
)

CLIP = (2, 3, 4, 16, 16)


class Function(nn.Module):
    """A model made of parts and a function of them."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self._function = forward
        for name, part in parts.items():
            self.add_module(name, part)
        self.eval()

    def forward(self, clip):
        return self._function(self, clip)


@torch.no_grad()
def assert_same(backbone: SplitModel, clip: torch.Tensor) -> None:
    for point in backbone.offload_points:
        feature = backbone.edge_half(point)(clip)
        assert torch.equal(backbone.server_half(point)(feature), backbone.model(clip))
        shape = tuple(clip.shape[1:]) if clip.dim() == 5 else (3, 1, *clip.shape[2:])
        assert tuple(feature.grid.shape[1:]) == backbone.feature_shape(point, shape)
        assert feature.grid.shape[0] == clip.shape[0]
        assert feature.tokens.shape[1] == backbone.num_tokens(point)


def test_the_halves_give_the_answer_of_the_whole_for_clips_of_any_size(net, residual):
    model = net(residual(4), residual(4)).eval()
    backbone = split(model, at=["blocks.0", "stem"], example=torch.rand(CLIP))
    assert backbone.offload_points == ("stem", "blocks.0")
    assert backbone.clip_shape == (3, 4, 16, 16)
    assert backbone.num_classes == 5
    for shape in (CLIP, (1, 3, 7, 9, 12), (3, 3, 1, 32, 8)):
        assert_same(backbone, torch.rand(shape))


@st.composite
def layers(draw):
    makers = {
        "conv": lambda: nn.Conv3d(4, 4, 3, padding=1, bias=False),
        "norm": lambda: nn.BatchNorm3d(4),
        "relu": lambda: nn.ReLU(inplace=True),
        "pool": lambda: nn.MaxPool3d(3, stride=2, padding=1),
        "dropout": lambda: nn.Dropout3d(0.5),
        "identity": nn.Identity,
        "residual": None,
    }
    return [(name, makers[name]) for name in draw(st.lists(st.sampled_from(sorted(makers)), max_size=5))]


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=layers())
def test_every_point_that_is_listed_splits_bit_for_bit(made, net, residual):
    model = net(*(residual(4) if make is None else make() for _, make in made)).eval()
    example = torch.rand(CLIP)
    points = offload_points(model, example)
    assert "stem" in [point.name for point in points]
    backbone = split(model, {f"P{number}": point.name for number, point in enumerate(points)}, example)
    assert_same(backbone, torch.rand(1, 3, 5, 12, 20))
    for number, point in enumerate(points):
        assert backbone.feature_shape(f"P{number}") == point.feature_shape


def test_each_half_shares_and_holds_only_the_parameters_that_it_uses(net, residual):
    model = net(residual(4), residual(4)).eval()
    backbone = split(model, "blocks.0", torch.rand(CLIP))
    edge = {id(each) for each in backbone.edge_half("blocks.0").parameters()}
    server = {id(each) for each in backbone.server_half("blocks.0").parameters()}
    early = [*model.stem.parameters(), *model.blocks[0].parameters()]
    assert edge == {id(each) for each in early}
    assert edge | server == {id(each) for each in model.parameters()}
    assert not edge & server


def test_splitting_leaves_the_model_as_it_was(net, residual):
    model = net(residual(4)).eval()
    model.clips_seen = None
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = [dict(module.__dict__) for module in model.modules()]
    split(model, "blocks.0", torch.rand(CLIP))
    assert attributes == [module.__dict__ for module in model.modules()]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_a_saved_edge_half_has_only_its_own_weights_and_computes_the_same(net, residual):
    model = net(*(residual(4) for _ in range(2)), nn.Conv3d(4, 4, 9, padding=4)).eval()
    half = split(model, "blocks.0", torch.rand(CLIP)).edge_half("blocks.0")
    file = io.BytesIO()
    torch.save(half, file)
    assert file.tell() < 0.5 * 4 * sum(each.numel() for each in model.parameters())
    file.seek(0)
    clip = torch.rand(1, 3, 5, 8, 8)
    assert torch.equal(torch.load(file, weights_only=False)(clip).grid, half(clip).grid)


def test_a_saved_half_for_tokens_still_reads_their_size_off_the_clip():
    backbone = split(token_model(0), "norm", torch.rand(CLIP))
    file = io.BytesIO()
    torch.save(backbone.edge_half("norm"), file)
    file.seek(0)
    assert torch.load(file, weights_only=False)(torch.rand(1, 3, 6, 24, 8)).grid.shape == (1, 8, 3, 6, 2)


def test_an_edge_half_can_be_exported(net, residual):
    half = split(net(residual(4)).eval(), "blocks.0", torch.rand(CLIP)).edge_half("blocks.0")
    clip = torch.rand(CLIP)
    assert torch.equal(torch.export.export(half, (clip,)).module()(clip).grid, half(clip).grid)


def test_a_copy_of_a_split_model_has_weights_of_its_own(net, residual):
    model = net(residual(4)).eval()
    copied = copy.deepcopy(split(model, "stem", torch.rand(CLIP)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert_same(copied, torch.rand(CLIP))
    assert copied.edge_half("stem")(torch.rand(CLIP)).grid.abs().sum() > 0


def test_gradients_flow_through_the_server_half_and_its_input_stays_as_it_was(net, residual):
    backbone = split(net(nn.BatchNorm3d(4), nn.ReLU(inplace=True)).eval(), "blocks.0", torch.rand(CLIP))
    feature = backbone.edge_half("blocks.0")(torch.rand(CLIP))
    grid = feature.grid.detach().requires_grad_()
    before = grid.detach().clone()
    backbone.server_half("blocks.0")(feature._replace(grid=grid)).sum().backward()
    assert grid.grad is not None
    assert grid.grad.abs().sum() > 0
    assert torch.equal(grid.detach(), before)


def test_tied_weights_stay_tied():
    layer = nn.Conv3d(3, 3, 1)
    head = nn.Linear(3, 2)
    model = Function(
        lambda self, clip: self.head(self.second(self.first(clip) * self.scale.weight.sum()).mean((2, 3, 4))),
        first=nn.Sequential(layer),
        second=nn.Sequential(nn.ReLU(), layer),
        scale=nn.Linear(1, 1),
        head=head,
    )
    backbone = split(model, "first", torch.rand(CLIP))
    assert_same(backbone, torch.rand(CLIP))
    assert next(backbone.edge_half("first").parameters()) is layer.weight


def test_an_offload_point_may_have_a_name_of_its_own():
    model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    backbone = split(model, {"B1": "0"}, torch.rand(CLIP))
    assert backbone.offload_points == ("B1",)
    with pytest.raises(ValueError, match=r"found '0': give it such a name, as in at={'P1': '0'}"):
        split(model, "0", torch.rand(CLIP))
    with pytest.raises(ValueError, match="SplitModel has the offload points B1, found 'B2'"):
        backbone.edge_half("B2")


# ---- sizes that cross ----------------------------------------------------------------------------------


def frame_wise(self, clip):
    """A 2-D model on every frame: batch and time come back at the end."""
    batch, channels, time, height, width = clip.shape
    frames = clip.transpose(1, 2).reshape(batch * time, channels, height, width)
    return self.head(self.image(frames).mean((2, 3)).view(batch, time, -1).mean(1))


def test_frames_in_the_batch_axis_are_found_and_their_number_comes_back_on_the_server():
    image = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 3))
    model = Function(frame_wise, image=image, head=nn.Linear(6, 5))
    backbone = split(model, ["image.0", "image"], torch.rand(CLIP))
    assert backbone.layout("image") == GridLayout("(BT)CHW")
    assert backbone.feature_shape("image", (3, 4, 16, 16)) == (6, 4, 5, 5)
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))


def pixel_shuffle_back(self, clip):
    """Sizes of the clip itself, and what is computed of them, after the cut."""
    _, _, time, height, width = clip.size()
    feature = self.stem(clip)
    mask = torch.zeros(1, 1, time, height // 2, width // 2, device=clip.device, dtype=clip.dtype) + 1
    scale = math.sqrt(time * (height // 2) * (width // 2))
    return self.head((feature * mask).flatten(2).sum(2) / scale)


def test_sizes_that_the_model_took_before_the_cut_are_read_off_the_feature():
    model = Function(pixel_shuffle_back, stem=nn.Conv3d(3, 4, 1, stride=(1, 2, 2)), head=nn.Linear(4, 2))
    backbone = split(model, "stem", torch.rand(CLIP))
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))


def test_tensors_that_the_model_makes_of_nothing_are_made_again():
    def forward(self, clip):
        weights = torch.tensor([1.0, 2.0, 3.0, 4.0]) / torch.arange(1, 5)
        return self.head(self.stem(clip).mean((2, 3, 4)) * weights * self.scales[1])

    model = Function(forward, stem=nn.Conv3d(3, 4, 1), head=nn.Linear(4, 2))
    model.scales = [torch.rand(4), torch.rand(4)]
    backbone = split(model, "stem", torch.rand(CLIP))
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))
    assert sum(each.numel() for each in backbone.server_half("stem").parameters()) == 4 * 2 + 2


def test_a_size_that_the_feature_does_not_show_is_named():
    model = Function(
        lambda self, clip: self.head(self.pool(clip).flatten(1)) / clip.shape[3],
        pool=nn.AdaptiveAvgPool3d(1),
        head=nn.Linear(3, 2),
    )
    with pytest.raises(
        ValueError, match=r"the shape of the clip itself is a size of the clip that the model needs"
    ):
        split(model, "pool", torch.rand(CLIP))


# ---- decisions -----------------------------------------------------------------------------------------


class Padded(nn.Module):
    """Pads clips of odd sizes, as Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 1)

    def forward(self, x):
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        return self.conv(x)


def test_a_module_that_decides_by_sizes_may_decide_otherwise_for_other_clips(net):
    backbone = split(net(Padded(), nn.ReLU()).eval(), "blocks.0", torch.rand(CLIP))
    for width in (8, 16, 18):
        assert_same(backbone, torch.rand(1, 3, 4, 16, width))


def test_a_cut_inside_such_a_module_holds_for_clips_that_decide_alike_and_refuses_others(net):
    model = net(Padded(), nn.ReLU()).eval()
    assert "blocks.0.conv" not in [point.name for point in offload_points(model, torch.rand(CLIP))][:1]
    inside = Function(
        lambda self, clip: self.head(self.padded(clip).mean((2, 3, 4))),
        padded=Padded2(),
        head=nn.Linear(4, 2),
    )
    backbone = split(inside, "padded.first", torch.rand(CLIP))
    assert_same(backbone, torch.rand(1, 3, 4, 8, 8))
    with pytest.raises(ValueError, match="this decision was False for the example that it was split with"):
        backbone.server_half("padded.first")(backbone.edge_half("padded.first")(torch.rand(1, 3, 4, 8, 9)))


class Padded2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 4, 1)
        self.second = nn.Conv3d(4, 4, 1)

    def forward(self, x):
        x = self.first(x)
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        for frame in range(int(x.shape[2] > 2)):
            x = x + frame
        return self.second(x)


class Chosen(nn.Module):
    """Looks at the pixels, which no graph can hold."""

    def forward(self, x):
        return x[x > 0.5].mean() + x if bool((x > 0.5).any()) else x


def test_a_module_that_decides_by_pixels_is_kept_whole(net):
    model = net(Chosen(), nn.Conv3d(4, 4, 1)).eval()
    backbone = split(model, "blocks.1", torch.rand(CLIP))
    for clip in (torch.rand(CLIP), -10 * torch.rand(CLIP)):
        assert_same(backbone, clip)


# ---- layouts -------------------------------------------------------------------------------------------


def token_model(num_class_tokens: int) -> nn.Module:
    def forward(self, clip):
        tokens = self.patch(clip).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.weight[None].expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.block(self.norm(tokens)).mean(1))

    return Function(
        forward,
        patch=nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4)),
        extra=nn.Embedding(num_class_tokens, 8),
        norm=nn.LayerNorm(8),
        block=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
        ),
        head=nn.Linear(8, 3),
    )


@pytest.mark.parametrize("num_class_tokens", [0, 1])
def test_tokens_are_laid_out_as_the_convolution_that_made_them(num_class_tokens):
    backbone = split(token_model(num_class_tokens), ["norm", "block.layers.0"], torch.rand(CLIP))
    assert backbone.layout("norm") == TokenLayout((2, 4, 4), num_class_tokens)
    assert backbone.num_tokens("norm") == num_class_tokens
    assert_same(backbone, torch.rand(1, 3, 6, 24, 8))


class CheckedPatches(nn.Module):
    """Refuses sizes that it was not made for, as those of VideoMAE do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4))

    def forward(self, clip):
        if clip.shape[3] != 16:
            raise ValueError("made for a height of 16")
        return self.conv(clip).flatten(2).transpose(1, 2)


def test_a_module_that_decides_by_sizes_is_looked_into_where_it_alone_knows_the_layout():
    model = Function(
        lambda self, clip: self.head(self.norm(self.patches(clip)).mean(1)),
        patches=CheckedPatches(),
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    backbone = split(model, "norm", torch.rand(CLIP))
    assert backbone.layout("norm") == TokenLayout((2, 4, 4))
    assert_same(backbone, torch.rand(1, 3, 6, 16, 24))


def test_tokens_that_could_be_of_two_grids_need_a_layout():
    model = Function(
        lambda self, clip: self.head(
            self.norm(self.tall(self.wide(clip)).flatten(2).transpose(1, 2)).mean(1)
        ),
        wide=nn.Conv3d(3, 8, (2, 2, 4), stride=(2, 2, 4)),  # 2 x 8 x 4
        tall=nn.Conv3d(8, 8, (1, 3, 1), padding=(1, 0, 1), stride=(1, 2, 1)),  # 4 x 3 x 6
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    twin = Function(
        lambda self, clip: self.head(
            self.norm(self.one(clip).flatten(2).mT + self.two(clip).flatten(2).mT).mean(1)
        ),
        one=nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4)),  # 2 x 4 x 4
        two=nn.Conv3d(3, 8, (4, 4, 2), stride=(4, 4, 2)),  # 1 x 4 x 8
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    assert split(model, "norm", torch.rand(CLIP)).layout("norm") == TokenLayout((4, 3, 6))
    with pytest.raises(
        UnknownLayoutError, match=r"0 class tokens and a grid of \(1, 4, 8\) or 0 class tokens and"
    ):
        split(twin, "norm", torch.rand(CLIP))


def test_more_class_tokens_must_be_said():
    model = token_model(3)
    with pytest.raises(
        UnknownLayoutError,
        match=r"how the 35 tokens of shape \(2, 35, 8\) are arranged is unclear, since no conv",
    ):
        split(model, "norm", torch.rand(CLIP))
    backbone = split(model, "norm", torch.rand(CLIP), layout=TokenLayout((2, 4, 4), num_class_tokens=3))
    assert_same(backbone, torch.rand(CLIP))
    counted = Function(lambda self, clip: self.model(clip) * clip.shape[0], model=model)
    assert_same(
        split(counted, {"P": "model.norm"}, torch.rand(CLIP), layout=TokenLayout((2, 4, 4), 3)),
        torch.rand(CLIP),
    )
    with pytest.raises(
        ValueError, match=r"at 'norm': a layout of 1 class tokens and a grid of \(2, 4, 4\) is for"
    ):
        split(model, "norm", torch.rand(CLIP), layout=TokenLayout((2, 4, 4), num_class_tokens=1))


def test_channels_last_grids_are_told_by_which_axes_grow_with_the_clip():
    def forward(self, clip):
        grid = self.patch(clip).permute(0, 2, 3, 4, 1)
        grid = self.merge(grid[:, :, ::2])
        return self.head(self.norm(grid).mean((1, 2, 3)))

    parts = {"patch": nn.Conv3d(3, 4, 2, stride=2), "merge": nn.Linear(4, 8), "norm": nn.LayerNorm(8)}
    backbone = split(Function(forward, **parts, head=nn.Linear(8, 2)), ["patch", "merge"], torch.rand(CLIP))
    assert backbone.layout("patch") == GridLayout("BCTHW")
    assert backbone.layout("merge") == GridLayout("BTHWC")
    assert_same(backbone, torch.rand(1, 3, 6, 24, 8))


def test_a_grid_without_a_sign_of_its_axes_needs_a_layout():
    def forward(self, clip):
        return self.head(self.mix(clip.reshape(clip.shape[0], 6, 8, 8, 8)).flatten(1))

    model = Function(forward, mix=nn.Linear(8, 8), head=nn.Linear(6 * 8**3, 2))
    with pytest.raises(
        UnknownLayoutError, match=r"at 'mix': which axes of shape \(2, 6, 8, 8, 8\) are channel"
    ):
        split(model, "mix", torch.rand(CLIP))
    assert_same(split(model, "mix", torch.rand(CLIP), layout=GridLayout("BTCHW")), torch.rand(CLIP))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ((16, -1, 4), r"first axis of shape \(16, 96, 4\) counts neither the 2 clips"),
        ((2, 1, 2, 2, 2, -1), "no grid of frames"),
    ],
)
def test_a_tensor_that_is_no_feature_is_refused(lengths, message):
    model = Function(
        lambda self, clip: self.head(self.act(clip.reshape(lengths)).reshape(2, -1)),
        act=nn.ReLU(),
        head=nn.Linear(3 * 4 * 16 * 16, 2),
    )
    with pytest.raises(UnknownLayoutError, match=message):
        split(model, "act", torch.rand(CLIP))


def test_an_image_model_takes_clips_of_one_frame():
    image = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = Function(lambda self, images: self.head(self.image(images)), image=image, head=nn.Linear(6, 5))
    backbone = split(model, ["image.0", "image"], torch.rand(2, 3, 16, 12))
    assert backbone.clip_shape == (3, 1, 16, 12)
    assert backbone.feature_shape("image.0") == (6, 1, 7, 5)
    assert backbone.feature_shape("image") == (6, 1, 1, 1)
    images = torch.rand(3, 3, 20, 20)
    assert_same(backbone, images)
    edge, server = backbone.edge_half("image"), backbone.server_half("image")
    assert torch.equal(server(edge(images.unsqueeze(2))), backbone(images.unsqueeze(2)))
    with pytest.raises(
        ValueError, match=r"takes clips of one frame, found a batch of shape \(1, 3, 2, 16, 16\)"
    ):
        backbone(torch.rand(1, 3, 2, 16, 16))


def test_shapes_are_enough_on_the_meta_device(net, residual):
    with torch.device("meta"):
        model = net(residual(4)).eval()
    backbone = split(model, "blocks.0", torch.empty(CLIP, device="meta"))
    assert backbone.feature_shape("blocks.0", (3, 32, 224, 224)) == (4, 32, 112, 112)
