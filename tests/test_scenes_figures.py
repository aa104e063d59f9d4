"""What `benchmarks/figures/scenes.py` measures: video that comes back, codes, bytes on the link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scenes
import torch

from approxbit import zoo
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.datasets.scenes.clips import SceneQuestions, Scenes
from approxbit.datasets.scenes.questions import ANSWERS, FAMILIES
from approxbit.tasks import QuestionAnswering

ARGUMENTS = {
    "answers": list(ANSWERS),
    **{"head_width": 16, "head_layers": 1, "width": 32, "num_layers": 3, "num_local": 1, "num_heads": 2},
}


@pytest.mark.parametrize(
    ("codec", "preset", "rate", "is_message"),
    [
        ("libx264", "veryslow", 26, lambda unit: unit & 31 == 6),
        ("libx265", "ultrafast", 26, lambda unit: unit >> 1 in (39, 40)),
        ("libsvtav1", "10", 30, None),
    ],
)
def test_video_comes_back_and_has_no_messages(codec, preset, rate, is_message, tmp_path: Path) -> None:
    frames = np.array(Scenes("validation", 1, cache=tmp_path).frames[0])
    sent = scenes.encode(frames, codec, preset, rate)
    shown = scenes.decode(sent, codec, frames.shape)
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 14
    if is_message:
        units = b"".join(sent).split(b"\0\0\1")[1:]
        assert units
        assert not any(is_message(unit[0]) for unit in units)


def test_every_method_answers_the_same_questions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = zoo.build_backbone("video_questions", ARGUMENTS)
    task = QuestionAnswering(tuple(FAMILIES))
    zoo.save_backbone(tmp_path / "asked", backbone, "video_questions", ARGUMENTS, task)
    options = CodecOptions(nested_sizes=(2,))
    codec = Codec(backbone.feature_shape("L1"), Configuration.parse("8-NoEnc-L1"), 0, options)
    made = zoo.Provenance(recipe="none", command="none")
    zoo.save_codec(tmp_path / "asked", codec.eval(), backbone="asked", asked="", provenance=made)
    models = zoo.load_family("asked", tmp_path)
    questions = SceneQuestions(Scenes("validation", 2, cache=tmp_path), per_family=1)
    found = {
        name: scenes.measure(backbone.eval(), method, questions, name)
        for name, method in scenes.code_methods(models)
    }
    assert {name: each["bytes"] for name, each in found.items()} == {
        "code 2-NoEnc-L1": 128,
        "code 8-NoEnc-L1": 512,
    }
    clip = torch.from_numpy(np.array(questions.scenes.frames[:])).permute(0, 4, 1, 2, 3).float() / 255
    asked = [questions.asked(index) for index in range(2)]
    model = models["8-NoEnc-L1"]
    answers = model.ask(model.encode(clip), [[text for text, _ in each] for each in asked])
    hits: dict[str, list[bool]] = {}
    for given, about in zip(answers, asked, strict=True):
        for answer, (_, target) in zip(given, about, strict=True):
            hits.setdefault(target.question_type, []).append(answer == target.answer)
    assert found["code 8-NoEnc-L1"]["families"] == {
        name: round(100 * sum(each) / len(each), 3) for name, each in hits.items()
    }


def test_bytes_on_the_link_by_hand() -> None:
    assert scenes.link_bytes(100) == 106 + 2 * 40 + 16 + 2 * 40
    assert scenes.link_bytes(5000) == 5006 + 5 * 40 + 16 + 2 * 40  # four segments, one acknowledgement
    assert scenes.link_bytes(0) == 16 + 2 * 40  # edge-only tells its answer


def test_a_share_of_videos_bytes_is_read_between_rates() -> None:
    def point(size: float, score: float) -> dict[str, object]:
        return {"bytes": size, "families": dict.fromkeys(FAMILIES, score)}

    found = {
        "x264 veryslow 30": point(1000, 60.0),
        "x264 superfast 32": point(1100, 55.0),  # worse than the one before
        "x265 veryslow 42": point(400, 40.0),
        "svtav1 4 30": point(10, 99.0),
    }
    front = scenes.video_front(found)
    assert front == [(40.0, scenes.link_bytes(400)), (60.0, scenes.link_bytes(1000))]
    middle = (scenes.link_bytes(400) * scenes.link_bytes(1000)) ** 0.5
    assert scenes.bytes_at(front, 50.0) == pytest.approx(middle)
    assert scenes.bytes_at(front, 61.0) is None
    assert scenes.bytes_at(front, 10.0) == pytest.approx(scenes.link_bytes(400))  # no video is smaller
