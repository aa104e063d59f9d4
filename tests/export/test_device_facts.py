"""What a device tells about itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_jetson_names_itself_its_mode_and_its_clocks(
    tmp_path: Path, facts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    write(root / "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    write(root / "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
    for cpu in range(2):
        write(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", "schedutil\n")
        write(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", "2201600\n")
    write(root / "sys/class/devfreq/17000000.gpu/cur_freq", "1300500000\n")
    write(tmp_path / "bin/nvpmodel", "#!/bin/sh\necho 'NV Power Mode: MAXN'\necho 0\n")
    (tmp_path / "bin/nvpmodel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = facts.device_facts(root)
    assert found == {
        "model": "NVIDIA Jetson AGX Orin Developer Kit",
        "l4t": "L4T 36.4.3",
        "power_mode": "MAXN",
        "cpu_governors": ["schedutil"],
        "cpu_mhz": [2201, 2201],
        "gpu_mhz": 1300,
    }
    assert facts.describe(found) == "NVIDIA Jetson AGX Orin Developer Kit, L4T 36.4.3, mode MAXN"


def test_another_machine_is_named_by_its_processor(
    tmp_path: Path, facts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = facts.device_facts(tmp_path)
    assert list(found) == ["model"]
    assert facts.describe(found) == found["model"]


def test_a_power_mode_that_cannot_be_asked_is_left_out(
    tmp_path: Path, facts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "nvpmodel", "#!/does/not/exist\n")
    (tmp_path / "nvpmodel").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "power_mode" not in facts.device_facts(tmp_path)
