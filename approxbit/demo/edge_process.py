"""The demo's end of the pipe to its device."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from approxbit.errors import LinkError

MODULE = ("-m", "approxbit.demo.edge")
NUM_LAST_LINES = 20


class EdgeProcess:
    """Starts `python -m approxbit.demo.edge` on entry and ends it on exit.

    The process also ends when this one does, whatever the reason: it watches its standard input.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: Sequence[str]):
        self._command = [sys.executable, *MODULE, *options]
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: deque[str] = deque(maxlen=NUM_LAST_LINES)
        self._reader: threading.Thread | None = None

    def __enter__(self) -> EdgeProcess:
        # A session of its own: an interrupt from the keyboard reaches only this process, which then ends it.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        reading = (self._process.stderr, self._last_lines)
        self._reader = threading.Thread(target=_keep_lines, args=reading, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # it holds nothing that would have to be saved
        process.wait()
        if self._reader is not None:
            self._reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return None if self._process is None else self._process.pid

    def order(self, **facts: Any) -> None:
        """Send an order.

        Raises:
            LinkError: The process has ended.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(facts, default=os.fspath) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def next_event(self) -> dict[str, Any]:
        """Wait for the next event; its kind is under `event`.

        Raises:
            LinkError: The process has ended. The message is the process's own.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        return json.loads(line)

    def _gone(self) -> LinkError:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        if self._reader is not None:
            self._reader.join(timeout=5)
        reason = self._last_lines[-1].strip() if self._last_lines else "it wrote nothing to standard error"
        return LinkError(f"the edge process has ended: {reason}")


def _keep_lines(stream: IO[str], lines: deque[str]) -> None:
    for line in stream:  # a full pipe would stop the process
        lines.append(line)
