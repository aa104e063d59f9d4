"""The whole demo, small: a server, a relay and an edge process; and what is left after an interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from approxbit import cli
from approxbit.demo.screen import Screen
from approxbit.demo.story import Settings, run_demo
from approxbit.select import LUT

PROC = Path("/proc")
SCREEN: Screen = None  # type: ignore[assignment]


def children_of(pid: int) -> set[int]:
    """All processes below one, from the kernel's table."""
    parents = {}
    for entry in PROC.glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_running(pid: int) -> bool:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: set[int], timeout_s: float = 60) -> set[int]:
    deadline = time.monotonic() + timeout_s
    while (left := {pid for pid in pids if is_running(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def test_the_demo_answers_clips_and_writes_its_report(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children_of(os.getpid()) if PROC.is_dir() else set()
    words = f"demo --family {family} --clips-per-segment 2 --slowdown 1.5 --label-set actions --json --out"
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words.split(), str(tmp_path / "report")])
    output, progress = capsys.readouterr()
    assert exit_.value.code == 0, progress
    assert "1.5 times slower than this machine" in progress
    assert "exporting" not in progress
    assert output.count("\n") == 1
    summary = json.loads(output)
    assert summary["total"]["num_clips"] >= 6
    assert summary["raw_bytes"] == 4 * 32 * 32 * 3
    assert sum(phase["num_clips"] for phase in summary["phases"]) == summary["total"]["num_clips"]
    assert summary["num_fallbacks"] == 0
    page = Path(summary["report"])
    assert page.read_text().count("data:image/png;base64") == 3
    assert len(list((tmp_path / "report" / "videos-of-the-demo" / "videos").glob("*.mp4"))) == 12
    lut = LUT.load(page.parent / "lut.json")
    assert lut.figures[0] == "top1_actions"
    assert lut.backend.startswith("onnxruntime ")
    assert f"The device computes with {lut.backend}, the server with torch." in page.read_text()
    assert all(row.edge_ms + row.encode_ms > 0 for row in lut.rows if row.arm != "server-only")
    if PROC.is_dir():
        assert children_of(os.getpid()) <= before


@pytest.mark.skipif(not PROC.is_dir(), reason="the test reads the process table of Linux")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_the_demo_ends_early(family: str, tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "approxbit", "demo", "--family", family, "--out", str(tmp_path)]
    # A shell lets its background jobs ignore SIGINT, and they pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        try:
            for line in demo.stderr:
                if line.startswith("writing"):  # the server serves and the edge process loads
                    break
            children = children_of(demo.pid)
            assert len(children) == 2
            demo.send_signal(number)
            demo.communicate(timeout=120)
        finally:
            demo.kill()  # one that is left alone would be waited for without end
        assert demo.returncode != 0
    assert wait_until_gone(children) == set()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"clips_per_segment": 0}, "clips_per_segment must be at least 1, found 0"),
        ({"slowdown": 0.5}, "slowdown must be at least 1, found 0.5"),
        ({"num_threads": 0}, "threads must be at least 1, found 0"),
        ({"seed": -1}, "seed must be 0 or more, found -1"),
        ({"label_set": "colours"}, "one of the label sets action_digit, actions, digits, found 'colours'"),
        ({"family": "nothing"}, "has the LUTs digits-tiny; found 'nothing'"),
    ],
)
def test_settings_are_checked_before_anything_starts(
    family: str, tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    settings = replace(Settings(family, tmp_path), **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=complaint):
        run_demo(settings, SCREEN)


def test_the_command_in_the_report_runs_the_same_again(tmp_path: Path) -> None:
    settings = Settings("toy", tmp_path, 4, 5, "actions", 2.5, 2)
    assert settings.command == (
        "approxbit demo --family toy --clips-per-segment 4 --seed 5 --slowdown 2.5 --threads 2 "
        "--label-set actions"
    )
