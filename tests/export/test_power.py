"""Milliwatts from the kernel's files and from tegrastats."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType

import pytest


def make_monitor(root: Path, channels: dict[str, tuple[int, int]], name: str = "ina3221") -> None:
    folder = root / "sys/class/hwmon" / f"hwmon{len(list(root.glob('sys/class/hwmon/*')))}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for channel, (label, (millivolts, milliamperes)) in enumerate(channels.items(), start=1):
        (folder / f"in{channel}_label").write_text(f"{label}\n")
        (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
        (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")


def test_the_kernels_monitors_give_the_power_of_each_rail(tmp_path: Path, power: ModuleType) -> None:
    make_monitor(tmp_path, {"VDD_GPU_SOC": (19000, 120), "VDD_CPU_CV": (19000, 40)})
    make_monitor(tmp_path, {"temp": (1, 1)}, name="cpu_thermal")
    with power.find_meter("auto", tmp_path) as meter:
        time.sleep(0.1)
    assert meter.source == "hwmon"
    assert meter.rails_mw == {"VDD_GPU_SOC": 2280.0, "VDD_CPU_CV": 760.0}
    assert meter.total_mw == 3040.0


def test_the_rail_that_feeds_all_others_is_the_total(tmp_path: Path, power: ModuleType) -> None:
    make_monitor(tmp_path, {"VDD_IN": (5000, 1000), "VDD_CPU_GPU_CV": (5000, 300), "VDD_SOC": (5000, 200)})
    with power.find_meter("hwmon", tmp_path) as meter:
        time.sleep(0.1)
    assert meter.total_mw == 5000.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "RAM 4722/30990MB (lfb 5x4MB) SWAP 0/15495MB (cached 0MB) CPU [0%@729,off] cpu@48.1C "
            "VDD_GPU_SOC 2404mW/2404mW VDD_CPU_CV 801mW/901mW VIN_SYS_5V0 3232mW/3232mW",
            {"VDD_GPU_SOC": 2404.0, "VDD_CPU_CV": 801.0, "VIN_SYS_5V0": 3232.0},
        ),
        (
            "RAM 1903/15692MB CPU [1%@1190] AO@31C GPU 0mW/0mW CPU 464mW/464mW SOC 1084mW/1084mW",
            {"GPU": 0.0, "CPU": 464.0, "SOC": 1084.0},
        ),
        ("", {}),
    ],
)
def test_a_line_of_tegrastats_is_read(line: str, expected: dict[str, float], power: ModuleType) -> None:
    assert power.parse_tegrastats(line) == expected


def test_a_machine_without_a_meter_has_none(
    tmp_path: Path, power: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power.find_meter("auto", tmp_path) is None
    assert power.find_meter("none", tmp_path) is None
    for source in ("hwmon", "tegrastats"):
        with pytest.raises(ValueError, match=f"this device has no {source} that tells its power"):
            power.find_meter(source, tmp_path)


def test_a_meter_that_reads_nothing_says_so(tmp_path: Path, power: ModuleType) -> None:
    make_monitor(tmp_path, {"VDD_IN": (5000, 1000)})
    (tmp_path / "sys/class/hwmon/hwmon0/curr1_input").write_text("busy")
    with power.find_meter("hwmon", tmp_path) as meter:
        time.sleep(0.05)
    assert meter.rails_mw == {}
