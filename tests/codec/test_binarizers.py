import math

import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import LookupFree, NoisyThreshold, Spherical, Threshold, binarize
from approxbit.codec.binarizers import binary_loss, bit_planes
from approxbit.codec.compressor import threshold

ALL = (Threshold(), NoisyThreshold(), LookupFree(), Spherical())


def make_logits(scale=1.0):
    generator = torch.Generator().manual_seed(3)
    grid = scale * torch.randn(4, 6, 2, 3, 3, generator=generator)
    return Feature(
        grid.requires_grad_(), (scale * torch.randn(4, 1, 6, generator=generator)).requires_grad_()
    )


def name_of(binarizer):
    return type(binarizer).__name__


def test_bits_are_exactly_zero_and_one():
    logits = torch.randn(10_000) * torch.logspace(-8, 3, 10_000)
    assert set(binarize(logits).tolist()) == {0.0, 1.0}


def test_bits_are_the_thresholded_sigmoid_of_the_paper():
    logits = torch.randn(10_000, dtype=torch.float64) * 10
    assert torch.equal(binarize(logits), (torch.sigmoid(logits) > 0.5).double())


def test_small_positive_logits_are_ones_in_half_precision_where_their_sigmoid_is_not():
    logits = torch.tensor([1e-4, -1e-4, 6e-8], dtype=torch.float16)
    assert torch.sigmoid(logits).tolist() == [0.5, 0.5, 0.5]
    assert binarize(logits).tolist() == [1.0, 0.0, 1.0]


def test_the_gradient_is_that_of_the_sigmoid():
    logits = torch.linspace(-4, 4, 17, requires_grad=True)
    weights = torch.randn(17)
    (found,) = torch.autograd.grad((weights * binarize(logits)).sum(), logits)
    (expected,) = torch.autograd.grad((weights * torch.sigmoid(logits)).sum(), logits)
    torch.testing.assert_close(found, expected)


def test_binary_loss_worked_by_hand():
    """A logit of 0 rounds to 0 and costs ln 2; of +-ln 3 it costs ln(4/3) either way (Eq. 4)."""
    assert binary_loss(torch.tensor([0.0])).item() == pytest.approx(math.log(2))
    logits = torch.tensor([math.log(3), -math.log(3)])
    assert binary_loss(logits).item() == pytest.approx(math.log(4 / 3))


def test_binary_loss_pushes_bits_away_from_the_threshold_and_has_no_gradient_through_its_target():
    logits = torch.tensor([0.5, -0.5], requires_grad=True)
    binary_loss(logits).backward()
    expected = torch.tensor([torch.sigmoid(torch.tensor(0.5)) - 1, torch.sigmoid(torch.tensor(-0.5))]) / 2
    assert torch.allclose(logits.grad, expected)


@pytest.mark.parametrize("binarizer", ALL, ids=name_of)
def test_every_binariser_gives_bits_of_the_logits_own_shape(binarizer):
    logits = make_logits()
    bits = binarizer(logits)
    assert bits.grid.shape == logits.grid.shape
    assert bits.tokens.shape == logits.tokens.shape
    assert set(bits.grid.unique().tolist()) | set(bits.tokens.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("binarizer", ALL, ids=name_of)
def test_every_binariser_decides_what_is_deployed(binarizer):
    if isinstance(binarizer, NoisyThreshold):
        binarizer = NoisyThreshold(scale=1e-9)
    logits = make_logits()
    code, bits = threshold(logits), binarizer(logits)
    assert torch.equal(bits.grid, code.grid.float())
    assert torch.equal(bits.tokens, code.tokens.float())


@pytest.mark.parametrize("binarizer", ALL, ids=name_of)
def test_bits_and_loss_give_every_logit_a_finite_gradient(binarizer):
    logits = make_logits()
    bits = binarizer(logits)
    weights = torch.randn_like(bits.grid)
    ((weights * bits.grid).sum() + bits.tokens.square().sum() + binarizer.loss(logits)).backward()
    for part in logits:
        assert part.grad.isfinite().all()
        assert part.grad.abs().mean() > 0


def test_the_loss_of_the_threshold_is_the_papers_over_grid_and_tokens():
    logits = make_logits()
    everything = torch.cat([logits.grid.flatten(), logits.tokens.flatten()])
    torch.testing.assert_close(Threshold().loss(logits), binary_loss(everything))


def test_a_plane_holds_one_bit_of_grid_and_tokens():
    grid, tokens = torch.randn(2, 3, 1, 2, 2), torch.randn(2, 1, 3)
    planes = bit_planes(Feature(grid, tokens))
    assert planes.shape == (3, 10)
    assert sorted(planes[1].tolist()) == sorted(
        [*grid[:, 1].flatten().tolist(), *tokens[:, :, 1].flatten().tolist()]
    )


def test_noise_flips_bits_as_often_as_its_distribution_says():
    torch.manual_seed(0)
    bits = NoisyThreshold(scale=2.0)(Feature(torch.full((1, 1, 1, 200, 200), 1.0), torch.zeros(1, 0, 1)))
    assert bits.grid.mean().item() == pytest.approx(torch.sigmoid(torch.tensor(0.5)).item(), abs=0.01)


@pytest.mark.parametrize("binarizer", [LookupFree(), Spherical()], ids=name_of)
def test_the_entropy_term_likes_sure_bits_in_full_use(binarizer):
    signs = torch.tensor([1.0, -1.0]).repeat(8).reshape(1, 1, 1, 4, 4).expand(1, 4, 1, 4, 4)
    none = torch.zeros(1, 0, 4)
    in_use = binarizer.loss(Feature(signs, none))
    dead = binarizer.loss(Feature(signs.abs(), none))
    unsure = binarizer.loss(Feature(0.01 * signs, none))
    assert in_use < dead
    assert isinstance(binarizer, Spherical) or in_use < unsure


@pytest.mark.parametrize("binarizer", ALL, ids=name_of)
def test_bits_that_are_sure_in_float32_have_a_gradient_that_is_a_number(binarizer):
    grid = torch.tensor([-1e4, -100.0, 0.0, 100.0]).reshape(1, 4, 1, 1, 1).requires_grad_()
    binarizer.loss(Feature(grid, torch.zeros(1, 0, 4))).backward()
    assert grid.grad.isfinite().all()


def test_on_the_sphere_the_length_of_the_logits_does_not_matter():
    short, long = make_logits(), make_logits(scale=100.0)
    torch.testing.assert_close(Spherical().loss(short), Spherical().loss(long))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoisyThreshold(0.0), "scale of the noise to be above 0, found 0.0"),
        (lambda: LookupFree(diversity=-1.0), "at least 0, found -1.0 and 0.25"),
        (lambda: Spherical(float("nan")), "at least 0, found nan"),
    ],
)
def test_a_weight_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize(
    "binarizer", [Threshold(), LookupFree(), Spherical()], ids=lambda each: type(each).__name__
)
def test_a_logit_of_exactly_0_is_bit_0(binarizer, zero):
    logits = Feature(torch.full((2, 3, 1, 1, 2), zero), torch.full((2, 1, 3), zero))
    assert not any(part.any() for part in binarizer(logits))
    assert not any(part.any() for part in threshold(logits))
