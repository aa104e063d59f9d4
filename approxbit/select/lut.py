"""The LUT: what each arm costs and how often it is right, as measured on one device.

Its file is strict JSON: `format` and `version`, then the fields of `LUT`, its rows last. A row leaves out
what is None or empty.
"""

import json
import math
import numbers
import re
import sys
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple

from approxbit.configuration import Configuration
from approxbit.drawing import Drawing, page, table
from approxbit.errors import LUTError
from approxbit.files import PathLike, load_json, to_json, write_whole
from approxbit.select.picture import ArmDot, draw_arms

EDGE_ONLY = "edge-only"
SERVER_ONLY = "server-only"

_HEADER = {"format": "approxbit-lut", "version": 1}
_LARGEST = sys.float_info.max
_ARM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class LUTRow:
    """One arm of the selector's choice, with the terms of Eq. 1 in APPROXBIT.

    Attributes:
        arm: `edge-only` (the whole model on the device), `server-only` (the clip crosses), a configuration
            such as `64-Enc-B8`, or any other name of letters, digits and `_ . + -` (compressed video, ...).
        edge_ms: t_edge, the device's part of the model. For `edge-only` the whole model.
        encode_ms: t_enc, from feature to packet on the device.
        payload_bytes: d, what crosses the link for one clip; a mean, so it may be fractional.
            0 for `edge-only`.
        decode_ms: t_dec, from packet to feature on the server.
        server_ms: t_server, the server's part of the model.
        accuracy: Percent, 0 to 100: what the selector reads, the first of the LUT's figures.
        scores: Percent by name of the figure, where there are several.
        energy_mj: Energy that the device spends on one clip, where it was measured.
        memory_mb: Memory that the arm needs on the device, where it was measured.
        raw_bytes: Bytes of the packed code where `payload_bytes` are those of its entropy coding.
        packet_bytes: Bytes of the clip's message, header included, as in a session; a mean.

    Raises:
        ValueError: A value is of the wrong kind or out of range. The message names it.
    """

    arm: str
    edge_ms: float
    encode_ms: float
    payload_bytes: float
    decode_ms: float
    server_ms: float
    accuracy: float
    scores: Dict[str, float] = field(default_factory=dict, hash=False)
    energy_mj: Optional[float] = None
    memory_mb: Optional[float] = None
    raw_bytes: Optional[float] = None
    packet_bytes: Optional[float] = None

    def __post_init__(self) -> None:
        if not isinstance(self.arm, str) or _ARM.fullmatch(self.arm) is None:
            raise _invalid("arm", "a name of letters, digits and '_.+-'", self.arm)
        for name in ("edge_ms", "encode_ms", "payload_bytes", "decode_ms", "server_ms"):
            self._take_number(name, _LARGEST)
        for name in ("energy_mj", "memory_mb", "raw_bytes", "packet_bytes"):
            if getattr(self, name) is not None:
                self._take_number(name, _LARGEST)
        self._take_number("accuracy", 100)
        if not isinstance(self.scores, dict):
            raise _invalid("scores", "percentages by name", self.scores)
        scores = {name: _number(f"scores[{name!r}]", percent, 100) for name, percent in self.scores.items()}
        object.__setattr__(self, "scores", scores)
        if self.arm == EDGE_ONLY and (self.payload_bytes or self.decode_ms or self.server_ms):
            expected = "0 payload_bytes, decode_ms and server_ms for the arm 'edge-only'"
            raise _invalid("arm", expected, (self.payload_bytes, self.decode_ms, self.server_ms))

    def _take_number(self, name: str, maximum: float) -> None:
        object.__setattr__(self, name, _number(name, getattr(self, name), maximum))

    @property
    def crosses_link(self) -> bool:
        """Whether the arm needs the link at all."""
        return self.arm != EDGE_ONLY

    @property
    def configuration(self) -> Optional[Configuration]:
        """The configuration that the arm names; None for an arm that sends no codes."""
        try:
            return Configuration.parse(self.arm)
        except ValueError:
            return None


def latency_ms(row: LUTRow, bandwidth_mbps: float, round_trip_ms: float = 0.0) -> float:
    """Time from clip to answer: t_edge + t_enc + 8 d / B + t_dec + t_server (Eq. 1, APPROXBIT).

    Ours adds the round trip, which the paper leaves out. The arm `edge-only` has neither transfer nor round
    trip.

    Args:
        row: The arm.
        bandwidth_mbps: B, 10^6 bits per second. 0 is a link that is down, infinity one that costs nothing.
        round_trip_ms: Time of an empty request and its answer on the link.

    Returns:
        Milliseconds; infinite for an arm that needs a link that is down.

    Raises:
        ValueError: A negative bandwidth or round trip, or one that is not a number.

    Example:
        >>> row = LUTRow("64-Enc-B8", 200, 5, 3136, 4, 89.5, 67.9)
        >>> round(latency_ms(row, bandwidth_mbps=3), 2)
        306.86
    """
    for name, value in (("bandwidth_mbps", bandwidth_mbps), ("round_trip_ms", round_trip_ms)):
        if not value >= 0:
            raise ValueError(f"{name}: expected 0 or more, found {value!r}")
    if not row.crosses_link:
        return row.edge_ms + row.encode_ms
    if bandwidth_mbps == 0:
        return math.inf
    bandwidth_mbps, round_trip_ms = float(bandwidth_mbps), float(round_trip_ms)
    # Divided twice: a bandwidth so small that the product would vanish must not become a division by zero.
    transfer_ms = 8 * row.payload_bytes / 1000 / bandwidth_mbps
    return row.edge_ms + row.encode_ms + transfer_ms + row.decode_ms + row.server_ms + round_trip_ms


@dataclass(frozen=True)
class LUT:
    """Measured rows, and where and how they were measured.

    Attributes:
        rows: At least one; each arm at most once.
        device: The machine that plays the edge, in words.
        backend: What ran the edge half, such as `torch 2.15 cpu`.
        date: Day of the measurement, `YYYY-MM-DD`.
        num_clips: How many clips the scores rest on.
        threads: How many threads the edge half had.
        family: The checkpoints that were measured, such as `digits-movinet`.
        figures: Of the family's task, such as `top1_classes`. The first one is `LUTRow.accuracy`; a row's
            `scores` may have all of them.
        split: Of the data, which the clips are from; empty if not known. A selector should go by
            `validation`, so that figures of the test clips stay honest.

    Raises:
        ValueError: A value is of the wrong kind or out of range, or an arm occurs twice.
    """

    rows: Tuple[LUTRow, ...]
    device: str
    backend: str
    date: str
    num_clips: int
    threads: int = 1
    family: str = ""
    figures: Tuple[str, ...] = ("top1",)
    split: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "figures", tuple(self.figures))
        self._check_header()
        if not self.rows:
            raise _invalid("rows", "at least one row", [])
        for index, row in enumerate(self.rows):
            self._check_row(f"rows[{index}]", row)
        if len(set(self.arms)) < len(self.rows):
            raise _invalid("rows", "each arm once", list(self.arms))

    def _check_header(self) -> None:
        for name in ("device", "backend", "family", "split"):
            if not isinstance(getattr(self, name), str):
                raise _invalid(name, "text", getattr(self, name))
        if not isinstance(self.date, str) or _DATE.fullmatch(self.date) is None:
            raise _invalid("date", "a day as YYYY-MM-DD", self.date)
        for name in ("num_clips", "threads"):
            count = getattr(self, name)
            if not isinstance(count, numbers.Integral) or isinstance(count, bool) or count < 1:
                raise _invalid(name, "a whole number of at least 1", count)
            object.__setattr__(self, name, int(count))
        names = self.figures
        if not names or not all(isinstance(name, str) and name for name in names):
            raise _invalid("figures", "at least one name", list(names))

    def _check_row(self, entry: str, row: Any) -> None:
        if not isinstance(row, LUTRow):
            raise _invalid(entry, "a LUTRow", row)
        unknown = sorted(set(row.scores) - set(self.figures))
        if unknown:
            expected = "the names in figures ({})".format(", ".join(self.figures))
            raise _invalid(entry + ".scores", expected, unknown)
        main = row.scores.get(self.figures[0], row.accuracy)
        if main != row.accuracy:
            expected = f"the {self.figures[0]} of scores, {main!r}"
            raise _invalid(entry + ".accuracy", expected, row.accuracy)

    @property
    def arms(self) -> Tuple[str, ...]:
        """The arms' names, in the order of the rows."""
        return tuple(row.arm for row in self.rows)

    def row(self, arm: str) -> LUTRow:
        """The row of one arm.

        Raises:
            ValueError: The LUT has no such arm. The message lists those that it has.
        """
        for row in self.rows:
            if row.arm == arm:
                return row
        raise ValueError("expected one of the arms {}, found {!r}".format(", ".join(self.arms), arm))

    def scaled(self, edge_factor: float) -> "LUT":
        """The LUT as it would be on an edge device that is `edge_factor` times slower than the measured one.

        `edge_ms` and `encode_ms` are multiplied, the device's name says so, and the energy is left out,
        because it was another device's.

        Raises:
            ValueError: `edge_factor` is not a finite number above 0.
        """
        if not 0 < edge_factor < math.inf:
            raise _invalid("edge_factor", "a finite number above 0", edge_factor)
        edge_factor = float(edge_factor)
        rows = [
            replace(
                row, edge_ms=row.edge_ms * edge_factor, encode_ms=row.encode_ms * edge_factor, energy_mj=None
            )
            for row in self.rows
        ]
        device = f"{self.device} (edge times multiplied by {edge_factor:g})"
        return replace(self, rows=tuple(rows), device=device)

    def with_figure(self, name: str) -> "LUT":
        """The LUT whose selector reads the figure `name` instead of the first of `figures`.

        Raises:
            ValueError: Some row has no score of that name.
        """
        for row in self.rows:
            if name not in row.scores:
                expected = f"a score named {name!r}"
                raise _invalid(f"the row of {row.arm!r}", expected, sorted(row.scores))
        rows = tuple(replace(row, accuracy=row.scores[name]) for row in self.rows)
        others = tuple(other for other in self.figures if other != name)
        return replace(self, rows=rows, figures=(name, *others))

    def draw(self, bandwidth_mbps: Optional[float] = None, round_trip_ms: float = 0.0) -> Drawing:
        """A plot of all arms: accuracy over payload, or over latency on a link.

        Args:
            bandwidth_mbps: Of the link, above 0; without one, bytes are drawn.
            round_trip_ms: Of the link.

        Raises:
            ValueError: A bandwidth of 0 or below, a negative round trip, or one that is not a number.
        """
        accuracy = f"{self.figures[0]} (%)"
        if bandwidth_mbps is None:
            dots = [ArmDot(row.arm, row.payload_bytes, row.accuracy) for row in self.rows]
            return draw_arms(dots, "payload (bytes)", accuracy)
        if bandwidth_mbps == 0:
            raise _invalid("bandwidth_mbps", "more than 0", bandwidth_mbps)
        dots = [
            ArmDot(row.arm, latency_ms(row, bandwidth_mbps, round_trip_ms), row.accuracy) for row in self.rows
        ]
        return draw_arms(dots, f"latency at {bandwidth_mbps:g} Mbps (ms)", accuracy)

    def __repr__(self) -> str:
        of_family = f" of {self.family}" if self.family else ""
        return (
            f"<LUT{of_family}: {len(self.rows)} arms on {self.num_clips:,} clips, {self.device}, {self.date}>"
        )

    def _repr_html_(self) -> str:
        header = ["arm", "edge ms", "encode ms", "payload bytes", "decode ms", "server ms", self.figures[0]]
        rows = [
            [row.arm, *(f"{number:,.1f}" for number in _numbers(row)), f"{row.accuracy:.1f} %"]
            for row in self.rows
        ]
        return page(repr(self)[1:-1], self.draw().svg(), table(header, rows))

    def save(self, path: PathLike) -> None:
        """Write readable JSON, one row per line; the file appears whole or not at all."""
        document = {**_HEADER, **to_json(self)}
        rows = [
            {key: value for key, value in row.items() if value not in (None, {})}
            for row in document.pop("rows")
        ]
        head = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in document.items()]
        body = ",\n".join("    " + json.dumps(row) for row in rows)
        write_whole(path, "\n".join(["{", *head, '  "rows": [', body, "  ]", "}", ""]))

    @classmethod
    def load(cls, path: PathLike) -> "LUT":
        """Read what `save` wrote; equal to the LUT that was saved.

        Raises:
            LUTError: The file cannot be read or is not a well-formed LUT. The message names file, entry,
                what was expected and what was found.
        """
        return load_json(path, cls, LUTError, _HEADER)


def _numbers(row: LUTRow) -> List[float]:
    return [row.edge_ms, row.encode_ms, row.payload_bytes, row.decode_ms, row.server_ms]


def _number(name: str, value: Any, maximum: float) -> float:
    """The value as a number of Python's, which JSON can hold; NumPy's are real numbers too."""
    number: float = -1
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not 0 <= number <= maximum:
        limit = "0 or more" if maximum == _LARGEST else f"0 to {maximum:g}"
        raise _invalid(name, f"a finite number, {limit}", value)
    return number


def _invalid(name: str, expected: str, found: object) -> ValueError:
    return ValueError(f"{name}: expected {expected}, found {found!r}")
