"""The whole demo, small: a server, a relay and an edge process; and what is left after an interrupt."""

from __future__ import annotations

import csv
import json
import os
import shutil
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
from approxbit.select import LUT, LUTRow

PROC = Path("/proc")
ASKED = "asked-tiny"
ARMS = {"edge-only": 0, "server-only": 3072, "h264-superfast-crf32": 300, "8-NoEnc-L1": 8, "4-Enc-L2": 1}
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


@pytest.fixture
def asked_family(asked_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The family with a LUT, found by everything that runs in this test."""
    root = tmp_path / "checkpoints"
    shutil.copytree(asked_checkpoints / ASKED, root / ASKED)
    score_of = {"4-Enc-L2": 80}  # too low: the other code is the one that has its turn
    rows = tuple(
        LUTRow(arm, 1, 1, size, 0, 1 * bool(size), score_of.get(arm, 90)) for arm, size in ARMS.items()
    )
    LUT(rows, "a machine", "torch", "2026-01-01", 100, 1, ASKED, ("macro",)).save(root / ASKED / "lut.json")
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return ASKED


def test_the_demo_asks_late_questions_and_names_the_winner(
    asked_family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children_of(os.getpid()) if PROC.is_dir() else set()
    words = f"demo --family {asked_family} --rounds 1 --slowdown 2 --json --out {tmp_path / 'report'}"
    with pytest.raises(SystemExit) as exit_:
        cli.main(words.split())
    output, progress = capsys.readouterr()
    assert exit_.value.code == 0, progress
    for line in (
        "the device is held back by a ",
        "the server is killed",
        "run approxbit measure again): h264",
    ):
        assert line in progress
    found = json.loads(output)
    assert found["conclusion"].startswith("Fastest of the arms that score at least 89.0 %: at 50 Mbps")
    assert found["num_fallbacks"] >= 1
    assert {each["bandwidth_mbps"] for each in found["standings"]} <= {50, 3, 6}
    assert {each["arm"] for each in found["standings"]} == set(ARMS) - {"4-Enc-L2"}
    page = Path(found["report"])
    with open(page.parent / "clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["num_questions"]
    of_clip: dict[str, set[str]] = {}
    for row in rows:
        of_clip.setdefault(row["number"], set()).add(row["question"])
    assert all(len(questions) == 1 for questions in of_clip.values())  # all arms are asked the same
    late = [row for row in rows if row["arm"] == "8-NoEnc-L1" and row["fell_back"] == "False"]
    assert late
    assert all(int(row["question_bytes"]) > 10 for row in late)
    assert len(list((page.parent / "videos-of-the-demo" / "videos").glob("*.mp4"))) == 24
    assert "the device has all of a core" not in page.read_text()
    if PROC.is_dir():
        assert children_of(os.getpid()) <= before


def test_what_the_demo_cannot_do_is_refused_before_anything_starts(asked_family: str, tmp_path: Path) -> None:
    good = Settings(asked_family, tmp_path / "videos")
    for change, reason in (
        ({"rounds": 0}, "rounds must be at least 1, found 0"),
        ({"slowdown": 0.5}, "slowdown must be 1 to 64, found 0.5"),
        ({"num_threads": 0}, "threads must be at least 1, found 0"),
        ({"seed": -1}, "seed must be 0 or more, found -1"),
    ):
        with pytest.raises(ValueError, match=reason):
            run_demo(replace(good, **change), SCREEN)


def test_a_family_that_answers_no_questions_is_refused(family: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a family that answers questions, such as scenes-vit"):
        run_demo(Settings(family, tmp_path / "videos"), SCREEN)


def test_the_command_that_runs_it_again_says_what_was_chosen(tmp_path: Path) -> None:
    command = Settings("mine", tmp_path, 3, 2.5, 7, holds_model=False).command
    assert (
        command
        == "approxbit demo --family mine --rounds 3 --slowdown 2.5 --seed 7 --threads 1 --small-device"
    )


@pytest.mark.skipif(not PROC.is_dir(), reason="the test reads the process table of Linux")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_the_demo_ends_early(asked_family: str, tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "approxbit", "demo", "--family", asked_family, "--out", str(tmp_path)]
    # A shell lets its background jobs ignore SIGINT, and they pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        try:
            for line in demo.stderr:
                if line.startswith("the device is held back"):
                    break
            children = children_of(demo.pid)
            assert len(children) == 3  # server, device, and what holds it back
            demo.send_signal(number)
            demo.communicate(timeout=120)
        finally:
            demo.kill()  # one that is left alone would be waited for without end
        assert demo.returncode != 0
    assert wait_until_gone(children) == set()
