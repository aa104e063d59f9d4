"""Scenes and their questions as a source of clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from approxbit.datasets.scenes import clips
from approxbit.datasets.scenes.clips import NUM_CLIPS, SceneClips, SceneQuestions, Scenes
from approxbit.datasets.scenes.questions import FAMILIES, LEARNED, draw_questions
from approxbit.datasets.scenes.rendering import render_scene
from approxbit.datasets.scenes.staging import draw_script
from approxbit.datasets.table import record_of
from approxbit.families import DataRecord
from approxbit.tasks import Target


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def source(cache: str) -> SceneClips:
    return SceneClips(6, 5, 4, num_frames=4, size=32, cache=cache)


def test_scenes_are_drawn_once_and_kept(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = Scenes("test_b", 3, 4, 32, cache)
    expected = render_scene(draw_script("test_b", 2, 4), 32)
    assert np.array_equal(scenes.frames[2], expected.frames)
    assert np.array_equal(scenes.owners[2], expected.owners)
    assert scenes.table.script(2) == draw_script("test_b", 2, 4)

    def draw_nothing(*_: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(clips, "_draw_to", draw_nothing)
    assert np.array_equal(Scenes("test_b", 3, 4, 32, cache).frames, scenes.frames)
    with pytest.raises(AssertionError, match="drawn again"):
        Scenes("test_b", 4, 4, 32, cache)
    fewer = Scenes("test_b", 2, 4, 32, cache)
    assert np.array_equal(fewer.frames, scenes.frames[:2])
    assert np.array_equal(fewer.owners, scenes.owners[:2])
    assert (len(fewer), fewer.table.script(1)) == (2, scenes.table.script(1))
    assert fewer.name != scenes.name


class Immediate:
    """In place of processes, which take seconds to start."""

    def __init__(self, workers: int, **_: object) -> None:
        assert workers == 3

    def __enter__(self) -> Immediate:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, draw: Callable[[int], object], indices: range, chunksize: int) -> Iterator[object]:
        return map(draw, indices)


def test_large_sets_are_drawn_by_a_process_on_each_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "ProcessPoolExecutor", Immediate)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    scenes = Scenes("test", 200, 2, 4, str(tmp_path))
    assert np.array_equal(scenes.frames[199], render_scene(draw_script("test", 199, 2), 4).frames)
    assert len(scenes) == 200


def test_a_batch_is_clips_in_their_range_and_questions_with_answers_of_each(source: SceneClips) -> None:
    batch, asked = next(iter(source.loader("train", batch_size=4, training=True)))
    assert (batch.shape, batch.dtype) == ((4, 3, 4, 32, 32), torch.float32)
    assert 0 <= batch.min() < 0.2
    assert 0.8 < batch.max() <= 1
    assert len(asked) == 4
    for questions in asked:
        assert len(questions) > 20
        for text, target in questions:
            assert isinstance(text, str)
            assert isinstance(target, Target)
            assert target.question_type in FAMILIES


def test_validation_asks_the_same_each_time_and_training_something_else(source: SceneClips) -> None:
    validation, training = source.clips("validation"), source.clips("train", training=True)
    assert validation[1][1] == validation[1][1]
    assert validation[1][1] == [
        (each.text, Target(each.answer, each.family))
        for each in draw_questions(draw_script("validation", 1, 4))
    ]
    torch.manual_seed(0)
    first = training[1][1]
    second = training[1][1]
    torch.manual_seed(0)
    assert first != second
    assert first == training[1][1]
    assert torch.equal(training[1][0], training[1][0])
    assert source.clips("train")[1][1] == source.clips("train")[1][1]


def test_splits_have_the_clips_that_one_asks_for(source: SceneClips, cache: str) -> None:
    assert [len(source.clips(split)) for split in ("train", "validation", "test")] == [6, 5, 4]
    assert source.splits == ("train", "validation", "test", "test_b")
    assert SceneClips().num_clips == NUM_CLIPS
    assert source.num_clips["test_b"] == 4
    with pytest.raises(
        ValueError, match="expected one of the splits train, validation, test, test_b, found 'dev'"
    ):
        source.loader("dev", 1)
    with pytest.raises(ValueError, match="expected at least 1 clip, found num_clips=0"):
        Scenes("train", 0, 4, 32, cache)


def test_the_first_clips_are_the_same_and_never_more_than_there_are(source: SceneClips) -> None:
    few = source.first_clips("validation", 2)
    assert len(few) == 2
    assert len(source.first_clips("validation", 100)) == 5
    clip, asked = source.clips("validation")[1]
    assert torch.equal(few[1][0], clip)
    assert few[1][1] == asked


def test_only_families_that_are_asked_for_are_asked(source: SceneClips, cache: str) -> None:
    scenes = source.clips("train").scenes
    learned = SceneQuestions(scenes, families=LEARNED)
    found = {target.question_type for index in range(6) for _, target in learned.asked(index)}
    assert found <= set(LEARNED)
    assert "action" in found
    few = SceneQuestions(scenes, per_family=1, families=("colour",))
    assert [len(few.asked(index)) for index in range(6)] == [1] * 6
    with pytest.raises(ValueError, match=r"expected families of action, .*largest, found taste, weight"):
        SceneQuestions(scenes, families=("weight", "colour", "taste"))


def test_a_backbone_says_the_shape_and_a_card_what_was_asked_for(cache: str) -> None:
    source = SceneClips(2, families=["colour"], cache=cache).fitted((3, 2, 16, 16))
    batch, _ = next(iter(source.loader("train", batch_size=2)))
    assert batch.shape == (2, 3, 2, 16, 16)
    assert record_of(source) == DataRecord("scenes", {"num_train": 2, "families": ["colour"]})


def test_a_wrong_size_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a size that is a multiple of 4, found 30"):
        Scenes("train", 2, 4, 30, str(tmp_path))
    with pytest.raises(ValueError, match="expected a split of train, validation, test, test_b, found 'dev'"):
        Scenes("dev", 2, 4, 32, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
