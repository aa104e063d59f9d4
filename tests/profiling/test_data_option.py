"""`--data` on the commands that look at clips, with video files in class folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from approxbit import zoo
from approxbit.cli import main
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.select import EDGE_ONLY

FEW = ("--clips=2", "--test-clips=2", "--steps=2", "--windows=0", "--preset=fast")


@pytest.fixture
def own_family(tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """A family whose cards name no data, and clips of its two classes."""
    for split in ("train", "validation"):
        for label in ("bow", "wave"):
            make_video(f"clips/{split}/{label}/a.mp4", 8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    arguments = {"num_classes": 2, "clip_shape": (3, 4, 32, 32)}
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone("checkpoints/own", backbone, "movinet_small", arguments)
    codec = Codec(backbone.feature_shape("B3"), Configuration.parse("4-Enc-B3"))
    zoo.save_codec("checkpoints/own", codec.eval())
    return "own"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--data", "folders:clips", "--json"])
    return json.loads(capsys.readouterr().out)


def test_prior_measure_and_inspect_take_clips_by_their_name(
    own_family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [found] = run(capsys, "prior", "--family", own_family, *FEW)
    assert 0 < found["coded_bytes"] <= found["raw_bytes"]
    lut = run(capsys, "measure", "--family", own_family, "--clips=2", "--timed-clips=1", "--backend=torch")
    assert (lut["num_clips"], lut["figures"]) == (2, ["top1_classes"])
    assert {"4-Enc-B3", EDGE_ONLY} < {row["arm"] for row in lut["rows"]}
    codes = run(capsys, "inspect", "own/4-Enc-B3", "--codes", "--clips=2", "--silenced-clips=1")["codes"]
    assert codes["source"] == "2 test clips of own files"
    assert {each["class"] for each in codes["nearest"]["examples"]} == {"bow", "wave"}


def test_data_that_the_commands_cannot_use_are_refused_with_the_cure(
    own_family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, cure in (
        (("measure", "--family", own_family), "name them by --data, such as --data folders:clips/"),
        (
            ("measure", "--family", own_family, "--data", "folder:clips"),
            "known by a short name: digits, scenes, folders",
        ),
        (("measure", "--family", own_family, "--data", "digits"), "build the backbone with num_classes=240"),
        (("inspect", own_family, "--data", "digits"), "--video, --data and --out need --codes"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(list(words))
        assert cure in capsys.readouterr().err
