"""A process that is really slower, and one that is let go again whatever happens."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from approxbit.demo.throttle import DutyCycle, QuotaBrake, ThrottleProcess, apply_brake

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc of Linux")
BUSY = "while True: pass"


@pytest.fixture
def busy() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        yield process.pid
        process.kill()


def fields_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def ticks_in(pid: int, seconds: float) -> int:
    """CPU time of a process while some time passes."""
    start = sum(map(int, fields_of(pid)[11:13]))
    time.sleep(seconds)
    return sum(map(int, fields_of(pid)[11:13])) - start


@pytest.mark.parametrize("has_groups", [True, False])
def test_a_share_is_all_that_a_busy_process_gets(busy: int, tmp_path: Path, has_groups: bool) -> None:
    mounts = Path("/proc/mounts") if has_groups else tmp_path / "none"
    brake = apply_brake(busy, 0.2, mounts)
    try:
        assert isinstance(brake, QuotaBrake | DutyCycle)
        assert isinstance(brake, DutyCycle) or has_groups
        assert 0 < ticks_in(busy, 2) <= 0.4 * 200  # of 200 ticks; other work on this machine only lowers it
    finally:
        brake.release()
    assert fields_of(busy)[0] != "T"


def test_a_machine_that_refuses_a_quota_keeps_no_group_of_it(busy: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cgroup\.none"):
        QuotaBrake(tmp_path / "cgroup.none", busy, 0.5, 2)
    assert not list(tmp_path.glob("approxbit-*"))


def test_the_process_is_let_go_when_its_throttle_ends(busy: int) -> None:
    with ThrottleProcess(busy, 5) as throttle:
        assert throttle.how.startswith(("a CPU quota", "a duty cycle"))
        assert throttle.is_running
    states = set()
    for _ in range(20):
        states.add(fields_of(busy)[0])
        time.sleep(0.01)
    assert "T" not in states
    assert "approxbit" not in Path(f"/proc/{busy}/cgroup").read_text()


def test_nobody_is_made_faster() -> None:
    with pytest.raises(ValueError, match=r"expected a slowdown above 1, found 1\.0"):
        ThrottleProcess(1, 1.0)
