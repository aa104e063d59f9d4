"""What a device on JetPack 5 runs, under a real Python 3.8 that has what `pip install approxbit` brings."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import find_uv, install, make_once, run
from rooms import MODULE_PATHS, REPOSITORY, is_torch_free, module_name, room_of

from approxbit.engines.artefact import load_artefact, load_reference
from approxbit.engines.build_script import write_build_script

MODULES = [
    name
    for name in map(module_name, MODULE_PATHS)
    if is_torch_free(name) or room_of(name) == "cli"  # `python -m approxbit` would run where it is imported
]
IMPORT_ONE_BY_ONE = """
import importlib, json, sys
failures = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failures[name] = "{}: {}".format(type(error).__name__, error)
print(json.dumps(failures))
"""
ENCODE = """
import sys
import numpy
from approxbit.engines.opening import open_edge
clip = numpy.load("reference.npz")["clip"][0]
sys.stdout.write(open_edge(".").run(clip).payload.hex())
"""

READ_AND_WRITE = """
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from approxbit.files import load_json, save_json

@dataclass(frozen=True)
class Inner:
    shape: Tuple[Optional[int], ...]
    pair: Tuple[int, float] = (1, 2.5)

@dataclass(frozen=True)
class Outer:
    inner: Inner
    rows: Sequence[Inner] = ()
    names: List[str] = field(default_factory=list)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    more: Dict[str, Inner] = field(default_factory=dict)
    text: Optional[str] = None

outer = Outer(Inner((None, 3)), (Inner(()),), ["a"], {"b": [1, None]}, {"c": Inner((1,))}, "d")
save_json("outer.json", outer, {"version": 1})
assert load_json("outer.json", Outer, ValueError, {"version": 1}) == outer
open("outer.json", "w").write('{"inner": {"shape": [true]}}')
try:
    load_json("outer.json", Outer, ValueError)
except ValueError as error:
    print(error)
"""
RELAY = """
import socket
from approxbit.link import RelayProcess, Trace
server = socket.create_server(("127.0.0.1", 0))
with RelayProcess("127.0.0.1:%d" % server.getsockname()[1], Trace.constant(8)) as relay:
    relay.restart_clock()
    child = relay._process
print(child.returncode)
"""
READ_VIDEOS = """
import json, sys
from approxbit.video import read_clip, video_info
found = {}
for path in sys.argv[1:]:
    info = video_info(path, on_damage="use")
    clip = read_clip(path, info.num_frames, on_damage="use")
    found[path] = [*info[:4], info.codec, *info.damage[:3]]
    found[path] += [clip.shape, (clip[:, 8, 8::16].mean(-1) > 127).tolist()]
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of 3.8 that has approxbit and its dependencies."""
    return make_once(tmp_path_factory, "python-3.8", make_environment) / "bin" / "python"


def make_environment(folder: Path) -> None:
    uv = find_uv()
    made = run(uv, "venv", "--clear", "--python", find_python(uv), folder)
    assert made.returncode == 0, made.stderr
    install(folder, "-r", REPOSITORY / "pyproject.toml")
    run(uv, "pip", "install", "--python", folder / "bin" / "python", "onnxruntime")  # not on every platform
    (site_packages,) = folder.glob("lib/python3.8/site-packages")
    (site_packages / "approxbit.pth").write_text(f"{REPOSITORY}\n")


def find_python(uv: str) -> str:
    for candidate in installed_pythons(uv):
        # The shims of pyenv are there without a version behind them.
        if run(candidate, "-c", "import sys; print(*sys.version_info[:2])").stdout == "3 8\n":
            return candidate
    installed = run(uv, "python", "install", "3.8")
    if installed.returncode:
        pytest.skip(f"needs Python 3.8, and uv cannot install it: {installed.stderr[-300:]}")
    return run(uv, "python", "find", "--managed-python", "3.8").stdout.strip()


def installed_pythons(uv: str) -> Iterator[str]:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(str(path) for path in versions.glob("3.8*/bin/python3.8"))
    for found in (shutil.which("python3.8"), run(uv, "python", "find", "3.8").stdout.strip()):
        if found:
            yield found


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """The folder of a small artefact, with the script that builds its engines."""
    write = runpy.run_path(str(REPOSITORY / "tests" / "export" / "small_artefact.py"))["write_small_artefact"]
    folder: Path = write(tmp_path / "artefact", whole=True)
    write_build_script(folder)
    return folder


def test_every_module_of_the_device_can_be_imported(python: Path) -> None:
    assert len(MODULES) > 50
    finished = run(python, "-c", IMPORT_ONE_BY_ONE, given=json.dumps(MODULES))
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == {}


def test_the_build_script_prints_its_commands(python: Path, artefact: Path) -> None:
    command = ("build_engine.pyz", ".", "--graph", "all", "--dry-run", "--tensorrt", "8.5.2")
    finished = run(python, *command, folder=artefact)
    assert finished.returncode == 0, finished.stderr
    for graph in ("edge", "server", "whole"):
        assert f"trtexec --onnx={graph}.onnx" in finished.stdout


@pytest.mark.parametrize("script", ["build_engine.py", "profile_device.py"])
def test_a_script_of_the_device_starts(python: Path, script: str) -> None:
    finished = run(python, REPOSITORY / "export" / script, "--help")
    assert finished.returncode == 0, finished.stderr
    assert "FOLDER" in finished.stdout.upper()


def test_a_clip_becomes_its_code(python: Path, artefact: Path) -> None:
    if run(python, "-c", "import onnxruntime").returncode:
        pytest.skip("there is no ONNX Runtime for Python 3.8 on this platform")
    finished = run(python, "-c", ENCODE, folder=artefact)
    expected = load_reference(load_artefact(artefact)).packed[0].tobytes().hex()
    assert (finished.stdout, finished.returncode) == (expected, 0), finished.stderr


@pytest.mark.parametrize("postponed", ["", "from __future__ import annotations\n"])
def test_a_dataclass_is_read_and_written(postponed: str, python: Path, tmp_path: Path) -> None:
    finished = run(python, "-c", postponed + READ_AND_WRITE, folder=tmp_path)
    assert finished.stderr == ""
    assert finished.stdout == "outer.json: inner.shape[0]: expected a whole number, found True\n"


def test_videos_are_read_as_by_a_newer_pyav(python: Path, tmp_path: Path) -> None:
    films = runpy.run_path(str(REPOSITORY / "tests" / "video" / "films.py"))
    film, with_streams = films["film"], films["with_streams"]
    turned = bytearray(film(range(9)))
    at, one = turned.index(b"tkhd") + 44, 1 << 16
    turned[at : at + 36] = struct.pack(">9i", 0, one, 0, one, 0, 0, 0, 0, 1 << 30)  # turned and mirrored
    whole = film(container="matroska")
    videos = {
        "turned": bytes(turned),
        "two": with_streams((film(range(100, 105)), 0), (film(), 1)),
        "joined": film(range(20), "mpegts") + film(range(20, 50), "mpegts"),
        "reordered": film(container="avi"),
        "flash": film(container="flv"),
        "cut": whole[: len(whole) // 2],
    }
    for name, data in videos.items():
        (tmp_path / name).write_bytes(data)
    older = run(python, "-c", READ_VIDEOS, *videos, folder=tmp_path)
    path = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
    newer = run(sys.executable, "-c", path + READ_VIDEOS, *videos, folder=tmp_path)
    assert (older.stderr, newer.stderr) == ("", "")
    assert json.loads(older.stdout) == json.loads(newer.stdout)
    assert [value[0] for value in json.loads(newer.stdout).values()][:5] == [9, 50, 50, 50, 50]


def test_a_relay_starts_takes_orders_and_ends_well(python: Path) -> None:
    finished = run(python, "-c", RELAY)
    assert (finished.stdout, finished.stderr) == ("0\n", "")


def test_the_command_line_starts(python: Path) -> None:
    finished = run(python, "-m", "approxbit", "select", "--help")
    assert finished.returncode == 0, finished.stderr
    assert "--bandwidth-mbps" in finished.stdout
