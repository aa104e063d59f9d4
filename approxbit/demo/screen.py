"""What people see while the demo runs; the figures for programs are the summary's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from approxbit.report.records import ClipRecord
from approxbit.report.style import format_bytes

NUM_ROWS = 14
LINE_EVERY_S = 5.0
_COLUMNS = ("time", "link", "measured", "SLA", "arm", "bytes", "latency", "SLA met", "answer")


class Screen:
    """A live table of the last clips on a terminal; elsewhere a line now and then.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console):
        self._console = console
        self._rows: deque[ClipRecord] = deque(maxlen=NUM_ROWS)
        self._live: Live | None = None
        self._num_clips = 0
        self._num_right = 0
        self._num_hits = 0
        self._last_line_s = -LINE_EVERY_S

    def say(self, text: str) -> None:
        """A line about what goes on."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def table(self) -> Iterator[None]:
        """While this holds, `show` draws the table."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._draw(), console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None

    def show(self, record: ClipRecord) -> None:
        """One more clip was answered."""
        self._rows.append(record)
        self._num_clips += 1
        self._num_right += record.is_right
        self._num_hits += record.meets_sla
        if self._live is not None:
            self._live.update(self._draw())
        elif record.second - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = record.second
            self.say("  ".join(_cells(record)))

    def _draw(self) -> Table:
        table = Table(title=None, caption=self._caption(), expand=False)
        for name in _COLUMNS:
            table.add_column(
                name, justify="left" if name in ("SLA", "arm", "answer") else "right", no_wrap=True
            )
        for record in self._rows:
            table.add_row(*_cells(record), style=None if record.meets_sla else "yellow")
        return table

    def _caption(self) -> str:
        if not self._num_clips:
            return "waiting for the first answer"
        return f"{self._num_clips} clips, {self._num_right} right, {self._num_hits} within their SLA"


def _cells(record: ClipRecord) -> tuple[str, ...]:
    met = "yes" if record.meets_sla else ("no" if record.sla_is_feasible else "cannot")
    return (
        f"{record.second:.1f} s",
        f"{record.true_mbps:.1f} Mbps",
        f"{record.measured_mbps:.1f} Mbps",
        record.sla,
        record.arm + (" (fallback)" if record.fell_back else ""),
        format_bytes(record.payload_bytes),
        f"{record.latency_ms:.0f} ms",
        met,
        "right" if record.is_right else f"wrong: {record.answer}",
    )
