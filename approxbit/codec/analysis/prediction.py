"""How far bits can be foretold from all that is known beside them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor
from torch.nn import functional as F

from approxbit.codec.analysis.counts import binary_entropy
from approxbit.codec.code import Code

_NUM_CONTEXTS = 4  # the position itself, earlier, left, above
_MAX_ITERATIONS = 60


class ContextSamples:
    """Positions drawn from codes, with their bits and those of the neighbours that a coder knows by then.

    Bits are -1 and 1, and 0 beyond the border. The draw is random but the same each time.

    Args:
        per_clip: Positions of each clip.
    """

    def __init__(self, per_clip: int) -> None:
        self.per_clip = per_clip
        self._parts: list[Tensor] = []
        self._generator = torch.Generator().manual_seed(0)

    def update(self, code: Code) -> None:
        """Draw positions from the codes of a batch."""
        num_clips, _, time, height, width = code.grid.shape
        signs = F.pad(code.grid.to(torch.int8) * 2 - 1, (1, 0, 1, 0, 1, 0))
        count = (num_clips, self.per_clip)
        t, y, x = (
            torch.randint(length, count, generator=self._generator) for length in (time, height, width)
        )
        clip = torch.arange(num_clips)[:, None]
        # The padding has moved each position by one along every axis.
        known = [
            signs[clip, :, t + 1, y + 1, x + 1],
            signs[clip, :, t, y + 1, x + 1],
            signs[clip, :, t + 1, y + 1, x],
            signs[clip, :, t + 1, y, x + 1],
        ]
        self._parts.append(torch.cat(known, dim=2).flatten(0, 1))

    @property
    def bits(self) -> Int8[Tensor, "sample context_bit"]:
        """The bits of each position itself, then those earlier, to the left, and above."""
        return torch.cat(self._parts)

    def entropy_given_others(self) -> Float[Tensor, " bit"]:
        """Entropy of each bit for a linear predictor that knows the other bits of its position."""
        num_bits = self.bits.shape[1] // _NUM_CONTEXTS
        return predict_entropy(self.bits[:, :num_bits], ~torch.eye(num_bits, dtype=torch.bool))

    def entropy_when_coded(self) -> Float[Tensor, " bit"]:
        """Entropy of each bit for a linear predictor that knows what a decoder knows by then.

        That is the earlier bits of the position, and all bits one time step earlier, to the left and above.
        The sum over the bits is what coding one position will cost, about.
        """
        num_bits = self.bits.shape[1] // _NUM_CONTEXTS
        mask = torch.ones(_NUM_CONTEXTS * num_bits, num_bits, dtype=torch.bool)
        mask[:num_bits] = torch.ones(num_bits, num_bits, dtype=torch.bool).triu(diagonal=1)
        return predict_entropy(self.bits, mask)


def predict_entropy(
    known: Int8[Tensor, "sample feature"], mask: Bool[Tensor, "feature bit"]
) -> Float[Tensor, " bit"]:
    """Bits per bit that a logistic predictor leaves on samples that it was not fitted to.

    One half of the samples is foretold by a predictor that was fitted to the other half, and the other way
    round: with few samples the figure is too high, never too low by more than chance; it is at most the
    entropy of the bit alone. What is not linear in the log odds, such as the exclusive or of two bits, stays
    unseen.

    Args:
        known: -1, 1, or 0 for what is not there; the first columns are the bits to foretell.
        mask: Whether a feature may be used for a bit.

    Raises:
        ValueError: There are fewer than 2 samples.

    Example:
        >>> bits = torch.tensor([[1], [-1]], dtype=torch.int8).repeat(500, 1)
        >>> copied = torch.cat([bits, bits], dim=1)
        >>> predict_entropy(copied, torch.tensor([[False, False], [True, False]])).round(decimals=1)
        tensor([0., 1.])
    """
    if len(known) < 2:
        raise ValueError(f"expected at least 2 samples to fit and to test on, found {len(known)}")
    inputs = known.float()
    targets = (inputs[:, : mask.shape[1]] + 1) / 2
    half = len(known) // 2
    parts = (slice(None, half), slice(half, None))
    losses = []
    for fitted, tested in (parts, parts[::-1]):
        weight, bias = _fit(inputs[fitted], targets[fitted], mask)
        losses.append(_losses(inputs[tested], targets[tested], weight, bias) * len(targets[tested]))
    return torch.minimum((losses[0] + losses[1]) / len(known), binary_entropy(targets.mean(dim=0)))


@torch.enable_grad()
def _fit(
    inputs: Float[Tensor, "sample feature"],
    targets: Float[Tensor, "sample bit"],
    mask: Bool[Tensor, "feature bit"],
) -> tuple[Float[Tensor, "feature bit"], Float[Tensor, " bit"]]:
    """Weights and biases of one logistic regression for each bit."""
    weight = torch.zeros(mask.shape, requires_grad=True)
    bias = torch.zeros(mask.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = _losses(inputs, targets, weight * mask, bias).sum() + weight.square().sum() / len(inputs)
        loss.backward()
        return loss

    optimizer.step(evaluate)
    return (weight * mask).detach(), bias.detach()


def _losses(
    inputs: Float[Tensor, "sample feature"],
    targets: Float[Tensor, "sample bit"],
    weight: Float[Tensor, "feature bit"],
    bias: Float[Tensor, " bit"],
) -> Float[Tensor, " bit"]:
    """Mean cross-entropy of each bit, in bits."""
    losses = F.binary_cross_entropy_with_logits(inputs @ weight + bias, targets, reduction="none")
    return losses.mean(dim=0) / math.log(2)
