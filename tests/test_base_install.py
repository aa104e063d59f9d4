"""What `pip install approxbit` brings, without any extra: the wheel, in an environment of its own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import BLOCKS, ON_DEVICE, SERVER, Block, name_block
from environments import find_uv, install, make_once, run
from rooms import REPOSITORY, room_of

import approxbit
from approxbit.engines.build_script import DEVICE_ROOMS

MOST_MB = 400
PYTHON_BLOCKS = [each for each in BLOCKS if each.language == "python" and each.document != ON_DEVICE]


def rooms_of(code: str) -> set[str]:
    """The rooms of approxbit and the other packages that some code imports, or takes from `approxbit.`"""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "approxbit":
            found |= {f"approxbit.{approxbit._HOME_OF.get(alias.name, alias.name)}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "approxbit":
            found.add(f"approxbit.{approxbit._HOME_OF.get(node.attr, node.attr)}")
    return {room_of(name) if name.startswith("approxbit.") else name for name in found} - {"approxbit"}


def needs_torch(block: Block) -> bool:
    return not rooms_of(block.code) <= {*DEVICE_ROOMS, *sys.stdlib_module_names, "numpy"}


TORCH_FREE = [block for block in PYTHON_BLOCKS if not needs_torch(block) and SERVER not in block.code]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel and what it depends on."""
    return make_once(tmp_path_factory, "base-install", make_environment)


def make_environment(folder: Path) -> None:
    built = run(find_uv(), "build", "--wheel", "--out-dir", folder.with_name("wheel"), REPOSITORY)
    if built.returncode:
        pytest.skip(f"needs the packages that build a wheel: {built.stderr[-300:]}")
    made = run(find_uv(), "venv", "--clear", "--python", sys.executable, folder)
    assert made.returncode == 0, made.stderr
    install(folder, *folder.with_name("wheel").glob("*.whl"))


def approxbit_of(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(installed / "bin" / "approxbit", *words, folder=folder)


def test_nothing_heavy_is_installed(installed: Path) -> None:
    (site_packages,) = installed.glob("lib/python*/site-packages")
    assert not any((site_packages / name).exists() for name in ("torch", "torchvision", "scipy", "numba"))
    size_mb = sum(path.stat().st_size for path in site_packages.rglob("*") if path.is_file()) / 1e6
    print(f"the base install takes {size_mb:.0f} MB")
    assert 1 < size_mb < MOST_MB


def test_the_wheel_holds_weights_targets_and_types(installed: Path) -> None:
    (package,) = installed.glob("lib/python*/site-packages/approxbit")
    assert (package / "_checkpoints" / "digits-movinet" / "lut.json").is_file()
    assert (package / "_targets" / "orin-jp6.json").is_file()
    assert (package / "_export" / "build_engine.py").is_file()
    assert (package / "py.typed").is_file()


def test_the_commands_that_read_cards_and_luts_answer(installed: Path, tmp_path: Path) -> None:
    listed = approxbit_of(installed, tmp_path, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "digits-movinet/16-Enc-B5" in {row["model"] for row in json.loads(listed.stdout)}
    words = ("select", "--bandwidth-mbps", "3", "--sla", "accuracy>=80")
    assert "keeps accuracy>=80 at 3 Mbps" in approxbit_of(installed, tmp_path, *words).stdout
    assert "digits-movinet/16-Enc-B5" in approxbit_of(installed, tmp_path, "inspect", "digits-movinet").stdout
    assert "Apache-2.0" in approxbit_of(installed, tmp_path, "inspect", "digits-movinet/8-Enc-B5").stdout


def test_a_command_that_needs_more_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    finished = approxbit_of(installed, tmp_path, "serve", "--family", "digits-movinet")
    assert finished.returncode == 2
    assert "this needs the package torch: pip install 'approxbit[" in finished.stderr


@pytest.mark.parametrize("block", TORCH_FREE, ids=name_block)
def test_a_block_that_needs_no_torch_runs_without(block: Block, installed: Path, tmp_path: Path) -> None:
    finished = run(installed / "bin" / "python", "-c", block.code, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr


def test_blocks_are_told_apart_by_what_they_import() -> None:
    def needs(code: str) -> bool:
        return needs_torch(Block("", 0, "python", code))

    assert not needs("import json\nfrom approxbit import LUT\nfrom approxbit.select import select")
    assert needs("import torch")
    assert needs("from approxbit import load")
    assert needs("import approxbit\napproxbit.load('a')")
    assert not needs("import approxbit\napproxbit.load_lut('a')")
    assert [block.document for block in TORCH_FREE] == [
        "approxbit/select/README.md",
        "approxbit/video/README.md",
    ]
    (on_device,) = (block for block in PYTHON_BLOCKS if SERVER in block.code)
    assert not needs_torch(on_device)  # test_documents.py runs it


USER_SCRIPT = """
import approxbit

model = approxbit.load("digits-movinet/16-Enc-B5")
lut: approxbit.LUT = approxbit.load_lut("digits-movinet")
bytes_of_arms: dict[str, float] = {row.arm: row.payload_bytes for row in lut.rows}
print(model.label_names, bytes_of_arms)
"""


def check_types(installed: Path, script: Path, code: str) -> subprocess.CompletedProcess[str]:
    """What mypy says to a user's script, where the wheel is installed."""
    script.write_text(code)
    cache = installed / "mypy-cache"
    words = ["--strict", "--python-executable", installed / "bin" / "python", "--cache-dir", cache, script]
    return run(sys.executable, "-m", "mypy", *words, folder=script.parent)


def test_a_type_checker_knows_the_names(installed: Path, tmp_path: Path) -> None:
    finished = check_types(installed, tmp_path / "script.py", USER_SCRIPT + "reveal_type(model)")
    assert finished.returncode == 0, finished.stdout
    assert 'Revealed type is "approxbit.offload.model.OffloadedModel"' in finished.stdout


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("approxbit.nothing", 'Module has no attribute "nothing"'),
        ("lut.nothing", '"LUT" has no attribute "nothing"'),
        ("approxbit.load_lut(7)", 'Argument 1 to "load_lut" has incompatible type "int"'),
    ],
)
def test_a_type_checker_sees_a_mistake(mistake: str, complaint: str, installed: Path, tmp_path: Path) -> None:
    finished = check_types(installed, tmp_path / "script.py", USER_SCRIPT + mistake)
    assert complaint in finished.stdout
