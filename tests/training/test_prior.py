"""The learned prior: its bits, its gradients, and the tables it becomes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.codec.binarizers import binarize
from approxbit.codec.code import Code
from approxbit.configuration import Configuration
from approxbit.training.prior import CodePrior
from approxbit.training.prior_family import train_priors
from approxbit.wire import entropy

GRID = (2, 3, 3)


def random_prior(profile: str, num_tokens: int = 0, num_reference: int = 0) -> CodePrior:
    torch.manual_seed(0)
    prior = CodePrior(4, GRID, num_tokens, profile, num_reference)
    for parameter in prior.parameters():
        parameter.data.normal_(0, 0.3)
    return prior


def random_codes(count: int, num_tokens: int = 0, seed: int = 0) -> Code:
    """Smooth fields over thresholds, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 2, 1, 2, 2, generator=generator)
    fields = torch.nn.functional.interpolate(coarse, GRID, mode="trilinear")
    grid = torch.cat([fields, fields.flip(2)], dim=1) + 0.3 * torch.randn(
        count, 4, *GRID, generator=generator
    )
    tokens = fields.mean((2, 3, 4))[:, None, [0, 1, 0, 1]].expand(-1, num_tokens, -1)
    return Code((grid > 0).to(torch.uint8), (tokens > 0).to(torch.uint8))


def test_an_untrained_linear_prior_needs_one_bit_for_each_bit() -> None:
    bits = CodePrior(4, GRID, num_tokens=1)(random_codes(3, 1))
    torch.testing.assert_close(bits, torch.full((3,), 4 * 19.0))


@pytest.mark.parametrize("profile", ["fast", "small"])
@pytest.mark.parametrize("num_tokens", [0, 2])
def test_the_tables_code_a_code_in_as_many_bytes_as_the_prior_says(profile: str, num_tokens: int) -> None:
    prior, codes = random_prior(profile, num_tokens), random_codes(200, num_tokens)
    prior.fit(codes, num_steps=60)
    tables = prior.freeze()
    ideal = prior(codes).detach().numpy() / 8
    coded = [entropy.encode(planes, tables) for planes in codes.to_planes().numpy()]
    pairs = [(len(layers[0]), size) for layers, size in zip(coded, ideal, strict=True) if layers is not None]
    assert len(pairs) > 150
    excess = np.array([found - size for found, size in pairs])
    assert np.abs(excess).max() < 1.5
    assert 0 < excess.mean() < 0.7  # a payload is whole bytes


@pytest.mark.parametrize("profile", ["fast", "small"])
def test_a_prior_learns_what_the_codes_have_in_common(profile: str) -> None:
    prior = CodePrior(4, GRID, profile=profile)
    bits = prior.fit(random_codes(500), num_steps=150)
    assert bits < 0.65 * 72
    with torch.no_grad():
        assert prior(random_codes(200, seed=1)).mean() < 0.7 * 72


def test_a_bit_is_predicted_from_earlier_bits_and_positions_alone() -> None:
    """The logit of a bit does not move when it, a later position of it or a later bit does."""
    prior, grid = random_prior("small"), torch.rand(1, 4, *GRID)
    grid.requires_grad_()
    logits = prior.logits(Code(grid, torch.zeros(1, 0, 4))).grid
    for bit, position in [(0, (1, 1, 1)), (2, (0, 2, 1)), (3, (1, 2, 2))]:
        (gradient,) = torch.autograd.grad(logits[(0, bit, *position)], grid, retain_graph=True)
        assert gradient[0, bit + 1 :].abs().max() == 0 if bit < 3 else True
        own = gradient[0, bit].flatten()
        place = int(np.ravel_multi_index(position, GRID))
        assert own[place:].abs().max() == 0
        assert own[:place].abs().max() > 0
        if bit:
            assert gradient[0, :bit, 1].abs().max() > 0  # earlier bits are known at later times as well


def test_the_gradient_reaches_the_code_and_the_logits_behind_it() -> None:
    prior, features = random_prior("fast"), torch.randn(2, 4, *GRID, requires_grad=True)
    prior(Code(binarize(features), torch.zeros(2, 0, 4))).sum().backward()
    assert features.grad is not None
    assert (features.grad != 0).float().mean() > 0.9


def test_a_reference_helps_where_it_is_right() -> None:
    torch.manual_seed(0)
    prior, codes = CodePrior(4, GRID, num_reference=7), random_codes(20)
    prior.reference.data[:, 0, 0] = 2.0
    with torch.no_grad():
        with_it, without = prior(codes, codes), prior(codes)
    assert (with_it < without).all()
    tables = prior.freeze()
    planes = codes.to_planes().numpy()
    layers = entropy.encode(planes[0], tables, reference=planes[0])
    assert layers is not None
    assert len(layers[0]) == pytest.approx(float(with_it[0]) / 8, abs=1.1)


def test_what_does_not_fit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="profile must be one of fast, small, found 'tiny'"):
        CodePrior(4, GRID, profile="tiny")
    prior = CodePrior(4, GRID)
    with pytest.raises(
        ValueError, match=r"a prior of \(bits, time, height, width, tokens\) \(4, 2, 3, 3, 0\)"
    ):
        prior(random_codes(2, 1))
    with pytest.raises(ValueError, match="this prior looks at no reference"):
        prior(random_codes(2), random_codes(2))


class TinyData:
    def loader(self, split: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
        torch.manual_seed(split == "test")
        return [(torch.rand(3, 3, 4, 32, 32), torch.zeros(3)) for _ in range(2)]


def test_every_codec_of_a_family_gets_its_prior(tmp_path) -> None:
    torch.manual_seed(1)
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    backbone = zoo.build_backbone("movinet_digits", arguments)
    zoo.save_backbone(tmp_path / "toy", backbone, "movinet_digits", arguments, ("a", "b", "c"))
    for name in ("5-Enc-B3", "4-NoEnc-B2", "3-NoEnc-B2"):
        parsed = Configuration.parse(name)
        zoo.save_codec(tmp_path / "toy", Codec(backbone.feature_shape(parsed.offload_point), parsed).eval())
    before = zoo.load_family("toy", tmp_path)
    results = list(train_priors("toy", TinyData(), tmp_path, "fast", num_steps=10))
    after = zoo.load_family("toy", tmp_path)
    assert {each.name for each in results} == {f"toy/{name}" for name in after}
    clip = torch.rand(1, 3, 4, 32, 32)
    for each in results:
        name = each.name.partition("/")[2]
        assert after[name].prior is not None
        assert after[name].fingerprint != before[name].fingerprint
        assert torch.equal(after[name](clip), before[name](clip))
        assert 0 < each.coded_bytes <= each.raw_bytes
        assert each.saved_percent == pytest.approx(100 * (1 - each.coded_bytes / each.raw_bytes))
        assert zoo.card(each.name, tmp_path).provenance.metrics["raw_bytes"] == each.raw_bytes
