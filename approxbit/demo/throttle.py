"""A slow device: a process that gets only a share of one core. No time is multiplied anywhere.

`python -m approxbit.demo.throttle --pid 4711 --share 0.25` holds a process back until its own standard input
ends, by the first way that this machine allows:

    cgroup v2     `cpu.max`, where the cpu controller is delegated to us
    cgroup v1     `cpu.cfs_quota_us`
    duty cycle    SIGSTOP and SIGCONT in turns

Quotas are given in slices of a millisecond, so that a computation of 30 ms is slow too, not just a long one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from approxbit.processes import ChildProcess, EndOfLife, say

SLICE_US = 1000
"""The least quota that Linux takes, in microseconds."""
CYCLE_S = 0.02
"""Of the duty cycle: much less, and the signals come late."""


class Brake(Protocol):
    """Holds a process back from when it was made until `release`."""

    how: str

    def release(self) -> None:
        """Let the process run as before."""


class QuotaBrake:
    """A quota of CPU time for a control group that holds the process alone.

    Args:
        parent: A group of the cpu controller, below which another can be made.
        pid: The process.
        share: Of one core, 0 to 1.
        version: Of control groups, 1 or 2.

    Raises:
        OSError: This machine does not allow it.
    """

    def __init__(self, parent: Path, pid: int, share: float, version: int):
        self.how = f"a CPU quota (cgroup v{version}), {SLICE_US / 1000:g} ms of every {1 / share:.3g} ms"
        self._parent, self._pid = parent, pid
        self._folder = parent / f"approxbit-{pid}"
        self._folder.mkdir()
        try:
            period = round(SLICE_US / share)
            if version == 2:
                (self._folder / "cpu.max").write_text(f"{SLICE_US} {period}")
            else:
                (self._folder / "cpu.cfs_period_us").write_text(str(period))
                (self._folder / "cpu.cfs_quota_us").write_text(str(SLICE_US))
            (self._folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """See `Brake`."""
        with suppress(OSError):  # the process has ended
            (self._parent / "cgroup.procs").write_text(str(self._pid))
        for _ in range(50):
            with suppress(OSError):  # the kernel is still clearing up behind it
                self._folder.rmdir()
                return
            time.sleep(0.02)


class DutyCycle:
    """Stops a process and lets it go on, in turns.

    Args:
        pid: The process.
        share: Of the time in which it may run, 0 to 1.
    """

    def __init__(self, pid: int, share: float):
        self.how = f"a duty cycle, running {1000 * CYCLE_S * share:.3g} ms of every {1000 * CYCLE_S:g} ms"
        self._pid, self._share = pid, share
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """See `Brake`."""
        self._is_over.set()
        self._thread.join()

    def _turn(self) -> None:
        with suppress(ProcessLookupError):
            while not self._is_over.wait(CYCLE_S * self._share):
                os.kill(self._pid, signal.SIGSTOP)
                self._is_over.wait(CYCLE_S * (1 - self._share))
                os.kill(self._pid, signal.SIGCONT)


def apply_brake(pid: int, share: float, mounts: Path = Path("/proc/mounts")) -> Brake:
    """Hold a process back by the first way that works here.

    Args:
        pid: The process.
        share: Of one core, above 0 and below 1.
        mounts: Where the kernel lists file systems.
    """
    for parent, version in _control_groups(mounts):
        with suppress(OSError):
            return QuotaBrake(parent, pid, share, version)
    return DutyCycle(pid, share)


def _control_groups(mounts: Path) -> Iterator[tuple[Path, int]]:
    """Groups in which a quota may be possible, and the version of their files."""
    with suppress(OSError):
        for line in mounts.read_text().splitlines():
            _, place, kind, options, *_ = line.split()
            if kind == "cgroup2" and "cpu" in _words(Path(place) / "cgroup.subtree_control"):
                yield Path(place), 2
            if kind == "cgroup" and "cpu" in options.split(","):
                yield Path(place), 1


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


class ThrottleProcess(ChildProcess):
    """Holds another process back while a `with` block lasts, from a process of its own.

    When this process is killed, the other one runs on as before: nobody stays stopped for ever.

    Args:
        pid: The process.
        slowdown: How many times less than one core it gets, above 1.

    Attributes:
        how: In words.
    """

    def __init__(self, pid: int, slowdown: float):
        if not slowdown > 1:
            raise ValueError(f"expected a slowdown above 1, found {slowdown!r}")
        words = ["--pid", str(pid), "--share", repr(1 / slowdown)]
        super().__init__([sys.executable, "-m", "approxbit.demo.throttle", *words], "the throttle")
        self.how = ""

    def start(self) -> None:
        """Hold the process back from now on.

        Raises:
            LinkError: The process that does it could not be started.
        """
        super().start()
        self.how = str(self.receive(is_patient=False)["how"])


def main(apply: Callable[[int, float], Brake] = apply_brake) -> None:
    """Hold a process back until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m approxbit.demo.throttle")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--share", type=float, required=True)
    options = parser.parse_args()
    end = EndOfLife(is_bound_to_stdin=True)
    brake = apply(options.pid, options.share)
    try:
        say(how=brake.how)
        end.wait()
    finally:
        brake.release()


if __name__ == "__main__":
    main()
