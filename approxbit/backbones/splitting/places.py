"""Whether time and space are where a layout says: where a clip changes, the feature must answer most.

Attention spreads a change over all positions, but what a layer adds to a position is small beside what the
position holds already: the one whose patch changed still answers most. Some tokens of trained transformers
answer to every change; what a position answers is therefore weighed by how special to the change it is.
"""

from __future__ import annotations

import random
from itertools import permutations, product

import torch
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.base import EdgeHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.splitting.layout import GRID_AXES, Layout, Size, TokenLayout

NUM_PLACES = 6
SHARE_NEAR = 0.7
"""Of the places, how many must answer at most one position away: strided kernels are off by half of one."""


@torch.no_grad()
def check_places(half: EdgeHalf, layout: Layout, example: Tensor) -> None:
    """Make sure that a change of a clip shows in the feature where it is in the clip.

    Args:
        half: From clips to the feature.
        layout: That it was arranged by.
        example: Clips whose shape, type and device count, with values.

    Raises:
        ValueError: It shows elsewhere.
    """
    clip = torch.rand(example.shape, generator=torch.Generator().manual_seed(0)).to(example)
    before = half(clip)
    size = FeatureShape(*before.grid.shape[1:]).size
    places = _choose_places(size)
    responses = torch.stack([_energy(half(_change(clip, place, size)), before) for place in places])
    if not responses.isfinite().all() or not responses.any():
        return  # numbers that say nothing
    found = _peaks(responses)
    order = _better_order(layout, size, places, found)
    if order is None and _num_near(places, found) >= SHARE_NEAR * len(places):
        return
    advice = f"order={order!r} fits" if order else "give the layout as the model has it, or cut elsewhere"
    place, peak = next(pair for pair in zip(places, found, strict=True) if pair[0] != pair[1])
    raise ValueError(
        f"time and space are not where {layout} says: where the clip changes at (time, height, width) "
        f"{place} of a grid of {size}, the tensor changes most at {peak}; {advice}"
    )


def _choose_places(size: Size) -> list[Size]:
    time, height, width = map(range, size)
    everywhere = list(product(time, height, width))
    return random.Random(0).sample(everywhere, min(NUM_PLACES, len(everywhere)))


def _change(clip: Tensor, place: Size, size: Size) -> Tensor:
    """The clip with other, brighter pixels in the part that belongs to one position of the grid."""
    changed = clip.clone()
    part = changed if clip.ndim == 5 else changed.unsqueeze(2)
    slices = [
        slice(index * length // number, -(-(index + 1) * length // number))
        for index, number, length in zip(place, size, part.shape[2:], strict=True)
    ]
    part[(slice(None), slice(None), *slices)].neg_().add_(2)
    return changed


def _energy(after: Feature, before: Feature) -> Float[Tensor, "time height width"]:
    return (after.grid.double() - before.grid.double()).square().sum((0, 1))


def _peaks(responses: Float[Tensor, "place time height width"]) -> list[Size]:
    special = responses.square() / responses.mean(0).clamp(min=torch.finfo(torch.double).tiny)
    flat = special.flatten(1).argmax(1)
    return [
        tuple(int(index) for index in torch.unravel_index(each, special.shape[1:]))  # type: ignore[misc]
        for each in flat
    ]


def _num_near(places: list[Size], found: list[Size]) -> int:
    return sum(_distance(*pair) <= 1 for pair in zip(places, found, strict=True))


def _distance(place: Size, other: Size) -> int:
    return max(abs(first - second) for first, second in zip(place, other, strict=True))


def _better_order(layout: Layout, size: Size, places: list[Size], found: list[Size]) -> str | None:
    """The order of tokens by which the answers are nearer to the changes, if there is one."""
    if not isinstance(layout, TokenLayout):
        return None

    def total(order: str) -> int:
        moved = [_read_again(peak, size, layout.order, order) for peak in found]
        return sum(map(_distance, places, moved))

    orders = ["".join(order) for order in permutations(GRID_AXES)]
    if layout.has_frames_in_batch:
        orders = [order for order in orders if order[0] == "T"]
    best = min([layout.order, *orders], key=total)
    near = [_read_again(peak, size, layout.order, best) for peak in found]
    is_good = _num_near(places, near) >= SHARE_NEAR * len(places)
    return best if is_good and total(best) < total(layout.order) else None


def _read_again(peak: Size, size: Size, order: str, other: str) -> Size:
    """Where a token lies by another order of the tokens."""
    lengths, index = dict(zip(GRID_AXES, size, strict=True)), dict(zip(GRID_AXES, peak, strict=True))
    number = 0
    for axis in order:
        number = number * lengths[axis] + index[axis]
    for axis in reversed(other):
        number, index[axis] = divmod(number, lengths[axis])
    return index["T"], index["H"], index["W"]
