"""What the clips of a training batch have in common, where a batch is computed part by part."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor


class Part:
    """The clips that one pass computes; this one is a whole batch.

    Two things in training depend on more than one clip: what is drawn at random for each clip, and means over
    all clips inside a loss. Whoever needs one of them asks the part for it, so that a batch in several parts
    (`approxbit.training.MicroBatches`) gets the draws and the means of the whole.
    """

    def draw(self, make: Callable[[int], Tensor], num_clips: int) -> Tensor:
        """Random values for the clips of this part.

        Args:
            make: Number of clips -> values of that length.
            num_clips: Of this part.
        """
        return make(num_clips)

    def mean(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The mean over all clips of the batch, with the gradient of this part.

        Args:
            value: The mean over the clips of this part.
        """
        return value


WHOLE = Part()
"""A batch that is computed at once."""
