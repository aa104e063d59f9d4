"""`approxbit inspect`: what a card says, where a backbone can be cut, and what the codes of a codec say."""

from __future__ import annotations

import json
import re
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


def test_a_shipped_model_shows_what_its_card_says(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "digits-movinet/8-Enc-B5")
    assert re.search(r"nested_in +digits-movinet/16-Enc-B5\n", shown)
    assert re.search(r"bytes +5\.9\n", shown)
    assert "sha256" in shown
    assert "share of FLOPs" not in shown
    assert "entropy" not in shown


def test_a_shipped_model_shows_where_its_backbone_can_be_cut(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "digits-movinet/8-Enc-B5", "--points")
    assert "share of FLOPs" in shown
    assert "100.0 %" not in shown  # a MoViNet's last point still has its head to come


def test_a_family_shows_its_labels_and_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "digits-movinet")
    assert "240: Moving zero to the left, Moving one to the left, " in shown
    assert len(re.findall(r"^digits-movinet/\d+-(?:No)?Enc-B[35] ", shown, re.MULTILINE)) == 14


def test_a_family_without_a_backbone_shows_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(run(capsys, "digits-movinet-actions", "--json"))
    assert facts["kind"] == "family"
    assert facts["models"][0]["model"] == "digits-movinet-actions/1-Enc-B5"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["movinet_a9"], ", a builder (llava_onevision_0_5b, llava_onevision_small"),
        (["digits-movinet/9-Enc-B9"], "has the models digits-movinet/4-Enc-B3"),
        (["digits-movinet-actions", "--points"], "digits-movinet-actions has codecs only"),
        (["movinet_a2", "--codes"], "--codes needs a codec such as digits-movinet/16-Enc-B5"),
        (["digits-movinet/16-Enc-B5", "--out", "a.png"], "--video, --data and --out need --codes"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", *words])
    assert complaint in capsys.readouterr().err


def test_the_codes_of_test_clips_are_shown_as_a_table_a_verdict_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "new" / "codes.png"
    words = [
        "digits-movinet-actions/4-Enc-B5",
        "--codes",
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
    words = ["digits-mvitv2/16-Enc-B6", "--codes", "--clips", "24", "--silenced-clips", "2"]
    codes = json.loads(run(capsys, *words, "--json"))["codes"]
    assert codes["num_tokens"] == 1
    assert len(codes["token_ones"]) == len(codes["token_importance"]["changed"]) == 16
    assert codes["importance"]["num_clips"] == 2
    assert 0 < codes["coded_bytes"] < codes["raw_bytes"] == 66
    assert list(codes["nearest"]["agreement"]) == ["action_digit", "actions", "digits"]
    assert any("class token" in sentence for sentence in codes["verdict"])
    assert "class-token bit" in run(capsys, *words)


def test_the_codes_of_own_videos_are_named_by_file_and_have_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_videos(tmp_path / "own", "test", num_clips=3, num_frames=16)
    videos = [word for path in paths for word in ("--video", str(path))]
    codes = json.loads(run(capsys, "digits-movinet/16-Enc-B5", "--codes", *videos, "--json"))["codes"]
    assert codes["source"] == "3 video clips of own files"
    assert codes["importance"]["accuracy"] is None
    assert [clip["clip"] for clip in codes["nearest"]["examples"]] == [str(path) for path in paths]
    assert all(len(clip["nearest"]) == 2 for clip in codes["nearest"]["examples"])
    assert set(codes["nearest"]["agreement"]) == {"answer"}
    assert codes["verdict"][0] == "Only 3 clip(s) were looked at: read every share with care."


def test_a_single_video_has_nothing_near(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = write_videos(tmp_path / "own", "test", num_clips=1, num_frames=16)
    words = ["digits-movinet-actions/4-Enc-B5", "--codes", "--video", str(path)]
    words += ["--out", str(tmp_path / "codes.png")]
    codes = json.loads(run(capsys, *words, "--json"))["codes"]
    assert codes["nearest"]["agreement"] == {"answer": None}
    assert codes["nearest"]["examples"][0]["nearest"] == []
