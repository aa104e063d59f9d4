"""Scenes as files."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from approxbit.datasets.msvd_qa import MSVDQA
from approxbit.datasets.questions import MSVDQAClips
from approxbit.datasets.scenes.captions import describe
from approxbit.datasets.scenes.files import write_long_video, write_videos
from approxbit.datasets.scenes.questions import FAMILIES, draw_questions
from approxbit.datasets.scenes.rendering import render_scene
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.staging import draw_script
from approxbit.datasets.scenes.timeline import Timeline, draw_timeline, timeline_frames
from approxbit.errors import DatasetError
from approxbit.files import load_json
from approxbit.tasks import Target
from approxbit.video import video_info
from approxbit.video.reader import read_clip
from approxbit.video.writer import encode_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos for training and two for validation."""
    place = tmp_path_factory.mktemp("scenes")
    write_videos(place, "train", 3, num_frames=8, size=32)
    paths = write_videos(place, "validation", 2, first=40, num_frames=8, size=32)
    assert paths == [place / "videos" / f"validation0000{number}.mp4" for number in (40, 41)]
    return place


def test_a_video_shows_its_scene_and_its_script_reads_back(folder: Path) -> None:
    path = folder / "videos" / "validation000041.mp4"
    script = draw_script("validation", 41, 8)
    info = video_info(path)
    assert (info.num_frames, info.width, info.height, info.codec) == (8, 32, 32, "h264")
    assert info.frame_rate == pytest.approx(8)
    difference = read_clip(path, 8).astype(int) - render_scene(script, 32).frames
    assert np.abs(difference).mean() < 12
    assert load_json(folder / "scripts" / "validation000041.json", Script, DatasetError) == script


def test_the_reader_of_msvd_qa_reads_the_questions(folder: Path) -> None:
    place = folder / "youtube_mapping.txt"
    for split, name, indices in (("train", "train", range(3)), ("validation", "val", (40, 41))):
        found = MSVDQA.from_official(folder / "videos", folder / f"{name}_qa.json", place)
        expected = [
            (f"{split}{index:06d}", each.text, each.answer)
            for index in indices
            for each in draw_questions(draw_script(split, index, 8))
        ]
        assert [(each.path.stem, each.question, each.answer) for each in found] == expected
        entries = json.loads((folder / f"{name}_qa.json").read_text())
        assert {entry["family"] for entry in entries} <= set(FAMILIES)
        assert [entry["id"] for entry in entries] == [*range(len(expected))]


def test_the_source_of_msvd_qa_makes_clips_of_them(folder: Path) -> None:
    source = MSVDQAClips(str(folder)).fitted((3, 4, 32, 32))
    clips, targets = next(iter(source.loader("validation", batch_size=2)))
    first, second = draw_questions(draw_script("validation", 40, 8))[:2]
    assert clips.shape == (2, 3, 4, 32, 32)
    assert targets == [(each.text, Target(each.answer, each.text.split()[0])) for each in (first, second)]


def test_captions_are_those_of_the_scripts(folder: Path) -> None:
    assert json.loads((folder / "validation-captions.json").read_text()) == [
        {"video": f"validation0000{index}", "caption": describe(draw_script("validation", index, 8))}
        for index in (40, 41)
    ]


def test_the_mapping_numbers_every_scene_and_no_other_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("train.mp4", "holiday7.mp4", "test_b000003.mp4"):
        (tmp_path / "videos" / name).touch()
    write_videos(tmp_path, "test", 1, num_frames=2, size=16)
    lines = (tmp_path / "youtube_mapping.txt").read_text().split("\n")
    assert lines == ["test000000 vid20000000", "test_b000003 vid30000003", ""]
    assert len((folder / "youtube_mapping.txt").read_text().splitlines()) == 5


def test_the_same_scenes_are_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    [path] = write_videos(tmp_path, "train", 1, first=2, num_frames=8, size=32)
    for name in (f"videos/{path.name}", "scripts/train000002.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("split", "num_clips", "size", "message"),
    [
        ("train", 0, 32, "expected at least 1 clip, found num_clips=0"),
        ("dev", 1, 32, "expected a split of train, validation, test, test_b, found 'dev'"),
        ("train", 1, 30, "expected a size that is a multiple of 4, found 30"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(
    split: str, num_clips: int, size: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_videos(tmp_path, split, num_clips, num_frames=2, size=size)
    assert list(tmp_path.iterdir()) == []


def test_a_long_video_is_the_bytes_of_all_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "new" / "long.mp4"
    timeline = write_long_video(path, "test", 4, seconds=14, size=32)
    assert timeline == draw_timeline("test", 4, 14)
    assert load_json(path.with_suffix(".json"), Timeline, DatasetError) == timeline
    assert path.read_bytes() == encode_video(np.stack([*timeline_frames(timeline, 32)]), 8, crf=18)
    info = video_info(path)
    assert (info.num_frames, info.codec) == (112, "h264")
    assert info.frame_rate == pytest.approx(8)


def test_the_memory_of_writing_does_not_grow_with_the_video(tmp_path: Path) -> None:
    def peak(seconds: float) -> int:
        tracemalloc.start()
        write_long_video(tmp_path / f"{seconds}.mp4", "test", 0, seconds, size=64)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)
    assert peak(30) < 1.5 * peak(10)


def test_a_long_video_of_another_container_or_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"long.avi: expected a file that ends in .mp4"):
        write_long_video(tmp_path / "long.avi", "test", 0, 10)
    with pytest.raises(ValueError, match="expected at least 5 seconds, found 2"):
        write_long_video(tmp_path / "long.mp4", "test", 0, 2)
    assert list(tmp_path.iterdir()) == []
