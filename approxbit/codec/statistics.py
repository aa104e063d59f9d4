"""Per-channel mean and standard deviation of features: measured once, kept with the codec."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature

_SMALLEST_RELATIVE_STD = 1e-3


class FeatureStatistics:
    """Mean and standard deviation of each channel over all the features it was shown.

    Grid and class tokens are measured apart, in float64 and in one pass, so that a training set of any
    length can stream through.

    Example:
        >>> statistics = FeatureStatistics()
        >>> statistics.update(Feature(torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1, 1), torch.zeros(2, 0, 1)))
        >>> statistics.mean, statistics.std
        (tensor([2.]), tensor([1.]))
    """

    def __init__(self) -> None:
        self._grid = _Moments()
        self._tokens = _Moments()

    @torch.no_grad()
    def update(self, feature: Feature) -> None:
        """Take in one batch of features."""
        self._grid.update(feature.grid.transpose(0, 1).flatten(1))
        self._tokens.update(feature.tokens.flatten(0, 1).transpose(0, 1))

    @property
    def mean(self) -> Float[Tensor, " channel"]:
        """Mean of each channel of the grid."""
        return self._grid.mean()

    @property
    def std(self) -> Float[Tensor, " channel"]:
        """Standard deviation of each channel of the grid."""
        return self._grid.std()

    @property
    def token_mean(self) -> Float[Tensor, " channel"] | None:
        """Mean of each channel of the class tokens; None when there were none."""
        return self._tokens.mean() if self._tokens.count else None

    @property
    def token_std(self) -> Float[Tensor, " channel"] | None:
        """Standard deviation of each channel of the class tokens; None when there were none."""
        return self._tokens.std() if self._tokens.count else None


class _Moments:
    """Count, mean and sum of squared deviations, merged batch by batch (Chan, Golub and LeVeque, 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())

    def update(self, values: Float[Tensor, "channel value"]) -> None:
        count = values.shape[1]
        if count == 0:
            return
        values = values.double()
        mean = values.mean(dim=1)
        squares = (values - mean[:, None]).square().sum(dim=1)
        total = self.count + count
        step = mean - self._mean.to(mean)
        self._squares = self._squares.to(mean) + squares + step.square() * (self.count * count / total)
        self._mean = self._mean.to(mean) + step * (count / total)
        self.count = total

    def mean(self) -> Float[Tensor, " channel"]:
        self._check()
        return self._mean.float()

    def std(self) -> Float[Tensor, " channel"]:
        self._check()
        return (self._squares / self.count).sqrt().float()

    def _check(self) -> None:
        if self.count == 0:
            raise ValueError("statistics need at least one feature, found none: call update first")


class Standardizer(nn.Module):
    """Features to mean 0 and standard deviation 1 per channel, and back: two exact inverses.

    The statistics are buffers, frozen and saved with the weights; until `fit` they change nothing. Without
    standardisation the offsets of the channels put most logits on one side of 0, and the binary loss (Eq. 4,
    APPROXBIT) keeps them there: within a hundred steps every bit may be constant.

    Args:
        channels: Channels of the feature.
        num_tokens: Class tokens of one clip; with 0 they have no statistics.
    """

    mean: Tensor
    std: Tensor
    token_mean: Tensor
    token_std: Tensor

    def __init__(self, channels: int, num_tokens: int = 0):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.has_tokens = num_tokens > 0
        if self.has_tokens:
            self.register_buffer("token_mean", torch.zeros(channels))
            self.register_buffer("token_std", torch.ones(channels))

    @torch.no_grad()
    def fit(
        self,
        mean: Float[Tensor, " channel"],
        std: Float[Tensor, " channel"],
        token_mean: Float[Tensor, " channel"] | None = None,
        token_std: Float[Tensor, " channel"] | None = None,
    ) -> None:
        """Keep the statistics of a training set.

        A standard deviation below 1/1000 of the channels' average is raised to that, so that a channel
        which stood still in training cannot blow up later.

        Raises:
            ValueError: Statistics of the class tokens are missing, or given where there are none.
        """
        given = token_mean is not None and token_std is not None
        if given != self.has_tokens or (token_mean is None) != (token_std is None):
            needs = (
                "needs token_mean and token_std"
                if self.has_tokens
                else "takes neither token_mean nor token_std"
            )
            raise ValueError(f"a codec {'with' if self.has_tokens else 'without'} class tokens {needs}")
        self._keep("", mean, std)
        if token_mean is not None and token_std is not None:
            self._keep("token_", token_mean, token_std)

    def _keep(self, prefix: str, mean: Float[Tensor, " channel"], std: Float[Tensor, " channel"]) -> None:
        expected = getattr(self, prefix + "mean").shape
        if mean.shape != expected or std.shape != expected:
            raise ValueError(
                f"{prefix}mean and {prefix}std must have the shape {tuple(expected)}, "
                f"found {tuple(mean.shape)} and {tuple(std.shape)}"
            )
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all() and (std >= 0).all()):
            raise ValueError(f"{prefix}mean must be finite and {prefix}std finite and at least 0")
        floor = float(std.mean()) * _SMALLEST_RELATIVE_STD or 1.0
        getattr(self, prefix + "mean").copy_(mean)
        getattr(self, prefix + "std").copy_(std.clamp_min(floor))

    def standardize(self, feature: Feature) -> Feature:
        """(feature - mean) / std, channel by channel."""
        grid = (feature.grid - _as_grid(self.mean)) / _as_grid(self.std)
        if not self.has_tokens:
            return Feature(grid, feature.tokens)
        return Feature(grid, (feature.tokens - self.token_mean) / self.token_std)

    def restore(self, feature: Feature) -> Feature:
        """Feature * std + mean: the inverse of `standardize`."""
        grid = feature.grid * _as_grid(self.std) + _as_grid(self.mean)
        if not self.has_tokens:
            return Feature(grid, feature.tokens)
        return Feature(grid, feature.tokens * self.token_std + self.token_mean)


def _as_grid(values: Float[Tensor, " channel"]) -> Float[Tensor, "channel 1 1 1"]:
    return values[:, None, None, None]
