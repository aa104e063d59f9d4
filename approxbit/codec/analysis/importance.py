"""What the answer loses when a bit says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from approxbit.codec.code import Code


@dataclass(frozen=True)
class Importance:
    """What happens to the answers when one bit is held at its majority value at every position.

    Attributes:
        divergence: For each bit, the mean Kullback-Leibler divergence of the disturbed answer from the
            undisturbed one, in bits.
        changed: For each bit, the share of clips whose answer changes.
        accuracy_drop: For each bit, what top-1 loses, as a share of the clips; None without labels.
        accuracy: Top-1 of the undisturbed answers, as a share; None without labels.
    """

    divergence: Float[Tensor, " bit"]
    changed: Float[Tensor, " bit"]
    accuracy_drop: Float[Tensor, " bit"] | None
    accuracy: float | None


def measure_importance(
    answer: Callable[[Code], Float[Tensor, "batch class"]],
    batches: Iterable[tuple[Code, Int64[Tensor, " batch"] | None]],
    ones: Float[Tensor, " bit"],
    tokens: bool = False,
) -> Importance:
    """Hold each bit in turn at its majority value, and look at the answers.

    Args:
        answer: Codes -> logits.
        batches: Codes, and the labels of the logits' classes where they are known.
        ones: Share of ones of each bit; 1 is the majority above one half.
        tokens: Disturb the bits of the class tokens instead of those of the grid.

    Raises:
        ValueError: There are no codes.
    """
    num_bits, num_clips, num_right = len(ones), 0, 0
    divergence, changed, lost = (torch.zeros(num_bits, dtype=torch.float64) for _ in range(3))
    has_labels = True
    for code, labels in batches:
        calm = answer(code).log_softmax(dim=-1)
        best = calm.argmax(dim=-1)
        num_clips += len(best)
        has_labels = has_labels and labels is not None
        target = best if labels is None else labels
        num_right += int((best == target).sum())
        for bit in range(num_bits):
            value = int(ones[bit] > 0.5)
            disturbed = answer(_hold(code, bit, value, tokens)).log_softmax(dim=-1)
            other = disturbed.argmax(dim=-1)
            divergence[bit] += (calm.exp() * (calm - disturbed)).sum() / math.log(2)
            changed[bit] += (other != best).sum()
            lost[bit] += (best == target).sum() - (other == target).sum()
    if num_clips == 0:
        raise ValueError("expected at least one code to measure the importance of bits on, found none")
    return Importance(
        divergence / num_clips,
        changed / num_clips,
        lost / num_clips if has_labels else None,
        num_right / num_clips if has_labels else None,
    )


def _hold(code: Code, bit: int, value: int, tokens: bool) -> Code:
    """The code with one bit set to a value at all positions of the grid, or of all class tokens."""

    def hold(bits: Shaped[Tensor, "*shape"], axis: int) -> Shaped[Tensor, "*shape"]:
        held = bits.clone()
        held.select(axis, bit).fill_(value)
        return held

    if tokens:
        return Code(code.grid, hold(code.tokens, 2))
    return Code(hold(code.grid, 1), code.tokens)
