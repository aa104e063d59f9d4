"""The learned prior: its bits, its gradients, and the tables it becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_clips import RandomClips

from approxbit import cli, zoo
from approxbit.codec import Codec
from approxbit.codec.binarizers import binarize
from approxbit.codec.code import Code
from approxbit.configuration import Configuration
from approxbit.datasets.windows import Windows
from approxbit.tasks import Classification
from approxbit.training.prior import CodePrior, WindowPairs, guess_code
from approxbit.training.prior_family import measure_updates, pair_windows, train_priors
from approxbit.wire import entropy

GRID = (2, 3, 3)


def random_prior(preset: str, num_tokens: int = 0, num_reference: int = 0) -> CodePrior:
    torch.manual_seed(0)
    prior = CodePrior(4, GRID, num_tokens, preset, num_reference)
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


@pytest.mark.parametrize("preset", ["fast", "small", "global"])
@pytest.mark.parametrize("num_tokens", [0, 2])
def test_the_tables_code_a_code_in_as_many_bytes_as_the_prior_says(preset: str, num_tokens: int) -> None:
    prior, codes = random_prior(preset, num_tokens), random_codes(200, num_tokens)
    prior.fit(codes, num_steps=60)
    tables = prior.freeze()
    ideal = prior(codes).detach().numpy() / 8
    coded = [entropy.encode(planes, tables) for planes in codes.to_planes().numpy()]
    pairs = [(len(payload), size) for payload, size in zip(coded, ideal, strict=True) if payload is not None]
    assert len(pairs) > 150
    excess = np.array([found - size for found, size in pairs])
    assert np.abs(excess).max() < 1.5
    assert 0 < excess.mean() < 0.7  # a payload is whole bytes


@pytest.mark.parametrize("preset", ["fast", "small", "global"])
def test_a_prior_learns_what_the_codes_have_in_common(preset: str) -> None:
    prior = CodePrior(4, GRID, preset=preset)
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


def test_global_units_see_all_bits_before_and_no_other() -> None:
    prior = random_prior("global", num_tokens=2)
    grid, tokens = torch.rand(1, 4, *GRID), torch.rand(1, 2, 4)
    grid.requires_grad_()
    tokens.requires_grad_()
    logits = prior.logits(Code(grid, tokens))
    of_grid, of_tokens = torch.autograd.grad(logits.grid[0, 1, 0, 2, 1], (grid, tokens), retain_graph=True)
    assert of_grid[0, 2:].abs().max() == 0
    assert of_grid[0, 1].flatten()[7:].abs().max() == 0
    assert of_grid[0, 1].flatten()[:7].abs().min() > 0
    assert of_grid[0, 0].abs().min() > 0
    assert (of_tokens[0] != 0).tolist() == [[True, False, False, False]] * 2
    of_grid, of_tokens = torch.autograd.grad(logits.tokens[0, 0, 2], (grid, tokens))
    assert of_grid[0, :3].abs().min() > 0
    assert of_grid[0, 3].abs().max() == 0
    assert (of_tokens[0] != 0).tolist() == [[True, True, False, False]] * 2


def test_codes_of_many_bits_have_fewer_global_units() -> None:
    sizes = [(4, 1024), (16, 1024), (32, 8192), (33, 8192)]
    assert [len(CodePrior(bits, (1, 1, width), 0, "global").global_bias) for bits, width in sizes] == [
        64,
        16,
        1,
        0,
    ]


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
    tables = replace(CodePrior(4, GRID).freeze(), update=prior.freeze())
    planes = codes.to_planes().numpy()
    payload = entropy.encode(planes[0], tables, entropy.Reference(planes[0], 0))
    assert payload is not None
    assert len(payload) == pytest.approx(float(with_it[0]) / 8, abs=1.1)


LONG = (6, 3, 3)


def sliding_codes(count: int, steps: int, num_tokens: int = 0, seed: int = 0) -> WindowPairs:
    """Random videos under a window that slides; one bit in ten changes when it does."""
    generator = torch.Generator().manual_seed(seed)
    videos = torch.rand(count, 4, LONG[0] + steps, 3, 3, generator=generator)
    later, flips = videos[:, :, steps:] > 0.5, torch.rand(count, 4, *LONG, generator=generator) < 0.1
    tokens = torch.zeros(count, num_tokens, 4, dtype=torch.uint8)
    earlier = (videos[:, :, : LONG[0]] > 0.5).to(torch.uint8)
    return WindowPairs(Code((later ^ flips).to(torch.uint8), tokens), Code(earlier, tokens), steps)


@pytest.mark.parametrize("num_tokens", [0, 1])
def test_a_prior_learns_what_an_earlier_code_tells(num_tokens: int) -> None:
    """Of `steps` random time steps all bits remain, of the others what one flip in ten costs: 0.47 bits."""
    torch.manual_seed(0)
    prior = CodePrior(4, LONG, num_tokens, num_reference=1)
    pairs = [sliding_codes(2000, steps, num_tokens) for steps in (1, 3)]
    prior.fit_updates(pairs, num_steps=200, batch_size=128)
    for steps in (1, 3):
        test = sliding_codes(200, steps, num_tokens, seed=1)
        with torch.no_grad():
            bits = prior(test.code, guess_code(test.earlier, steps)).mean()
        expected = 4 * 9 * (steps + (LONG[0] - steps) * 0.469)
        assert float(bits) == pytest.approx(expected, rel=0.06)
        tables = replace(CodePrior(4, LONG, num_tokens).freeze(), update=prior.freeze())
        assert measure_updates("it", tables, test) == pytest.approx(float(bits) / 8, abs=1.0)


def test_a_guess_is_the_earlier_code_moved_and_half_where_there_is_none() -> None:
    earlier = Code(torch.arange(3).reshape(1, 1, 3, 1, 1), torch.zeros(1, 0, 1))
    assert guess_code(earlier, 1).grid.flatten().tolist() == [1, 2, 0.5]
    assert guess_code(earlier, 0).grid.flatten().tolist() == [0, 1, 2]


def test_windows_are_paired_within_their_video() -> None:
    windows = Windows(RandomClips(TOYS), shifts=(4, 8))
    assert windows.num_windows == 5
    numbers = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1, 1).expand(10, 1, 8, 1, 1)
    pairs = pair_windows(Code(numbers, torch.zeros(10, 0, 1, dtype=torch.uint8)), windows)
    found = {shift: [each.grid[:, 0, 0, 0, 0].tolist() for each in pair[:2]] for shift, pair in pairs.items()}
    assert found[4] == [[1, 2, 3, 4, 6, 7, 8, 9], [0, 1, 2, 3, 5, 6, 7, 8]]
    assert found[8] == [[2, 3, 4, 7, 8, 9], [0, 1, 2, 5, 6, 7]]
    assert {shift: pair.steps for shift, pair in pairs.items()} == {4: 2, 8: 4}


def test_what_does_not_fit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="preset must be one of fast, small, global, found 'tiny'"):
        CodePrior(4, GRID, preset="tiny")
    prior = CodePrior(4, GRID)
    with pytest.raises(
        ValueError, match=r"a prior of \(bits, time, height, width, tokens\) \(4, 2, 3, 3, 0\)"
    ):
        prior(random_codes(2, 1))
    with pytest.raises(ValueError, match="this prior looks at no reference"):
        prior(random_codes(2), random_codes(2))


TOYS = Classification.of_names("abc", "toys")


def tiny_windows() -> Windows:
    """Windows of 4 frames, every 2 frames."""
    return Windows(RandomClips(TOYS, (3, 8, 32, 32), 2), num_frames=4, shifts=(2, 4), every=2)


def make_toy_family(checkpoints: Path, *configurations: str) -> None:
    """Untrained codecs of a tiny backbone."""
    torch.manual_seed(1)
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(checkpoints / "toy", backbone, "movinet_small", arguments, TOYS)
    for name in configurations:
        parsed = Configuration.parse(name)
        shape = backbone.feature_shape(parsed.offload_point)
        zoo.save_codec(checkpoints / "toy", Codec(shape, parsed).eval())


@pytest.mark.parametrize("with_windows", [False, True])
def test_every_codec_of_a_family_gets_its_prior(tmp_path, with_windows: bool) -> None:
    make_toy_family(tmp_path, "5-Enc-B3", "4-NoEnc-B2", "3-NoEnc-B2")
    before = zoo.load_family("toy", tmp_path)
    windows = tiny_windows() if with_windows else None
    results = list(train_priors("toy", RandomClips(TOYS), tmp_path, "fast", num_steps=10, windows=windows))
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
        metrics = zoo.card(each.name, tmp_path).provenance.metrics
        assert metrics["raw_bytes"] == each.raw_bytes
        assert (after[name].prior.update is not None) == with_windows
        assert set(each.update_bytes) == ({2, 4} if with_windows else set())
        for shift, num_bytes in each.update_bytes.items():
            assert 0 < num_bytes <= each.raw_bytes
            assert metrics[f"update_bytes_{shift}"] == round(num_bytes, 2)
    (alone,) = train_priors(
        "toy", RandomClips(TOYS), tmp_path, "fast", num_steps=1, configurations=["4-NoEnc-B2"]
    )
    assert alone.name == "toy/4-NoEnc-B2"


def test_an_unknown_preset_or_codec_is_refused_before_any_clip_is_looked_at(tmp_path) -> None:
    with pytest.raises(ValueError, match="preset must be one of fast, small, global, found 'tiny'"):
        next(train_priors("toy", None, tmp_path, "tiny"))
    make_toy_family(tmp_path, "4-NoEnc-B2")
    with pytest.raises(ValueError, match="configurations of toy among 4-NoEnc-B2, found 5-NoEnc-B2"):
        next(train_priors("toy", None, tmp_path, configurations=["5-NoEnc-B2"]))


def test_the_command_needs_data_where_the_cards_name_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_toy_family(tmp_path, "8-NoEnc-B2")
    before = {path: path.read_bytes() for path in (tmp_path / "toy").iterdir()}
    with pytest.raises(SystemExit, match="1"):
        cli.main(["prior", "--family", "toy", "--checkpoints", str(tmp_path), "--clips", "10"])
    complaint = capsys.readouterr().err
    assert "the cards of toy do not say which clips it was trained on: name them by --data" in complaint
    assert {path: path.read_bytes() for path in (tmp_path / "toy").iterdir()} == before
