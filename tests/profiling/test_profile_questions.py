"""The LUT of a family that answers questions: what is asked late, what it costs, and how it is scored."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from approxbit import zoo
from approxbit.datasets.source import ClipSource
from approxbit.edge import EdgeSession, LocalTransport
from approxbit.edge.measure import refresh_times
from approxbit.engines.questions import IN_WORDS, as_question
from approxbit.profiling import profile_family
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, parse_sla, select
from approxbit.server.loading import load_service
from approxbit.tasks import QuestionAnswering, Target

ASKED = "asked-tiny"
CODES = ("8-NoEnc-L1", "4-Enc-L2")
QUESTIONS = (
    ("what is red", Target("a seven", "what")),
    ("how many", Target("3", "how")),
    ("what is there", Target("no", "what")),
)


class Questions(Dataset[Any]):
    def __init__(self, num_clips: int) -> None:
        generator = torch.Generator().manual_seed(1)
        shape = (num_clips, 3, 4, 16, 16)
        self.clips = torch.randint(0, 256, shape, generator=generator) / 255

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        return self.clips[index], list(QUESTIONS[: 1 + index % 3])


class AskedClips(ClipSource):
    title, task = "Asked", QuestionAnswering(("what", "how"))

    def clips(self, split: str, training: bool = False) -> Any:
        return Questions(5)

    def to_batch(self, samples: Any) -> Any:
        clips, asked = zip(*samples, strict=True)
        return torch.stack(clips), list(asked)


def profile(root: Path, **options: Any) -> LUT:
    return profile_family(ASKED, AskedClips(), num_timed=2, checkpoints=root, backend="torch", **options)


@pytest.fixture(scope="module")
def lut(asked_checkpoints: Path) -> LUT:
    return profile(asked_checkpoints)


def test_every_arm_is_scored_as_its_model_answers(lut: LUT, asked_checkpoints: Path) -> None:
    loaded = zoo.load_whole_family(ASKED, asked_checkpoints)
    backbone: Any = loaded.backbone
    task, data = AskedClips.task, Questions(5)
    targets = [target for index in range(5) for _, target in data[index][1]]
    asked = [[text for text, _ in data[index][1]] for index in range(5)]
    said = {EDGE_ONLY: backbone.ask(backbone(backbone.normalise(data.clips)), asked)}
    said |= {name: model.ask(model.encode(data.clips), asked) for name, model in loaded.models.items()}
    assert {EDGE_ONLY, SERVER_ONLY, "h264-veryslow-crf40", *CODES} <= set(lut.arms)
    for name, answers in said.items():
        scores = task.score([answer for about in answers for answer in about], targets)
        macro = mean(scores[f"exact_match_{kind}"] for kind in ("what", "how"))
        assert lut.row(name).scores == {"macro": round(macro, 3), **scores}
        assert lut.row(name).accuracy == round(macro, 3)
    assert lut.row(SERVER_ONLY).scores == lut.row(EDGE_ONLY).scores
    assert lut.figures == ("macro", *task.figures)
    assert (lut.num_clips, lut.split, lut.family) == (5, "validation", ASKED)


def test_bytes_are_those_of_the_clip_and_times_those_of_a_question_too(lut: LUT) -> None:
    code = lut.row("8-NoEnc-L1")
    assert (code.payload_bytes, code.raw_bytes, code.packet_bytes) == (8, 8, 8 + 6)  # a session's header
    raw = lut.row(SERVER_ONLY)
    assert raw.payload_bytes == 3 * 4 * 16 * 16
    assert raw.packet_bytes is not None
    assert raw.packet_bytes > raw.payload_bytes
    alone = lut.row(EDGE_ONLY)
    assert (alone.payload_bytes, alone.packet_bytes, alone.server_ms) == (0, None, 0)
    assert min(alone.edge_ms, alone.encode_ms) > 0  # the tower; its head, for the question
    assert all(row.server_ms > 0 for row in lut.rows if row.arm != EDGE_ONLY)


def test_the_lut_is_saved_read_and_selected_from(lut: LUT, tmp_path: Path) -> None:
    lut.save(tmp_path / "lut.json")
    assert LUT.load(tmp_path / "lut.json") == lut
    assert select(lut, 3, parse_sla("latency<=10000ms")).row.accuracy == max(row.accuracy for row in lut.rows)


def test_a_session_and_its_calibration_go_by_it(lut: LUT, asked: str) -> None:
    device, transport = open_torch_device(asked), LocalTransport(load_service(asked, num_threads=1))
    frames = [(clip * 255).byte().permute(1, 2, 3, 0).numpy() for clip in Questions(3).clips]
    timed = refresh_times(lut, device, transport, frames, "this machine", 0, IN_WORDS)
    assert [row.accuracy for row in timed.rows] == [row.accuracy for row in lut.rows]
    assert min(timed.row(EDGE_ONLY).edge_ms, timed.row(EDGE_ONLY).encode_ms) > 0
    sla = parse_sla("latency<=100000ms")
    with EdgeSession(device.arms, transport, timed, sla, device.clip_format, wanted=IN_WORDS) as session:
        sent = session.answer(frames[0]).clip
        assert sent is not None
        answer = session.ask(sent, as_question("what is red"))
    assert (answer.text, answer.fell_back) != ("", True)
    assert answer.arm in lut.arms


def test_a_family_without_codecs_has_the_arms_that_need_none(
    lut: LUT, asked_checkpoints: Path, tmp_path: Path
) -> None:
    shutil.copytree(asked_checkpoints / ASKED, tmp_path / ASKED, ignore=shutil.ignore_patterns("*Enc*"))
    found = profile_family(ASKED, AskedClips(), num_timed=1, checkpoints=tmp_path)
    assert set(found.arms) == set(lut.arms) - set(CODES)
    assert found.backend.startswith("torch ")
    assert found.row(EDGE_ONLY).scores == lut.row(EDGE_ONLY).scores


def test_times_alone_are_measured_of_a_lut_that_is_known(lut: LUT, asked_checkpoints: Path) -> None:
    timed = profile(asked_checkpoints, known=lut)
    assert [row.scores for row in timed.rows] == [row.scores for row in lut.rows]
    assert timed.device.endswith(f"; bytes and scores of {lut.date}")


def test_clips_about_which_nothing_is_asked_are_refused(asked_checkpoints: Path) -> None:
    class Silent(AskedClips):
        def to_batch(self, samples: Any) -> Any:
            clips, _ = zip(*samples, strict=True)
            return torch.stack(clips), [[] for _ in clips]

    with pytest.raises(ValueError, match="expected questions in the split validation of Asked, found none"):
        profile_family(ASKED, Silent(), checkpoints=asked_checkpoints, backend="torch")


@pytest.mark.slow
def test_graphs_and_torch_make_the_same_scores(asked: str, lut: LUT, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROXBIT_CACHE", str(tmp_path))
        found = profile_family(ASKED, AskedClips(), num_timed=1)
    assert found.backend.startswith("onnxruntime ")
    assert set(found.arms) == set(lut.arms)
    assert found.row(EDGE_ONLY).scores == lut.row(EDGE_ONLY).scores
