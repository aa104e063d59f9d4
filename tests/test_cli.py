"""The command line where no model is needed: help, `select`, and how errors look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from approxbit import cli
from approxbit.cli import console
from approxbit.errors import LUTError
from approxbit.families.folder import list_configurations
from approxbit.select import LUT, LUTRow

COMMANDS = (
    "demo",
    "run",
    "new",
    "import-backbone",
    "train",
    "prior",
    "measure",
    "evaluate",
    "export",
    "push",
    "serve",
    "select",
    "list",
    "inspect",
)
ROWS = (
    LUTRow("edge-only", 300, 0, 0, 0, 0, 92),
    LUTRow("server-only", 0, 0, 196608, 0, 50, 92),
    LUTRow("16-Enc-B5", 200, 2, 64, 1, 12, 88),
)


@pytest.fixture
def lut_file(tmp_path: Path) -> str:
    LUT(ROWS, "a machine", "torch", "2026-01-01", 100).save(tmp_path / "lut.json")
    return str(tmp_path / "lut.json")


@pytest.fixture(autouse=True)
def no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPROXBIT_TRACEBACK", raising=False)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main(list(arguments))
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert command in capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_the_module_runs_like_the_command() -> None:
    finished = subprocess.run([sys.executable, "-m", "approxbit", "--help"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "demo" in finished.stdout


def test_select_says_which_arm(lut_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["select", "--bandwidth-mbps", "6", "--sla", "latency<=250ms", "--lut", lut_file]
    assert run(*words) == 0
    text = capsys.readouterr().out
    assert "16-Enc-B5 keeps latency<=250ms at 6 Mbps" in text
    assert "16-Enc-B5 *" in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "arm": "16-Enc-B5",
        "latency_ms": pytest.approx(215.085, abs=0.001),
        "accuracy": 88,
        "payload_bytes": 64,
        "meets_sla": True,
    }


def test_select_says_when_no_arm_keeps_the_sla(lut_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("select", "--bandwidth-mbps", "6", "--sla", "latency<=9", "--lut", lut_file) == 0
    assert "16-Enc-B5 is the closest arm, none keeps latency<=9" in capsys.readouterr().out


def test_a_link_that_is_down_has_no_latency_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LUT(ROWS[1:], "a machine", "torch", "2026-01-01", 100).save(tmp_path / "lut.json")
    words = ["--bandwidth-mbps", "0", "--sla", "accuracy>=80", "--lut", str(tmp_path / "lut.json"), "--json"]
    assert run("select", *words) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("select", "--bandwidth-mbps", "6", "--sla", "soon", "--lut", "{lut}"), "expected an SLA such as"),
        (("select", "--bandwidth-mbps", "6", "--sla", "accuracy>=9", "--lut", "/no/lut"), "/no/lut"),
        (("run",), "expected at least one video: approxbit run FILE"),
        (
            ("run", "a.mp4", "--family", "digits-movinet/16-Enc-B5", "--sla", "accuracy>=9"),
            "expected one model or an SLA that chooses",
        ),
        (("run", "a.mp4", "--server", "somewhere"), "expected a server as host:port"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(
    arguments: tuple[str, ...], complaint: str, lut_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(word.format(lut=lut_file) for word in arguments)) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert errors.startswith("approxbit: ")
    assert complaint in errors


def test_a_wrong_option_is_the_command_lines_own_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--rounds", "0") == 2
    assert "--rounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "the package torch: pip install 'approxbit[serve]'",
        ),
        (ImportError("install approxbit[serve]"), "install approxbit[serve]"),
    ],
)
def test_a_missing_package_names_what_to_install(
    error: ImportError, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", refuse)
    assert run("demo") == 2
    assert complaint in capsys.readouterr().err


def test_the_traceback_is_there_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROXBIT_TRACEBACK", "1")
    with pytest.raises(LUTError, match="/no/lut"):
        cli.main(["select", "--bandwidth-mbps", "6", "--sla", "accuracy>=9", "--lut", "/no/lut"])


def test_every_line_of_a_message_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.fail("expected these shapes, found\nhead: [6] for [3]\n\ntry num_classes=6\n", 1)
    expected = "approxbit: expected these shapes, found\n  head: [6] for [3]\n  try num_classes=6\n"
    assert capsys.readouterr().err == expected


def test_of_a_very_long_message_the_middle_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.fail("the server did not come up; its last lines were:\n" + "\n".join(map(str, range(50))), 1)
    lines = capsys.readouterr().err.split("\n")
    assert lines[1:3] == ["  0", "  1"]
    assert lines[10:13] == ["  9", "  ...", "  40"]
    assert lines[-2:] == ["  49", ""]


def test_of_a_very_long_line_the_middle_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.fail("found " + "1, " * 100_000, 1)
    assert len(capsys.readouterr().err) < 2 * console.MAX_LINE


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(["class"], [["\x1b[31mred\nb"]])
    console.print_text("\x1b]0;title\x07 naïve 日本")
    with pytest.raises(SystemExit):
        console.fail("found \x1b[2J", 1)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1:] == [r"\x1b[31mred b", r"\x1b]0;title\x07 naïve 日本"]
    assert shown.err == "approxbit: found \\x1b[2J\n"


def test_a_broken_family_is_named_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    for family, card in (
        ("broken", "{"),
        ("nested", json.dumps({"arguments": {"nested_sizes": [4, 99, 10**12]}})),
    ):
        (tmp_path / family).mkdir()
        (tmp_path / family / "16-Enc-B3.json").write_text(card)
    assert run("list") == 1
    shown = capsys.readouterr()
    assert shown.out.split() == ["model", "label", "set", "bytes", "accuracy", "%", "unsplit", "%"]
    assert "broken/16-Enc-B3.json: expected JSON" in shown.err
    assert "nested/16-Enc-B3.json: " in shown.err
    assert [str(each) for each in list_configurations(tmp_path / "nested")] == ["4-Enc-B3", "16-Enc-B3"]


def test_a_table_in_a_pipe_is_never_folded(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(["a", "b"], [["x" * 300, "[1]"]])
    assert capsys.readouterr().out.splitlines()[1] == "x" * 300 + "  [1]"


def test_train_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[list[str]] = []
    module = type(sys)("approxbit.training.cli")
    module.main = passed.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "approxbit.training.cli", module)
    monkeypatch.setitem(sys.modules, "approxbit.training", type(sys)("approxbit.training"))
    assert run("train", "--config", "a.yaml", "--trainer.max_steps", "3") == 0
    assert passed == [["--config", "a.yaml", "--trainer.max_steps", "3"]]

    def interrupt(_: list[str]) -> None:
        raise KeyboardInterrupt

    module.main = interrupt  # type: ignore[attr-defined]
    assert run("train", "--config", "a.yaml") == 130
