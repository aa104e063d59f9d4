"""The rooms of the device are importable where nothing heavy is installed."""

from __future__ import annotations

import pytest
from environments import run_lean

from approxbit.engines.build_script import DEVICE_ROOMS


def test_every_file_of_the_device_needs_nothing_heavy() -> None:
    finished = run_lean(
        "import importlib, pkgutil\n"
        f"for room in {DEVICE_ROOMS!r}:\n"
        "    room = importlib.import_module('approxbit.' + room)\n"
        "    for each in pkgutil.walk_packages(getattr(room, '__path__', ()), room.__name__ + '.'):\n"
        "        if not each.name.endswith('.__main__'):\n"
        "            importlib.import_module(each.name)\n"
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("program", ["approxbit", "approxbit.demo.edge"])
def test_a_program_of_the_device_needs_nothing_heavy(program: str) -> None:
    finished = run_lean(f"import {program}")
    assert finished.returncode == 0, finished.stderr


def test_the_help_of_the_command_line_needs_nothing_heavy() -> None:
    finished = run_lean(
        "import sys; sys.argv = ['approxbit', '--help']\nfrom approxbit.cli import main; main()"
    )
    assert finished.returncode == 0, finished.stderr
    assert "demo" in finished.stdout


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["list"], "digits-movinet/16-Enc-B5"),
        (["select", "--bandwidth-mbps", "3", "--sla", "accuracy>=80"], "keeps accuracy>=80 at 3 Mbps"),
        (["inspect", "digits-movinet"], "recipes/digits/movinet_backbone.yaml"),
        (["inspect", "digits-movinet/8-Enc-B5"], "nested_in"),
    ],
)
def test_a_command_that_reads_cards_and_luts_needs_nothing_heavy(words: list[str], shown: str) -> None:
    finished = run_lean(f"from approxbit.cli import main; main({words})")
    assert finished.returncode == 0, finished.stderr
    assert shown in finished.stdout


def test_a_name_that_only_torch_may_know_says_so() -> None:
    finished = run_lean("from approxbit.cli import main; main(['inspect', 'mvitv2_b'])")
    assert finished.returncode == 2
    assert "such as mvitv2_b need the package torch: pip install 'approxbit[serve]'" in finished.stderr


def test_names_cards_and_luts_need_nothing_heavy() -> None:
    finished = run_lean(
        "import approxbit\n"
        "(name, *_) = approxbit.available()\n"
        "print(approxbit.card(name).asked, approxbit.load_lut('digits-movinet').arms[0])"
    )
    assert finished.stdout == "action_digit edge-only\n", finished.stderr


def test_what_is_blocked_is_really_blocked() -> None:
    assert "torch is blocked here" in run_lean("import torch").stderr


def test_a_name_that_needs_torch_says_so() -> None:
    finished = run_lean("import approxbit; approxbit.load")
    assert "ImportError: approxbit.load needs the package" in finished.stderr
    assert "pip install 'approxbit[serve]'" in finished.stderr
