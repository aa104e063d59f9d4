"""What README and CONTRIBUTING tell people to type really runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from code_blocks import BLOCKS, DOCUMENTS, ON_DEVICE, REPOSITORY, SERVER, Block, name_block
from environments import run_lean

from approxbit.datasets.digits import write_videos
from approxbit.families import find_task, load_lut

# Commands of the surroundings, not ours: there is nothing of this project in them that could go stale.
COMMON_COMMANDS = {"cd", "git", "pip", "python3", "scp", "ssh", "sudo", "uv"}


def split_commands(code: str) -> list[list[str]]:
    """The commands of a shell block; prompts, comments and line continuations are taken away.

    Example: `make test && approxbit demo  # both` -> [["make", "test"], ["approxbit", "demo"]]
    """
    commands: list[list[str]] = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        command: list[str] = []
        for word in [*words, "&&"]:
            if word not in {"&&", "|", ";"}:
                command.append(word)
            elif command:
                commands.append(command)
                command = []
    return commands


@cache
def help_of(*command: str) -> str:
    """The help text of a subcommand of `approxbit`, wide enough that no option is cut."""
    finished = subprocess.run(
        [sys.executable, "-c", "from approxbit.cli import main; main()", *command, "--help"],
        capture_output=True,
        text=True,
        env={"COLUMNS": "300", "TERM": "dumb", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )
    assert finished.returncode == 0, f"approxbit {' '.join(command)} --help: {finished.stderr}"
    return finished.stdout


def check_command(words: list[str]) -> None:
    program, *arguments = words
    if program == "make":
        targets = set(re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
        asked = {word for word in arguments if "=" not in word and not word.startswith("-")}
        assert asked <= targets, f"the Makefile has no target {asked - targets}"
    elif program == "approxbit":
        is_subcommand = bool(arguments) and not arguments[0].startswith("-")
        text = help_of(*arguments[:1] if is_subcommand else ())
        for option in re.findall(r"--[a-z][a-z-]*", " ".join(arguments)):
            # `approxbit train` hands options such as --config to the recipe's own parser.
            assert option in text or arguments[0] == "train", f"approxbit {arguments[0]} has no {option}"
    elif program == "python" and arguments[:1] == ["-m"]:
        assert find_spec(arguments[1]) is not None, f"there is no module {arguments[1]}"
    elif program == "python":
        assert (REPOSITORY / arguments[0]).is_file(), f"there is no file {arguments[0]}"
    else:
        assert program in COMMON_COMMANDS, f"{program} is no command that this test knows how to check"


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "python"], ids=name_block)
def test_a_python_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = compile(block.code, name_block(block), "exec")
    if block.document != ON_DEVICE and SERVER not in block.code:
        exec(program, {"__name__": "__main__"})


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if each.language in ("bash", "sh", "console")], ids=name_block
)
def test_a_shell_block_names_only_commands_that_exist(block: Block) -> None:
    commands = split_commands(block.code)
    assert commands
    for words in commands:
        check_command(words)


def test_the_example_of_the_selector_shows_one_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = (each for each in BLOCKS if "select import select" in each.code)
    exec(compile(block.code, name_block(block), "exec"), {"__name__": "__main__"})
    lines = capsys.readouterr().out.splitlines()
    arms = [re.sub(r"\d+-(No)?Enc-B\d+", "a code", line.split()[2]).partition("-crf")[0] for line in lines]
    assert arms == ["edge-only", "a code", "h264-superfast", "h264-superfast"]
    assert [line.split()[-1] for line in lines] == [
        "False",
        "True",
        "True",
        "True",
    ]  # only links keep the bound


def test_the_example_on_two_machines_runs_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both machines are this one; only the address of the server is another, and the device has no torch."""
    monkeypatch.chdir(tmp_path)
    (on_device,) = (block for block in BLOCKS if SERVER in block.code)
    (on_server,) = (block for block in BLOCKS if "approxbit serve" in block.code)
    export, serve = split_commands(on_server.code)
    subprocess.run(as_run_here(export), check=True, capture_output=True)
    monkeypatch.setenv("APPROXBIT_CACHE", "device")
    videos = write_videos(tmp_path, "test", num_clips=1)
    videos[0].rename("clip.mp4")
    serve = [word.replace("0.0.0.0", "127.0.0.1").replace("50051", "0") for word in serve]
    with subprocess.Popen(as_run_here(serve), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            port = json.loads(server.stdout.readline())["port"]
            code = on_device.code.replace(SERVER, f"127.0.0.1:{port}")
            answered = run_lean(code)
        finally:
            server.terminate()
    assert answered.returncode == 0, answered.stderr
    *label, arm, latency, unit = answered.stdout.split()
    assert " ".join(label) in find_task("digits-movinet").label_set().class_names
    assert (arm in load_lut("digits-movinet").arms, unit) == (True, "ms")
    assert float(latency) > 0


def as_run_here(command: list[str]) -> list[str]:
    """A command of this project under the interpreter and in the checkout of this test."""
    assert command[0] == "approxbit"
    return [sys.executable, "-m", *command]


def test_every_block_has_a_language_that_is_checked_or_plain_text() -> None:
    assert {block.language for block in BLOCKS} <= {"python", "bash", "sh", "console", "text", "json", "yaml"}


def test_files_named_by_links_exist() -> None:
    for document in DOCUMENTS:
        text = (REPOSITORY / document).read_text()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target:
                path = (REPOSITORY / document).parent / target
                assert path.exists(), f"{document} links to {target}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["make", "nothing"], "the Makefile has no target"),
        (["python", "-m", "approxbit_nothing"], "there is no module approxbit_nothing"),
        (["python", "nothing.py"], "there is no file nothing.py"),
        (["nothing"], "nothing is no command"),
    ],
)
def test_the_check_of_commands_sees_what_does_not_exist(words: list[str], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_command(words)


def test_a_shell_block_is_split_into_its_commands() -> None:
    code = "$ make test && approxbit demo  # both\napproxbit run \\\n  a.mp4\n"
    assert split_commands(code) == [
        ["make", "test"],
        ["approxbit", "demo"],
        ["approxbit", "run", "a.mp4"],
    ]
