"""What the codes of a codec come to, and what to do about it, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approxbit.report.style import format_bytes

NEARLY_DEAD = 0.01  # a bit that is in the minority less often than this
UNUSED_DIVERGENCE = 0.005  # bits; the answers hardly notice
UNUSED_CHANGED = 0.01
FEW_CLIPS = 50
NEAR = 0.01
MANY_NEAR = 0.01
SHARED = 0.5  # bits that one bit tells of another


@dataclass(frozen=True)
class Inspection:
    """The facts of `approxbit inspect`; lists over the bits run in the order of the code.

    Attributes:
        name: The codec.
        source: Which clips were looked at.
        codebook_size: Bits per position.
        grid_size: Time, height and width of a code.
        num_tokens: Class tokens beside the grid.
        num_clips: How many clips.
        raw_bytes: Packed size of a code.
        ones: Share of ones of each bit.
        entropy: Of each bit alone, in bits, as all that follow.
        given_earlier: For who knows the same bit one time step earlier.
        given_neighbours: For who knows the same bit to the left and above.
        given_others: For a linear predictor that knows the other bits of the position.
        when_coded: For a linear predictor that knows what a decoder knows by then.
        mutual_information: Of each two bits of a position; entropies on the diagonal.
        position_entropy: [time][height][width], averaged over the bits.
        position_change: The same from the second step on: share of bits that differ from the step before.
        margin_distances: Distances from the threshold.
        margin_shares: [distance][bit], share of logits that lie closer.
        margin_edges: Edges between the bins of the histogram.
        margin_histogram: How many logits have a distance between the edges; one bin more than edges.
        token_ones: Share of ones of each bit of the class tokens, or None.
        token_entropy: Their entropies, or None.
        importance: `num_clips`, and for each bit `divergence`, `changed` and `accuracy_drop` (or None) when
            it is held at its majority value; `accuracy` is that of the undisturbed answers (or None).
        token_importance: The same of the class tokens' bits, or None.
        nearest: `agreement` of the nearest code's class and its `chance`, by label set; `distance_edges` with
            the shares of pairs of the `same` class and of `different` ones; `examples`.
    """

    name: str
    source: str
    codebook_size: int
    grid_size: Sequence[int]
    num_tokens: int
    num_clips: int
    raw_bytes: int
    ones: Sequence[float]
    entropy: Sequence[float]
    given_earlier: Sequence[float]
    given_neighbours: Sequence[float]
    given_others: Sequence[float]
    when_coded: Sequence[float]
    mutual_information: Sequence[Sequence[float]]
    position_entropy: Sequence[Sequence[Sequence[float]]]
    position_change: Sequence[Sequence[Sequence[float]]]
    margin_distances: Sequence[float]
    margin_shares: Sequence[Sequence[float]]
    margin_edges: Sequence[float]
    margin_histogram: Sequence[int]
    token_ones: Sequence[float] | None
    token_entropy: Sequence[float] | None
    importance: Mapping[str, Any]
    token_importance: Mapping[str, Any] | None
    nearest: Mapping[str, Any]

    @property
    def num_positions(self) -> int:
        """Positions of the grid."""
        time, height, width = self.grid_size
        return time * height * width

    @property
    def coded_bytes(self) -> float:
        """What entropy coding will leave of one code, about; class tokens by their entropies."""
        tokens = self.num_tokens * sum(self.token_entropy or ())
        return (self.num_positions * sum(self.when_coded) + tokens) / 8

    def share_known(self, left: Sequence[float]) -> float:
        """Share of the entropy that knowledge takes away, where `left` is what it leaves."""
        whole = sum(self.entropy)
        return 1 - sum(left) / whole if whole else 0.0

    def share_near(self, distance: float) -> float:
        """Share of all logits that lie closer to the threshold than one of `margin_distances`."""
        shares = self.margin_shares[list(self.margin_distances).index(distance)]
        return sum(shares) / len(shares)


def judge(found: Inspection) -> list[str]:
    """The verdict: sentences that say what to do.

    Shares and thresholds behind the words are the constants of this module.
    """
    return [
        sentence
        for part in (_judge_use, _judge_size, _judge_importance, _judge_margin, _judge_classes, _judge_tokens)
        for sentence in part(found)
    ]


def _judge_use(found: Inspection) -> Iterator[str]:
    if found.num_clips < FEW_CLIPS:
        yield f"Only {found.num_clips} clip(s) were looked at: read every share with care."
    dead = [bit for bit, ones in enumerate(found.ones) if ones in (0.0, 1.0)]
    rare = [bit for bit, ones in enumerate(found.ones) if 0 < min(ones, 1 - ones) < NEARLY_DEAD]
    if dead and found.num_clips < FEW_CLIPS:
        yield (
            f"{len(dead)} of {found.codebook_size} bits never change in them ({_list(dead)}); whether they "
            f"are dead takes {FEW_CLIPS} clips or more to say."
        )
    elif dead:
        yield (
            f"{len(dead)} of {found.codebook_size} bits are dead ({_list(dead)}): they never change. "
            "Check that features are standardised and that the binary loss is not too strong; "
            f"K = {max(1, found.codebook_size - len(dead))} says the same."
        )
    if rare:
        verb = "is" if len(rare) == 1 else "are"
        yield f"{_bits(rare)} {verb} nearly dead: the rarer value has less than {percent(NEARLY_DEAD)}."
    if not dead and not rare:
        mean = sum(found.entropy) / found.codebook_size
        yield f"All {found.codebook_size} bits are in use, with {mean:.2f} bits of entropy each."


def _judge_size(found: Inspection) -> Iterator[str]:
    saving = 1 - found.coded_bytes / found.raw_bytes
    yield (
        f"The {format_bytes(found.raw_bytes)} of a code hold about {found.coded_bytes:.0f} B of information: "
        f"entropy coding will save about {percent(saving)}."
    )
    sources = {
        "the time step before": found.share_known(found.given_earlier),
        "the neighbours to the left and above": found.share_known(found.given_neighbours),
        "the other bits of the position": found.share_known(found.given_others),
    }
    parts = [f"{percent(share)} from {name}" for name, share in sources.items()]
    most = max(sources, key=lambda name: sources[name])
    yield f"Of the entropy can be foretold {', '.join(parts[:-1])}, and {parts[-1]}. {_ADVICE[most]}"
    twins = _closest_pair(found.mutual_information)
    if twins is not None:
        first, second, shared = twins
        yield f"Bits {first} and {second} share {shared:.2f} bits: one of them is nearly spare."


_ADVICE = {
    "the time step before": "Most is repeated in time: a coder with temporal context, or packets of changes "
    "for overlapping windows, will pay.",
    "the neighbours to the left and above": "Most is repeated in space: the spatial encoder, or a coder with "
    "spatial context, will pay.",
    "the other bits of the position": "Most is shared between the bits of a position: a coder that sees the "
    "earlier bits, or a smaller K, will pay.",
}


def _closest_pair(shared: Sequence[Sequence[float]]) -> tuple[int, int, float] | None:
    """The two bits that tell most of each other, if that is more than `SHARED`."""
    pairs = [(row[second], first, second) for first, row in enumerate(shared) for second in range(first)]
    most, first, second = max(pairs, default=(0.0, 0, 0))
    return (second, first, most) if most > SHARED else None


def _judge_importance(found: Inspection) -> Iterator[str]:
    changed, divergence = found.importance["changed"], found.importance["divergence"]
    unused = [
        bit
        for bit in range(found.codebook_size)
        if divergence[bit] < UNUSED_DIVERGENCE and changed[bit] <= UNUSED_CHANGED
    ]
    is_sure = found.importance["num_clips"] >= FEW_CLIPS
    if not any(changed):
        yield "No answer changes when one bit alone is held at its majority value" + (
            "." if is_sure else f": so few clips do not say which bits matter, {FEW_CLIPS} or more do."
        )
        return
    if unused and is_sure:
        yield (
            f"{_bits(unused)} {'is' if len(unused) == 1 else 'are'} not used by the answer: "
            f"K = {max(1, found.codebook_size - len(unused))} will cost little accuracy."
        )
    best = max(range(found.codebook_size), key=lambda bit: divergence[bit])
    worst = min(range(found.codebook_size), key=lambda bit: divergence[bit])
    yield (
        f"The answer leans most on bit {best} (without it {percent(changed[best])} of the answers change) "
        f"and least on bit {worst} ({percent(changed[worst])})."
    )


def _judge_margin(found: Inspection) -> Iterator[str]:
    near = found.share_near(NEAR)
    count = near * found.codebook_size * (found.num_positions + found.num_tokens)
    text = f"{percent(near, 2)} of the logits lie within {NEAR} of the threshold, {count:.1f} bits of a code"
    if near > MANY_NEAR:
        yield f"{text}: another device will flip some of them. A larger binary weight widens the margin."
    else:
        yield f"{text}: codes will agree between devices but for such bits."


def _judge_classes(found: Inspection) -> Iterator[str]:
    for label_set, share in found.nearest["agreement"].items():
        if share is None:
            continue
        chance = found.nearest["chance"][label_set]
        yield (
            f"The nearest code is of the same class ({label_set}) for {percent(share)} of the clips, "
            f"by chance for {percent(chance)}."
        )


def _judge_tokens(found: Inspection) -> Iterator[str]:
    if found.token_entropy is None or found.token_importance is None:
        return
    alive = sum(entropy > 0 for entropy in found.token_entropy)
    changed = found.token_importance["changed"]
    yield (
        f"Of the class token's {found.codebook_size} bits, {alive} are in use "
        f"({sum(found.token_entropy):.1f} bits of entropy); without the strongest of them "
        f"{percent(max(changed))} of the answers change."
    )


def percent(share: float, decimals: int | None = None) -> str:
    """A share for people; below 10 % with a digit behind the point, unless `decimals` says how many.

    Example:
        >>> percent(0.614), percent(0.0043), percent(0.00137, 2)
        ('61 %', '0.4 %', '0.14 %')
    """
    if decimals is None:
        decimals = 0 if share == 0 or share >= 0.0995 else 1
    return f"{100 * share:.{decimals}f} %"


def _bits(bits: Sequence[int]) -> str:
    return f"Bit {bits[0]}" if len(bits) == 1 else f"Bits {_list(bits)}"


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
