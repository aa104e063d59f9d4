"""What people see while the demo runs; the figures for programs are the report's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from approxbit.report.records import AskedRecord
from approxbit.report.style import format_bytes

NUM_ROWS = 14
LINE_EVERY_S = 5.0
_COLUMNS = ("time", "link", "measured", "arm", "bytes", "latency", "question", "answer")
_TEXT = ("arm", "question", "answer")


class Screen:
    """A live table of the last questions on a terminal; elsewhere a line now and then.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console):
        self._console = console
        self._rows: deque[AskedRecord] = deque(maxlen=NUM_ROWS)
        self._live: Live | None = None
        self._num_asked = 0
        self._num_right = 0
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

    def show(self, record: AskedRecord) -> None:
        """One more question was answered, or nothing answered it."""
        self._rows.append(record)
        self._num_asked += 1
        self._num_right += record.is_right
        if self._live is not None:
            self._live.update(self._draw())
        elif record.second - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = record.second
            self.say("  ".join(_cells(record)))

    def _draw(self) -> Table:
        table = Table(title=None, caption=self._caption(), expand=False)
        for name in _COLUMNS:
            table.add_column(name, justify="left" if name in _TEXT else "right", no_wrap=True)
        for record in self._rows:
            style = None if record.is_chosen else "dim"
            table.add_row(*map(escape, _cells(record)), style="yellow" if record.fell_back else style)
        return table

    def _caption(self) -> str:
        if not self._num_asked:
            return "waiting for the first answer"
        return (
            f"{self._num_asked} questions, {self._num_right} answered right; "
            "dim: arms that have their turn beside the selector's choice"
        )


def _cells(record: AskedRecord) -> tuple[str, ...]:
    measured = "" if record.measured_mbps is None else f"{record.measured_mbps:.1f} Mbps"
    return (
        f"{record.second:.1f} s",
        f"{record.true_mbps:.0f} Mbps",
        measured,
        (record.arm or "none") + (" (fallback)" if record.fell_back else ""),
        format_bytes(record.packet_bytes + record.question_bytes),
        f"{record.latency_ms:.0f} ms",
        record.question,
        _answer(record),
    )


def _answer(record: AskedRecord) -> str:
    if not record.is_answered:
        return "none"
    return f"{record.answer}, right" if record.is_right else f"{record.answer}, not {record.right_answer}"
