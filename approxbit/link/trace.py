"""Bandwidth over time: a step function, its text file, and the trace of the paper's Fig. 9."""

import bisect
import itertools
import math
import os
import random
from dataclasses import dataclass
from typing import Iterator, List, Tuple

from approxbit.drawing import BLUE, Axis, Drawing, draw_axes, page
from approxbit.files import PathLike

_HEADER = "# seconds megabits_per_second"
_LOOPS = "# loops"


@dataclass(frozen=True)
class Trace:
    """The bandwidth of a link, as steps.

    Each bandwidth holds from its own second until the next one's; the first one also holds before its second.
    At the end the last bandwidth stays, or, if the trace loops, all starts over: then the last step lasts as
    long as the one before it.

    Attributes:
        seconds: Where the steps begin, 0 or more and increasing.
        bandwidth_mbps: As many bandwidths, 10^6 bits per second, 0 or more; 0 is a link that is down.
        loops: Whether the trace starts over at its end.

    Raises:
        ValueError: The two lists do not fit together, a number is out of range, or a trace that loops never
            carries a byte.
    """

    seconds: Tuple[float, ...]
    bandwidth_mbps: Tuple[float, ...]
    loops: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", tuple(float(second) for second in self.seconds))
        object.__setattr__(self, "bandwidth_mbps", tuple(float(mbps) for mbps in self.bandwidth_mbps))
        if not self.seconds or len(self.seconds) != len(self.bandwidth_mbps):
            lengths = len(self.seconds), len(self.bandwidth_mbps)
            raise ValueError(
                "expected as many seconds as bandwidths, at least one, found {} and {}".format(*lengths)
            )
        previous = -math.inf
        for index, (second, mbps) in enumerate(zip(self.seconds, self.bandwidth_mbps)):
            problem = _problem(previous, second, mbps)
            previous = second
            if problem:
                raise ValueError(f"step {index}: {problem}")
        if self.loops and not any(self.bandwidth_mbps):
            raise ValueError("expected a bandwidth above 0 somewhere in a trace that loops, found only 0")

    @classmethod
    def constant(cls, bandwidth_mbps: float) -> "Trace":
        """A link that is always the same."""
        return cls((0.0,), (bandwidth_mbps,))

    @property
    def duration_s(self) -> float:
        """Seconds until the end, or until the trace starts over; infinite for a single step."""
        if len(self.seconds) == 1:
            return math.inf
        return 2 * self.seconds[-1] - self._starts[-2]

    @property
    def mean_mbps(self) -> float:
        """Bandwidth averaged over the time until the end."""
        if len(self.seconds) == 1:
            return self.bandwidth_mbps[0]
        ends = [*self.seconds[1:], self.duration_s]
        parts = zip(self._starts, ends, self.bandwidth_mbps)
        return sum((end - start) * mbps for start, end, mbps in parts) / self.duration_s

    @property
    def _starts(self) -> Tuple[float, ...]:
        return (0.0, *self.seconds[1:])

    def bandwidth_at(self, second: float) -> float:
        """Bandwidth in Mbps at a second counted from the start of the trace.

        Example:
            >>> trace = Trace((0, 10), (50, 3))
            >>> trace.bandwidth_at(9.9), trace.bandwidth_at(10), trace.bandwidth_at(1000)
            (50.0, 3.0, 3.0)
        """
        if self.loops and len(self.seconds) > 1:
            second = math.fmod(second, self.duration_s)
        return self.bandwidth_mbps[max(0, bisect.bisect_right(self.seconds, second) - 1)]

    def steps(self) -> Iterator[Tuple[float, float]]:
        """Yield (second, bandwidth in Mbps) of each step in turn, the first at 0; without end if it loops."""
        if not self.loops or len(self.seconds) == 1:
            yield from zip(self._starts, self.bandwidth_mbps)
            return
        for lap in itertools.count():
            for start, mbps in zip(self._starts, self.bandwidth_mbps):
                yield lap * self.duration_s + start, mbps

    def draw(self) -> Drawing:
        """A plot of the bandwidth over one lap; a single step is drawn for a second."""
        left, top, right, bottom = frame = 60.0, 40.0, 690.0, 210.0
        end = self.duration_s if len(self.seconds) > 1 else 1.0
        drawing = Drawing(720, 260, f"bandwidth of a link over {end:g} seconds")
        across, up = Axis([0, end], left, right), Axis([0, *self.bandwidth_mbps], bottom, top)
        draw_axes(drawing, across, up, ("seconds" + ", then over again" * self.loops, "Mbps"), frame)
        corners = []
        for start, stop, mbps in zip(self._starts, [*self.seconds[1:], end], self.bandwidth_mbps):
            corners += [(across.place(start), up.place(mbps)), (across.place(stop), up.place(mbps))]
        drawing.line(corners, BLUE, 1.6)
        return drawing

    def __repr__(self) -> str:
        lasting = "" if len(self.seconds) == 1 else f" in {self.duration_s:g} s" + ", looping" * self.loops
        low, high = min(self.bandwidth_mbps), max(self.bandwidth_mbps)
        mbps = f"{low:g} to {high:g} Mbps, mean {self.mean_mbps:.3g}" if low < high else f"{low:g} Mbps"
        return f"<Trace: {len(self.seconds)} step(s){lasting}, {mbps}>"

    def _repr_html_(self) -> str:
        return page(repr(self)[1:-1], self.draw().svg())

    def scaled(self, time_factor: float) -> "Trace":
        """The same bandwidths with all times multiplied by `time_factor`.

        Raises:
            ValueError: `time_factor` is not a finite number above 0.
        """
        if not 0 < time_factor < math.inf:
            raise ValueError(f"time_factor: expected a finite number above 0, found {time_factor!r}")
        return Trace(tuple(second * time_factor for second in self.seconds), self.bandwidth_mbps, self.loops)

    def save(self, path: PathLike) -> None:
        """Write one `seconds megabits_per_second` line per step; `load` gives back an equal trace."""
        lines = [_HEADER] + [_LOOPS] * self.loops
        lines += ["{!r} {!r}".format(*step) for step in zip(self.seconds, self.bandwidth_mbps)]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: PathLike, loops: bool = False) -> "Trace":
        """Read a text file with two numbers per line: the second at which a step begins, and its Mbps.

        Empty lines, and what follows a `#`, are skipped; a line `# loops` makes the trace loop.

        Args:
            path: The file.
            loops: Make the trace loop even if the file does not say so.

        Raises:
            OSError: The file cannot be read.
            ValueError: A line is not two numbers, or they are out of range. The message names file and line.
        """
        name = os.fspath(path)
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
        seconds: List[float] = []
        bandwidths: List[float] = []
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split()
            if words:
                second, mbps = _parse_step(words, f"{name}, line {number}", seconds[-1:])
                seconds.append(second)
                bandwidths.append(mbps)
        try:
            return cls(tuple(seconds), tuple(bandwidths), loops or _LOOPS in lines)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    @classmethod
    def figure9(
        cls, segment_s: float = 50.0, fluctuation: float = 0.1, seed: int = 0, repeats: int = 2
    ) -> "Trace":
        """The synthetic trace of Fig. 9, APPROXBIT: segments of 50, 3 and 6 Mbps on average, repeated.

        The paper does not publish its fluctuation. Ours draws each of the 50 steps of a segment uniformly
        within the segment's bandwidth times 1 - `fluctuation` to 1 + `fluctuation`.

        Args:
            segment_s: Seconds per segment.
            fluctuation: Share of the bandwidth, 0 to 1.
            seed: Of the fluctuation.
            repeats: How often the three segments follow each other.

        Raises:
            ValueError: An argument is out of range.
        """
        if not 0 < segment_s < math.inf or not 0 <= fluctuation <= 1 or repeats < 1:
            found = f"segment_s={segment_s!r}, fluctuation={fluctuation!r}, repeats={repeats!r}"
            raise ValueError("expected segment_s > 0, fluctuation in 0 to 1 and repeats >= 1, found " + found)
        generator = random.Random(int(seed))
        means = [mbps for mbps in (50.0, 3.0, 6.0) * repeats for _ in range(50)]
        seconds = tuple(index * segment_s / 50 for index in range(len(means)))
        return cls(
            seconds, tuple(mean * (1 + generator.uniform(-fluctuation, fluctuation)) for mean in means)
        )


def _problem(previous: float, second: float, mbps: float) -> str:
    """What is wrong with a step; empty if nothing is."""
    if not 0 <= second < math.inf:
        return f"expected a second of 0 or more, found {second!r}"
    if second <= previous:
        return f"expected a second later than {previous!r}, found {second!r}"
    if not 0 <= mbps < math.inf:
        return f"expected a bandwidth of 0 Mbps or more, found {mbps!r}"
    return ""


def _parse_step(words: List[str], place: str, last: List[float]) -> Tuple[float, float]:
    try:
        second, mbps = (float(word) for word in words)
    except ValueError as error:
        found = " ".join(words)
        message = f"{place}: expected 'seconds megabits_per_second', found {found!r}"
        raise ValueError(message) from error
    problem = _problem(last[0] if last else -math.inf, second, mbps)
    if problem:
        raise ValueError(f"{place}: {problem}")
    return second, mbps
