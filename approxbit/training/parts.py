"""A batch in several parts: what each of them gets of the whole, and its way to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from lightning.fabric.utilities import move_data_to_device
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from approxbit.codec import Part
from approxbit.codec.binarizers.base import straight_through


class BatchInParts:
    """A batch that is computed part by part.

    Args:
        num_clips: Of the batch.
        size: Clips of a part; the last one may have fewer.
    """

    def __init__(self, num_clips: int, size: int) -> None:
        self.num_clips, self.size = num_clips, size
        self.drawn: list[Tensor] = []
        self.means: list[Tensor] = []

    def parts(self, is_counting: bool = False) -> list[MicroBatch]:
        """All parts in order; with `is_counting`, to find out the means of the batch without gradients."""
        starts = range(0, self.num_clips, self.size)
        ends = [min(start + self.size, self.num_clips) for start in starts]
        return [MicroBatch(self, *limits, is_counting) for limits in zip(starts, ends, strict=True)]


class MicroBatch(Part):
    """Some clips of a batch.

    Draws and means have no names: what asks for them asks in the same order in every part. The first part
    draws for all clips. Means are those of the batch, and the gradient of this part weighed by `share` is its
    summand in the gradient of the batch.

    Args:
        batch: The whole.
        first: Index of the first clip.
        last: Index behind the last clip.
        is_counting: Whether this pass adds up the means.
    """

    def __init__(self, batch: BatchInParts, first: int, last: int, is_counting: bool = False) -> None:
        self.batch, self.first, self.last, self.is_counting = batch, first, last, is_counting
        self._num_draws = self._num_means = 0

    @property
    def share(self) -> float:
        """Of the clips of the batch: the weight of a mean over this part."""
        return (self.last - self.first) / self.batch.num_clips

    @property
    def is_last(self) -> bool:
        """Whether no part follows."""
        return self.last == self.batch.num_clips

    def take(self, batch: Any) -> Any:
        """The clips of this part, of a batch whose tensors all begin with the axis of clips."""
        return apply_to_collection(batch, Tensor, lambda values: values[self.first : self.last])

    def draw(self, make: Callable[[int], Tensor], num_clips: int) -> Tensor:
        """The values of these clips among those that were drawn for the batch."""
        drawn = self.batch.drawn
        if self._num_draws == len(drawn):
            drawn.append(make(self.batch.num_clips))
        self._num_draws += 1
        return drawn[self._num_draws - 1][self.first : self.last]

    def mean(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The mean of the batch, once it was counted, with the gradient of `value`."""
        means, index = self.batch.means, self._num_means
        self._num_means += 1
        if not self.is_counting:
            return straight_through(means[index], value)
        if index == len(means):
            means.append(torch.zeros_like(value))
        means[index] = means[index] + self.share * value.detach()
        return value


def send_ahead(parts: Iterable[Any], device: torch.device) -> Iterator[Any]:
    """Each part on the device; on CUDA the next one is on its way while one is computed with."""
    if device.type != "cuda":
        yield from (move_data_to_device(part, device) for part in parts)
        return
    stream = torch.cuda.Stream(device)

    def send(part: Any) -> Any:
        with torch.cuda.stream(stream):
            return move_data_to_device(part, device)

    waiting = map(send, parts)
    ready = next(waiting, None)
    while ready is not None:
        now = torch.cuda.current_stream(device)
        now.wait_stream(stream)
        apply_to_collection(ready, Tensor, lambda values, now=now: values.record_stream(now))
        ahead = next(waiting, None)
        yield ready
        ready = ahead
