"""Commands that need a model: `run`, `list`, `inspect`, `measure` and `serve`."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from approxbit import cli, profiling
from approxbit.edge.transport import GrpcTransport
from approxbit.engines.finding import find_prepared
from approxbit.select import LUT
from approxbit.video.writer import write_video


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two videos of another size and shape than the model's."""
    folder = tmp_path_factory.mktemp("videos")
    generator = np.random.default_rng(0)
    paths = [folder / "a.mp4", folder / "b.avi"]
    for path, num_frames in zip(paths, (10, 5), strict=True):
        frames = generator.integers(0, 256, (num_frames, 48, 80, 3), dtype=np.uint8)
        write_video(path, frames, frame_rate=8)
    return paths


def test_run_answers_what_it_can_read_and_names_what_it_cannot(
    family: str, videos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    first, second = videos
    words = ["--family", f"{family}/8-Enc-B3", "--top", 3, "--json"]
    assert run("run", first, broken, second, *words) == 1
    output, errors = capsys.readouterr()
    answers = [json.loads(line) for line in output.splitlines()]
    assert [answer["video"] for answer in answers] == [str(first), str(second)]
    assert f"approxbit: {broken}: expected a video" in errors
    for answer in answers:
        assert (answer["arm"], answer["payload_bytes"], answer["fell_back"]) == ("8-Enc-B3", 8, False)
        assert answer["backend"].startswith("onnxruntime ")
        shares = [each["probability"] for each in answer["top"]]
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)
        assert answer["answer"] == answer["top"][0]["label"]


def test_run_answers_what_is_left_of_a_damaged_video_and_says_so(
    family: str, videos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(videos[1].read_bytes()[:-3000])
    words = ["--family", f"{family}/8-Enc-B3", "--runner", "torch", "--json"]
    for on_damage, code, num_answers, num_lines in (("error", 1, 0, 1), ("warn", 0, 1, 1), ("use", 0, 1, 0)):
        assert run("run", cut, "--on-damage", on_damage, *words) == code
        output, errors = capsys.readouterr()
        assert len(output.splitlines()) == num_answers
        assert errors.count(f"approxbit: {cut}: ") == num_lines
    assert run("run", cut, "--stream", 3, *words) == 1
    assert "expected stream 3 to be a video, found videos: 0" in capsys.readouterr().err


def test_run_answers_a_video_window_by_window(
    family: str, videos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--family", f"{family}/8-Enc-B3", "--window-step", 3, "--runner", "torch"]
    assert run("run", videos[0], *words, "--json") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["start_frame"] for answer in answers] == [0, 3, 6]
    assert [answer["is_key"] for answer in answers] == [True] * 3  # this family has no prior
    assert run("run", videos[0], *words) == 0
    assert "a.mp4 from frame 6" in capsys.readouterr().out

    short = tmp_path / "short.mp4"
    write_video(short, np.zeros((3, 16, 16, 3), np.uint8), frame_rate=8)
    assert run("run", short, *words) == 1
    assert "expected at least 4 frames, found 3" in capsys.readouterr().err


def test_run_reads_each_file_once_and_answers_up_to_where_it_breaks_off(
    family: str,
    videos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[str] = []
    open_file = av.open
    monkeypatch.setattr(
        av, "open", lambda name, **options: opened.append(Path(name).name) or open_file(name, **options)
    )
    broken = tmp_path / "broken.mp4"
    data, num_lost = videos[0].read_bytes(), 3000
    end = data.index(b"moov") - 4  # of the last frames
    broken.write_bytes(data[: end - num_lost] + bytes(num_lost) + data[end:])
    words = ["--family", f"{family}/8-Enc-B3", "--window-step", 2, "--runner", "torch", "--json"]
    words += ["--on-damage", "error"]
    assert run("run", broken, videos[1], *words) == 1
    output, errors = capsys.readouterr()
    answers = [json.loads(line) for line in output.splitlines()]
    starts = [(Path(answer["video"]).name, answer["start_frame"]) for answer in answers]
    assert starts == [("broken.mp4", 0), ("broken.mp4", 2), ("b.avi", 0)]
    assert str(broken) in errors
    assert opened == ["broken.mp4", "b.avi"]


def test_run_lets_the_selector_choose_and_shapes_the_link(
    family: str, videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--family", family, "--sla", "accuracy>=82", "--bandwidth-mbps", 3, "--top", 1]
    assert run("run", videos[0], *words) == 0
    text = capsys.readouterr().out
    assert "a.mp4" in text
    assert "4-NoEnc-B5" in text or "edge-only" in text


def test_run_computes_with_torch_for_those_who_ask(
    family: str, videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--family", f"{family}/8-Enc-B3", "--runner", "torch", "--json"]
    assert run("run", videos[0], *words) == 0
    output, errors = capsys.readouterr()
    assert json.loads(output)["backend"].startswith("torch ")
    assert "the edge side computes with torch " in errors


def test_a_family_that_was_never_exported_says_how_its_graphs_come_here(
    family: str,
    videos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find_spec(name, *rest)
    )
    assert run("run", videos[0], "--family", family) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "exporting them needs onnx: pip install 'approxbit[export]'" in errors
    assert f"run `approxbit export --config {family} --out FOLDER`" in errors


def test_export_of_a_family_is_what_a_device_finds(
    family: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "--config", family, "--out", cache) == 0  # nothing is exported twice
    assert Path(capsys.readouterr().out.strip()) == find_prepared(family)
    assert run("export", "--config", family, "--target", "orin-jp6") == 1
    assert "--target and --triton need one model and --out" in capsys.readouterr().err


def test_run_of_unreadable_files_only_starts_nothing(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", tmp_path / "none.mp4", "--family", family) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert "none.mp4: expected a video file, found none" in errors


def test_run_names_families_and_configurations_that_are_not_there(
    family: str, videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", videos[0], "--family", "nothing") == 1
    assert "has the families digits-tiny; found 'nothing'" in capsys.readouterr().err
    assert run("run", videos[0], "--family", f"{family}/9-Enc-B9") == 1
    assert "has the configurations 8-Enc-B3, 4-NoEnc-B5, found '9-Enc-B9'" in capsys.readouterr().err


def test_list_names_models_with_their_measurements(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["model"]: (row["bytes"], row["accuracy"], row["unsplit"]) for row in rows} == {
        "digits-tiny/8-Enc-B3": (8, 80, 90),
        "digits-tiny/4-NoEnc-B5": (8, 85, 90),
    }
    assert run("list") == 0
    assert "digits-tiny/8-Enc-B3" in capsys.readouterr().out


def test_inspect_shows_what_a_card_says_and_where_the_backbone_can_be_cut(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in ((family, "backbone"), (f"{family}/8-Enc-B3", "codec")):
        assert run("inspect", name, "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["name"], facts["kind"], facts["license"]) == (name, kind, "Apache-2.0")
        assert "offload_points" not in facts
        assert run("inspect", name, "--points", "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        points = {point["offload_point"]: point for point in facts["offload_points"]}
        assert "B5" in points
        shape = points["B3"]["feature_shape"]
        assert points["B3"]["float32_bytes"] == 4 * int(np.prod(shape))
    assert (facts["bytes"], facts["accuracy"], facts["unsplit"]) == (8, 80, 90)
    assert run("inspect", family, "--points") == 0
    text = capsys.readouterr().out
    assert "Apache-2.0" in text
    assert "B3" in text
    assert "digits-tiny/4-NoEnc-B5" in text


def test_measure_saves_and_prints_the_lut(
    family: str, lut: LUT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, object] = {}

    def fake(name: str, source: object, **options: object) -> LUT:
        asked.update(options, family=name)
        print("a progress bar")
        return lut

    monkeypatch.setattr(profiling, "profile_family", fake)
    path = tmp_path / "new" / "lut.json"
    words = ["--family", family, "--clips", 7, "--timed-clips", 5, "--threads", 2, "--out", path]
    assert run("measure", *words) == 0
    output, errors = capsys.readouterr()
    assert callable(asked.pop("announce"))
    assert asked == {
        "family": family,
        "split": "validation",
        "num_clips": 7,
        "num_timed": 5,
        "num_threads": 2,
        "backend": "",
        "known": None,
    }
    assert LUT.load(path) == lut
    assert "8-Enc-B3" in output
    assert "a progress bar" in errors
    assert run("measure", *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["family"] == family


def test_serve_says_its_port_and_ends_when_interrupted(family: str) -> None:
    command = [sys.executable, "-m", "approxbit", "serve", "--family", family, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            with GrpcTransport(f"127.0.0.1:{json.loads(server.stdout.readline())['port']}") as transport:
                assert transport.ping(timeout_s=60) > 0
            server.send_signal(signal.SIGINT)
            output, errors = server.communicate(timeout=120)
        finally:
            server.kill()  # a server that is left alone would be waited for without end
    assert (server.returncode, output) == (0, "")
    assert "Traceback" not in errors
