"""How much power a Jetson draws while something runs.

Either source gives milliwatts by rail. `hwmon` is the kernel's own interface to the INA3221 monitors and can
be read often; `tegrastats` is NVIDIA's tool. Both see the module, not the carrier board.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Callable

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")  # where a module has one of them, it feeds all others
_EVERY_S = 0.02
_RAIL = re.compile(r"([A-Z][A-Z0-9_]*) (\d+)mW/\d+mW")


class PowerMeter:
    """Mean power of the time between entering and leaving; a context manager.

    Args:
        source: What it reads, in words.
        sample: One reading, milliwatts by rail; may wait for the next one.
        process: What `sample` reads from, if it is another program; ended with the meter.
    """

    def __init__(
        self,
        source: str,
        sample: Callable[[], dict[str, float]],
        process: subprocess.Popen[bytes] | None = None,
    ):
        self.source = source
        self._sample, self._process = sample, process
        self._sums: dict[str, float] = {}
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> PowerMeter:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._process is None:
            self._thread.join()
            return
        with self._process as process:  # leaving it waits, and closes the pipe
            process.terminate()
            self._thread.join()

    def _collect(self) -> None:
        while not self._ended.is_set():
            readings = self._sample()
            if not readings:  # a rail that is busy, or a tool that has ended
                time.sleep(_EVERY_S)
            elif not self._ended.is_set():
                self._count += 1
                for rail, milliwatts in readings.items():
                    self._sums[rail] = self._sums.get(rail, 0.0) + milliwatts

    @property
    def rails_mw(self) -> dict[str, float]:
        """Mean milliwatts by rail; empty if nothing was read."""
        return {rail: round(total / self._count, 1) for rail, total in self._sums.items()}

    @property
    def total_mw(self) -> float:
        """Mean milliwatts of the module: the rail that feeds all others, else the sum of all rails."""
        rails = self.rails_mw
        return next((rails[name] for name in TOTAL_RAILS if name in rails), sum(rails.values()))


def find_meter(source: str, root: Path = Path("/")) -> PowerMeter | None:
    """A meter of this device; None for `none`, and for `auto` where there is no meter.

    Args:
        source: `hwmon`, `tegrastats`, `auto` (the first that is there) or `none`.
        root: Where `sys` lies.

    Raises:
        ValueError: The source that was asked for is not there.
    """
    meter = None
    if source in ("auto", "hwmon"):
        meter = _hwmon(root)
    if meter is None and source in ("auto", "tegrastats"):
        meter = _tegrastats()
    if meter is None and source in ("hwmon", "tegrastats"):
        raise ValueError(f"this device has no {source} that tells its power")
    return meter


def _hwmon(root: Path) -> PowerMeter | None:
    rails: dict[str, tuple[Path, Path]] = {}
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if _read(folder / "name") != "ina3221":
            continue
        for label in sorted(folder.glob("in[0-9]_label")):
            channel = label.name[2]
            voltage, current = folder / f"in{channel}_input", folder / f"curr{channel}_input"
            if voltage.exists() and current.exists():
                rails[_read(label)] = (voltage, current)

    def sample() -> dict[str, float]:
        time.sleep(_EVERY_S)
        try:  # millivolts times milliamperes are microwatts
            return {name: int(_read(volt)) * int(_read(amp)) / 1000 for name, (volt, amp) in rails.items()}
        except ValueError:
            return {}

    return PowerMeter("hwmon", sample) if rails else None


def _tegrastats() -> PowerMeter | None:
    program = shutil.which("tegrastats")
    if program is None:
        return None
    process = subprocess.Popen([program, "--interval", "100"], stdout=subprocess.PIPE)
    lines = process.stdout
    assert lines is not None
    return PowerMeter("tegrastats", lambda: parse_tegrastats(lines.readline().decode()), process)


def parse_tegrastats(line: str) -> dict[str, float]:
    """Milliwatts by rail of one line; the second number, tegrastats' own mean, is left out.

    Example:
        >>> parse_tegrastats("RAM 2/30990MB CPU [1%@729] tj@48C VDD_IN 4900mW/4850mW VDD_SOC 800mW/800mW")
        {'VDD_IN': 4900.0, 'VDD_SOC': 800.0}
    """
    return {rail: float(milliwatts) for rail, milliwatts in _RAIL.findall(line)}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
