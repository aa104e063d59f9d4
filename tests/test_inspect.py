"""`approxbit inspect`: where a backbone can be cut, and what the codes of a codec say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from approxbit.cli import main
from approxbit.datasets.digits import write_videos


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", *arguments])
    shown = capsys.readouterr()
    assert stopped.value.code == 0, shown.err
    return shown.out


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))


def test_a_builder_shows_its_offload_points(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(run(capsys, "movinet_a2", "--json"))
    points = {point["offload_point"]: point for point in shown["offload_points"]}
    assert points["B3"]["feature_shape"] == [40, 50, 28, 28]
    assert points["B5"]["float32_bytes"] == 4 * 72 * 50 * 14 * 14
    shares = [round(point["edge_flops_share"], 3) for point in points.values()]
    assert shares == pytest.approx([0.023, 0.167, 0.369, 0.548, 0.746, 0.980], abs=2e-3)
    assert "codes" not in shown


def test_a_shipped_model_shows_its_card_too(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "digits-movinet/8-Enc-B5", "--clips", "0")
    assert "digits-movinet/16-Enc-B5" in shown
    assert "nested_in" in shown
    assert "digits-movinet/16-Enc-B5" in shown
    assert "sha256" in shown
    assert "share of FLOPs" in shown
    assert "100.0 %" not in shown  # a MoViNet's last point still has its head to come
    assert "entropy" not in shown


def test_what_is_neither_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", "movinet_a9"])
    complaint = "found 'movinet_a9'; and there are the builders llava_onevision_0_5b, movinet_a0"
    assert complaint in capsys.readouterr().err


def test_the_codes_of_test_clips_are_shown_as_a_table_a_verdict_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "new" / "codes.png"
    words = [
        "digits-movinet-actions/4-Enc-B5",
        "--clips",
        "48",
        "--silenced-clips",
        "24",
        "--out",
        str(picture),
    ]
    shown = run(capsys, *words)
    assert "codes of 48 test clips of Digits-in-Motion: 4 bits at 8 x 2 x 2 positions" in shown
    rows = [line.split() for line in shown.splitlines() if line.startswith(tuple("0123"))]
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert "nearest codes" in shown
    assert "entropy coding will save about" in shown
    assert f"picture: {picture}" in shown
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_class_tokens_stand_apart_in_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["digits-mvitv2/16-Enc-B6", "--clips", "24", "--silenced-clips", "2"]
    codes = json.loads(run(capsys, *words, "--json"))["codes"]
    assert codes["num_tokens"] == 1
    assert len(codes["token_ones"]) == len(codes["token_importance"]["changed"]) == 16
    assert codes["importance"]["num_clips"] == 2
    assert 0 < codes["coded_bytes"] < codes["raw_bytes"] == 66
    assert set(codes["nearest"]["agreement"]) == {"actions", "action_digit"}
    assert any("class token" in sentence for sentence in codes["verdict"])
    assert "class-token bit" in run(capsys, *words)


def test_the_codes_of_own_videos_are_named_by_file_and_have_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_videos(tmp_path / "own", "test", num_clips=3, num_frames=16)
    videos = [word for path in paths for word in ("--video", str(path))]
    codes = json.loads(run(capsys, "digits-movinet/16-Enc-B5", *videos, "--json"))["codes"]
    assert codes["source"] == "3 videos"
    assert codes["importance"]["accuracy"] is None
    assert [clip["clip"] for clip in codes["nearest"]["examples"]] == [str(path) for path in paths]
    assert all(len(clip["nearest"]) == 2 for clip in codes["nearest"]["examples"])
    assert set(codes["nearest"]["agreement"]) == {"answer"}
    assert codes["verdict"][0] == "Only 3 clip(s) were looked at: read every share with care."


def test_a_single_video_has_nothing_near(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = write_videos(tmp_path / "own", "test", num_clips=1, num_frames=16)
    words = ["digits-movinet-actions/4-Enc-B5", "--video", str(path), "--out", str(tmp_path / "codes.png")]
    codes = json.loads(run(capsys, *words, "--json"))["codes"]
    assert codes["nearest"]["agreement"] == {"answer": None}
    assert codes["nearest"]["examples"][0]["nearest"] == []


@pytest.mark.parametrize(
    "words",
    [["movinet_a2", "--out", "codes.png"], ["digits-movinet/16-Enc-B5", "--clips", "0", "--out", "a.png"]],
)
def test_a_picture_needs_codes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", *words])
    assert "--video and --out need a codec such as" in capsys.readouterr().err
