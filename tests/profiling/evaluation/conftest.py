"""A tiny family that answers questions, and clips in MSVD-QA's layouts for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from asked_videos import ROWS

from approxbit import zoo
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.tasks import QuestionAnswering

WORDS, ANSWERS = ("who", "what", "is", "waving", "it"), ("man", "the dog", "yes", "no")
ARGUMENTS = {
    "words": list(WORDS),
    "answers": list(ANSWERS),
    "head_width": 16,
    "head_layers": 2,
    "clip_shape": [3, 4, 16, 16],
    "width": 16,
    "num_layers": 3,
    "num_local": 1,
    "num_heads": 2,
}


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A family `tiny` of random weights, with a nested codec and another one, in a folder of its own."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    torch.manual_seed(0)
    backbone = zoo.build_backbone("video_questions", ARGUMENTS)
    for parameter in backbone.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    root = tmp_path / "checkpoints"
    zoo.save_backbone(
        root / "tiny", backbone, "video_questions", ARGUMENTS, QuestionAnswering(("who", "what"))
    )
    for name, options in (("8-NoEnc-L1", CodecOptions(nested_sizes=(2,))), ("4-Enc-L2", CodecOptions())):
        configuration = Configuration.parse(name)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration, options=options)
        zoo.save_codec(root / "tiny", codec.eval())
    return "tiny"


@pytest.fixture(params=["official", "video_llava"])
def msvd(request: pytest.FixtureRequest, make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """Five questions about three videos, in one of the two layouts."""
    root = tmp_path / "msvd"
    names = {"a": "aa_1_9", "b": "bb_2_8", "c": "cc_3_7"}
    folder = "YouTubeClips" if request.param == "official" else "videos"
    for length, name in enumerate(names.values(), 6):
        make_video(f"msvd/{folder}/{name}.avi", length)
    if request.param == "official":
        mapping = "".join(f"{name} vid{number}\n" for number, name in enumerate(names.values()))
        (root / "youtube_mapping.txt").write_text(mapping)
        numbers = {each: number for number, each in enumerate(names)}
        rows = [{"question": q, "answer": a, "video_id": numbers[video]} for video, q, a in ROWS]
        for split in ("val", "train"):
            (root / f"{split}_qa.json").write_text(json.dumps(rows))
        return root
    asked = [{"video_name": names[video], "question": q, "question_id": 0} for video, q, _ in ROWS]
    for split in ("val", "train"):
        (root / f"{split}_q.json").write_text(json.dumps(asked))
        (root / f"{split}_a.json").write_text(json.dumps([{"answer": a} for _, _, a in ROWS]))
    return root
