"""Which device this is and how fast it is set to run: what a measurement is worth nothing without."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any


def device_facts(root: Path = Path("/")) -> dict[str, Any]:
    """What can be learned about the device; whatever it does not say is left out.

    Args:
        root: Where `proc`, `etc` and `sys` lie.

    Returns:
        `model`, `l4t` (Jetson Linux), `power_mode` (of nvpmodel), `cpu_governors`, `cpu_mhz` and `gpu_mhz` at
        this moment.
    """
    facts = {
        "model": _read(root / "proc/device-tree/model") or f"{platform.machine()} {platform.system()}",
        "l4t": _l4t(_read(root / "etc/nv_tegra_release")),
        "power_mode": _power_mode(),
        "cpu_governors": sorted(set(_cpus(root, "scaling_governor"))),
        "cpu_mhz": [int(text) // 1000 for text in _cpus(root, "scaling_cur_freq")],
        "gpu_mhz": _gpu_mhz(root),
    }
    return {name: value for name, value in facts.items() if value}


def describe(facts: dict[str, Any]) -> str:
    """The device in one line, for a LUT."""
    parts = [facts["model"], facts.get("l4t"), facts.get("power_mode") and f"mode {facts['power_mode']}"]
    return ", ".join(part for part in parts if part)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _l4t(release: str) -> str:
    """`# R36 (release), REVISION: 4.3, ...` -> `L4T 36.4.3`."""
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
    return f"L4T {match.group(1)}.{match.group(2)}" if match else ""


def _power_mode() -> str:
    """`NV Power Mode: MAXN` -> `MAXN`."""
    program = shutil.which("nvpmodel")
    if program is None:
        return ""
    try:
        finished = subprocess.run([program, "-q"], stdout=subprocess.PIPE, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"NV Power Mode:\s*(\S+)", finished.stdout.decode("utf-8", "replace"))
    return match.group(1) if match else ""


def _cpus(root: Path, name: str) -> list[str]:
    paths = sorted((root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/cpufreq/{name}"))
    return [text for text in map(_read, paths) if text]


def _gpu_mhz(root: Path) -> int:
    """Of Jetson's GPU, called `17000000.gpu`, `17000000.ga10b` (Orin) or `17000000.gv11b` (Xavier)."""
    for path in sorted((root / "sys/class/devfreq").glob("*.g*/cur_freq")):
        text = _read(path)
        if text:
            return int(text) // 1_000_000
    return 0
