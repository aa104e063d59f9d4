import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import FeatureStatistics, Standardizer


def make_feature(batch_size: int, num_tokens: int = 0) -> Feature:
    grid = torch.randn(batch_size, 3, 2, 4, 5) * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1, 1) + 100
    return Feature(grid, torch.randn(batch_size, num_tokens, 3) * 7 - 3)


def test_a_stream_of_batches_has_the_statistics_of_the_whole():
    statistics = FeatureStatistics()
    features = [make_feature(batch_size, num_tokens=2) for batch_size in (1, 4, 2)]
    for feature in features:
        statistics.update(feature)
    grids = torch.cat([feature.grid for feature in features]).transpose(0, 1).flatten(1)
    tokens = torch.cat([feature.tokens for feature in features]).flatten(0, 1)
    torch.testing.assert_close(statistics.mean, grids.mean(dim=1))
    torch.testing.assert_close(statistics.std, grids.std(dim=1, correction=0))
    torch.testing.assert_close(statistics.token_mean, tokens.mean(dim=0))
    torch.testing.assert_close(statistics.token_std, tokens.std(dim=0, correction=0))


def test_a_large_offset_costs_no_precision():
    statistics = FeatureStatistics()
    for sign in (-1, 1):
        statistics.update(Feature(torch.full((1, 1, 1, 1, 4), 4096.0 + sign / 64), torch.zeros(1, 0, 1)))
    assert statistics.mean.item() == 4096.0
    assert statistics.std.item() == pytest.approx(1 / 64)


def test_without_tokens_there_are_no_statistics_of_tokens():
    statistics = FeatureStatistics()
    statistics.update(make_feature(1))
    assert statistics.token_mean is None
    assert statistics.token_std is None


@pytest.mark.parametrize("name", ["mean", "std"])
def test_statistics_of_nothing_are_refused(name):
    with pytest.raises(
        ValueError, match="statistics need at least one feature, found none: call update first"
    ):
        getattr(FeatureStatistics(), name)


@pytest.mark.parametrize("num_tokens", [0, 2])
def test_standardised_features_have_mean_zero_and_deviation_one_and_come_back(num_tokens):
    feature = make_feature(64, num_tokens)
    statistics = FeatureStatistics()
    statistics.update(feature)
    standardizer = Standardizer(3, num_tokens)
    standardizer.fit(statistics.mean, statistics.std, statistics.token_mean, statistics.token_std)
    standardized = standardizer.standardize(feature)
    assert standardized.grid.mean(dim=(0, 2, 3, 4)).abs().max() < 1e-3
    assert (standardized.grid.std(dim=(0, 2, 3, 4)) - 1).abs().max() < 1e-3
    if num_tokens:
        assert standardized.tokens.mean(dim=(0, 1)).abs().max() < 1e-3
        assert (standardized.tokens.std(dim=(0, 1)) - 1).abs().max() < 1e-2
    back = standardizer.restore(standardized)
    torch.testing.assert_close(back.grid, feature.grid)
    torch.testing.assert_close(back.tokens, feature.tokens)


def test_a_new_standardizer_changes_nothing():
    feature = make_feature(2, num_tokens=1)
    standardized = Standardizer(3, num_tokens=1).standardize(feature)
    assert torch.equal(standardized.grid, feature.grid)
    assert torch.equal(standardized.tokens, feature.tokens)


def test_a_channel_that_stood_still_stays_finite():
    standardizer = Standardizer(2)
    standardizer.fit(torch.zeros(2), torch.tensor([0.0, 2.0]))
    assert standardizer.std.tolist() == [pytest.approx(1e-3), 2.0]
    standardizer.fit(torch.zeros(2), torch.zeros(2))
    assert standardizer.std.tolist() == [1.0, 1.0]


def test_statistics_of_tokens_must_be_given_where_there_are_tokens():
    with pytest.raises(ValueError, match="a codec with class tokens needs token_mean and token_std"):
        Standardizer(2, num_tokens=1).fit(torch.zeros(2), torch.ones(2))
    with pytest.raises(
        ValueError, match="a codec without class tokens takes neither token_mean nor token_std"
    ):
        Standardizer(2).fit(torch.zeros(2), torch.ones(2), torch.zeros(2), torch.ones(2))
    with pytest.raises(
        ValueError, match="a codec without class tokens takes neither token_mean nor token_std"
    ):
        Standardizer(2).fit(torch.zeros(2), torch.ones(2), torch.zeros(2))


def test_statistics_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match=r"mean and std must have the shape \(2,\), found \(3,\) and \(3,\)"):
        Standardizer(2).fit(torch.zeros(3), torch.ones(3))


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.0, float("nan")], [1.0, 1.0]), ([0.0, 0.0], [1.0, -1.0]), ([0.0, 0.0], [1.0, float("inf")])],
)
def test_values_that_are_no_statistics_are_refused(mean, std):
    with pytest.raises(ValueError, match="mean must be finite and std finite and at least 0"):
        Standardizer(2).fit(torch.tensor(mean), torch.tensor(std))
