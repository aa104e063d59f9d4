"""How much processor time a command takes until it has answered, that of its server included.

    python benchmarks/speed/startup.py [--runs 3] [--without-bytecode]

Each command runs once before it is timed: `run` then finds its graphs exported, and Python its modules
compiled; with --without-bytecode they are compiled in every process, as where Python may not write. The least
of all runs is shown, in seconds of user and system time. Fails if an aim is missed: half a second for what
opens no model, 6 s for `run`. Takes about two minutes, and one more where the graphs are not there yet.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from approxbit.video.writer import write_video

COMMANDS = {
    "approxbit --help": 0.5,
    "approxbit list": 0.5,
    "approxbit select --bandwidth-mbps 3 --sla accuracy>=80": 0.5,
    "approxbit inspect digits-movinet/16-Enc-B5": 0.5,
    "approxbit run clip.mp4": 6.0,
}
"""And the aim in seconds."""


def measure(command: str, folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Processor time and wall time of one run."""
    words = [sys.executable, "-m", *command.split()]
    before, start = cpu_seconds(), time.perf_counter()
    finished = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return cpu_seconds() - before, time.perf_counter() - start


def cpu_seconds() -> float:
    """Of all child processes that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each command (default: 3)")
    parser.add_argument(
        "--without-bytecode", action="store_true", help="compile all modules in every process"
    )
    options = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        environment["PYTHONDONTWRITEBYTECODE"] = "1" if options.without_bytecode else ""
        frames = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
        write_video(folder / "clip.mp4", frames, frame_rate=8)
        for command, aim_s in COMMANDS.items():
            measure(command, folder, environment)
            cpu_s, wall_s = min(measure(command, folder, environment) for _ in range(options.runs))
            print(f"{command:58} {cpu_s:6.2f} s of {aim_s:g}, {wall_s:6.2f} s on the wall")
            missed += [command] if cpu_s > aim_s else []
    if missed and not options.without_bytecode:
        raise SystemExit(f"aim missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
