from __future__ import annotations

import pytest
import torch
from torch import nn

from approxbit.backbones.splitting import NotCleanError, TokenLayout, split
from approxbit.backbones.splitting.trace import trace_model

CLIP = (1, 3, 4, 16, 16)


def refusal(model: nn.Module, at: str, example: torch.Tensor | None = None) -> str:
    with pytest.raises(NotCleanError) as caught:
        split(model, at, torch.rand(CLIP) if example is None else example)
    return str(caught.value)


class Odd(nn.Module):
    """One module of every kind that cannot be cut at."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 1)
        self.pair = Pair()
        self.twice = nn.Conv3d(4, 4, 1)
        self.unused = nn.Conv3d(4, 4, 1)
        self.empty = nn.Module()
        self.index = Index()
        self.position = Position()
        self.side = nn.Conv3d(3, 4, 1)
        self.parts = nn.ModuleList([nn.Conv3d(4, 4, 1), nn.ReLU()])
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.same = Same()
        self.head = nn.Linear(4, 2)

    def forward(self, clip):
        self.side(clip)
        left, right = self.pair(self.stem(self.same(clip)))
        x = self.twice(self.twice(left + right))
        for part in self.parts:
            x = part(x)
        x = x.flatten(2).transpose(1, 2) + self.position(x)
        x, _ = self.attention(x, x, x, need_weights=False)
        return self.head(x.mean(1) + self.index(x).sum())


class Pair(nn.Module):
    def forward(self, x):
        return {"left": x, "both": [x * 2]}["left"], x * 3


class Index(nn.Module):
    def forward(self, x):
        return x.argmax(1)


class Position(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.rand(1, 1, 4))

    def forward(self, x):
        number = x.shape[2] * x.shape[3] * x.shape[4]
        return self.bias * torch.arange(number).view(1, -1, 1) / number


class Same(nn.Module):
    def forward(self, x):
        return x


@pytest.fixture(scope="module")
def odd() -> nn.Module:
    return Odd().eval()


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("pair", "'pair' returns 2 tensors, and exactly one can cross a cut"),
        ("twice", "'twice' runs 2 times, and a cut is made at a module that runs once"),
        ("unused", "'unused' is never run on the example"),
        (
            "parts",
            "'parts' is never run on the example; it only holds other modules, the last of them is 'parts.1'",
        ),
        ("index", "'index' returns torch.int64, and a feature is made of floats"),
        ("position", "what 'position' returns depends on nothing in the clip"),
        ("side", "the cut at 'side' is not clean: the answer does not depend on what crosses there"),
        ("head", "'head' returns the model's answer, which leaves nothing to do after the cut"),
        ("same", "'same' returns the clip, which leaves nothing to do before the cut"),
        ("attention.out_proj", "'attention.out_proj' is inside 'attention' and is not called by itself"),
    ],
)
def test_a_place_that_cannot_be_cut_says_why(odd, at, message):
    assert message in refusal(odd, at)


def test_attention_that_returns_a_tensor_and_nothing_can_be_cut_at(odd):
    backbone = split(odd, "attention", torch.rand(CLIP), layout=TokenLayout((4, 16, 16)))
    assert backbone.feature_shape("attention") == (4, 4, 16, 16)


def test_a_skip_connection_is_named_and_so_are_the_clean_cuts_around_it(net, residual):
    message = refusal(net(residual(4), residual(4)).eval(), "blocks.1.conv2")
    assert (
        "the cut at 'blocks.1.conv2' is not clean: a skip connection or a second pathway crosses it"
        in message
    )
    assert (
        "the output of 'blocks.0', a tensor of shape (1, 4, 4, 8, 8), is needed after the cut too" in message
    )
    assert message.endswith("the nearest clean cuts are 'blocks.0' and 'blocks'")


def test_a_value_without_a_module_is_named_by_its_operation(net):
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 4, 1)

        def forward(self, x):
            doubled = x * 2
            return self.conv(doubled) + doubled

    assert "the result of 'mul' in 'blocks.0', a tensor of shape" in refusal(
        net(Skip()).eval(), "blocks.0.conv"
    )


def test_the_clip_itself_may_be_what_crosses():
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(3, 3, 1)

        def forward(self, clip):
            return (self.conv(clip) + clip).mean((2, 3, 4))

    assert "the clip itself is needed after the cut too" in refusal(Late().eval(), "conv")


def test_an_unknown_module_is_answered_with_near_names(net, residual):
    model = net(residual(4), residual(4)).eval()
    with pytest.raises(ValueError, match=r"no module 'blocks.2'; perhaps 'blocks.1' or 'blocks.0'"):
        split(model, "blocks.2", torch.rand(CLIP))
    with pytest.raises(ValueError, match=r"no module 'zzz'; perhaps 'stem' or 'blocks' or 'fc'"):
        split(model, "zzz", torch.rand(CLIP))


def test_a_module_whose_code_cannot_be_followed_says_so(net, residual):
    class Assigns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            x[:, 0] = 0
            return x

    model = net(Assigns(), residual(4)).eval()
    message = refusal(model, "blocks.0.conv")
    assert "'blocks.0.conv' is inside 'blocks.0', which cannot be looked into (TypeError: " in message
    split(model, "blocks.0", torch.rand(CLIP))


def test_a_tensor_used_after_a_change_through_a_view_keeps_its_module_whole(net):
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            view = x.view(x.shape)
            view.mul_(2)
            return x + 1

    model = net(Views(), nn.ReLU()).eval()
    assert "used after it was changed in place through another view" in refusal(model, "blocks.0.conv")
    split(model, "blocks.0", torch.rand(CLIP))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, torch.jit.script])
def test_a_wrapped_model_is_refused(wrap):
    model = wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5)).eval()).eval()
    with pytest.raises(ValueError, match=r"found model to be a \w+ made of it: pass the original"):
        split(model, "0", torch.rand(1, 3, 8, 8))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize(("wrap", "original"), [(nn.DataParallel, "module"), (torch.compile, "_orig_mod")])
def test_a_wrapped_part_is_refused_by_its_name(net, wrap, original):
    model = net(nn.ReLU()).eval()
    model.blocks = wrap(model.blocks).eval()
    with pytest.raises(ValueError, match=rf"found model\.blocks to be .*, model\.blocks\.{original}$"):
        split(model, "stem", torch.rand(CLIP))
    scripted = net(nn.ReLU()).eval()
    scripted.blocks = torch.jit.script(scripted.blocks)
    split(scripted, "stem", torch.rand(CLIP))


@pytest.mark.parametrize(
    ("weights", "example"),
    [("bfloat16", "float32"), ("float32", "bfloat16"), ("float32", "uint8"), ("float32", "float64")],
)
def test_an_example_in_other_numbers_than_the_weights_is_told_what_to_become(net, weights, example):
    model, clip = net(nn.ReLU()).eval().to(getattr(torch, weights)), torch.rand(CLIP)
    with pytest.raises(
        ValueError, match=rf"weights are torch\.{weights} .* pass example\.to\(torch\.{weights}\)$"
    ):
        split(model, "stem", clip.to(getattr(torch, example)))
    split(model, "stem", clip.to(getattr(torch, weights)))


def test_an_example_of_another_device_than_the_weights_is_told_where_to_go(net):
    with pytest.raises(ValueError, match=r"does not run on the example \(.*pass example\.to\('meta'\)$"):
        split(net(nn.ReLU()).eval().to("meta"), "stem", torch.rand(CLIP))


def test_a_branch_on_values_is_named_so(function):
    def forward(self, clip):
        x = self.stem(clip)
        x = x * 2 if x.mean() > 10 else x
        return self.head(self.last(x).mean((2, 3, 4)))

    parts = {"stem": nn.Conv3d(3, 4, 1), "last": nn.Conv3d(4, 4, 1), "head": nn.Linear(4, 2)}
    half = split(function(forward, **parts), "last", torch.rand(CLIP)).edge_half("last")
    half(torch.rand(CLIP))
    with torch.no_grad():
        parts["stem"].bias.fill_(100)
    with pytest.raises(ValueError, match=r"decides by the content of its clips.* cut it where no module"):
        half(torch.rand(CLIP))


def test_training_mode_is_refused(net, residual):
    model = net(residual(4)).eval()
    model.blocks[0].norm.train()
    with pytest.raises(
        ValueError, match=r"eval mode \(model.eval\(\)\), found blocks.0.norm in training mode"
    ):
        split(model, "stem", torch.rand(CLIP))
    with pytest.raises(ValueError, match="found the model itself in training mode"):
        split(model.train(), "stem", torch.rand(CLIP))


@pytest.mark.parametrize(
    ("example", "found"),
    [([torch.rand(CLIP)] * 2, "a list of 2"), (torch.rand(2, 3), r"shape \(2, 3\)")],
)
def test_an_example_that_is_not_one_clip_tensor_is_refused(net, example, found):
    with pytest.raises(ValueError, match=f"must be one tensor, a batch of clips .* found .*{found}"):
        split(net().eval(), "stem", example)


class Returns(nn.Module):
    def __init__(self, kind) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 1)
        self.kind = kind

    def forward(self, clip):
        return self.kind(self.stem(clip).mean((2, 3, 4)))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (lambda x: {"logits": x}, "a dict with logits"),
        (lambda x: (x, x), "a tuple of 2"),
        (lambda x: x.sum(), r"a tensor of shape \(\)"),
        (lambda x: None, "None"),
        (lambda x: object(), "object"),
    ],
)
def test_an_answer_that_is_not_logits_is_refused(kind, found):
    with pytest.raises(
        ValueError, match=rf"must return one tensor of logits \[batch, class\], found {found}"
    ):
        split(Returns(kind).eval(), "stem", torch.rand(CLIP))


def test_a_model_that_does_not_run_on_the_example_says_what_happened(net):
    with pytest.raises(ValueError, match=r"Net cannot be traced on the example \(RuntimeError: .*check that"):
        split(net().eval(), "stem", torch.rand(1, 5, 4, 8, 8))


def test_no_module_at_all_is_refused(net):
    with pytest.raises(ValueError, match="at least one module to cut at, found none"):
        split(net().eval(), [], torch.rand(CLIP))


def test_a_model_with_a_memory_is_found_out(net):
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    with pytest.raises(ValueError, match="gives another answer when it runs again on the same example"):
        split(net(Counter()).eval(), "stem", torch.rand(CLIP))


def test_a_model_that_a_trace_cannot_follow_is_found_out(net):
    class Peeks(nn.Module):
        def forward(self, x):
            return x if type(x) is torch.Tensor else x * 2

    with pytest.raises(
        ValueError,
        match=r"at stem the halves do not give the model's answer on the example \(largest difference",
    ):
        split(net(Peeks()).eval(), "stem", torch.rand(CLIP))


def test_what_a_model_keeps_on_itself_in_its_forward_is_taken_off_again(net):
    class Keeps(nn.Module):
        def forward(self, x):
            self.seen = x
            return x + 1

    model = net(Keeps()).eval()
    trace_model(model, torch.rand(CLIP))
    assert not hasattr(model.blocks[0], "seen")
