"""Scenes as video files with scripts and questions, of seconds or of minutes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from approxbit.datasets.scenes.captions import describe
from approxbit.datasets.scenes.questions import draw_questions
from approxbit.datasets.scenes.rendering import render_scene
from approxbit.datasets.scenes.staging import SPLITS, draw_script
from approxbit.datasets.scenes.timeline import FRAME_RATE, Timeline, draw_timeline, timeline_frames
from approxbit.files import PathLike, format_json, save_json, whole_file, write_whole
from approxbit.video.converter import Converter
from approxbit.video.writer import write_video

CRF = 18
"""Of all videos: good enough that a digit of 16 pixels stays sharp."""
_SHORT_NAMES = {"validation": "val"}
"""What MSVD-QA calls a split."""
_VIDEOS_OF_SPLIT = 10_000_000


def write_videos(
    folder: PathLike, split: str, num_clips: int, first: int = 0, num_frames: int = 32, size: int = 64
) -> list[Path]:
    """Write scenes as H.264 files with scripts, captions, and questions in MSVD-QA's original layout.

    `folder` gets `videos/<id>.mp4`, `scripts/<id>.json`, `<split>-captions.json`, a list of
    `{"video", "caption"}`, and `train_qa.json`, `val_qa.json`, `test_qa.json` or `test_b_qa.json` with
    `youtube_mapping.txt`, which `MSVDQA.from_official` and `MSVDQAClips` read; each question has its `family`
    besides. Lists are those of the last call for a split; all splits may share a folder.

    Args:
        folder: Where to write; made where missing.
        split: `train`, `validation`, `test` or `test_b`.
        num_clips: How many videos.
        first: Index of the first scene in its split.
        num_frames: Frames of a video, at 8 frames a second.
        size: Height and width in pixels, a multiple of 4.

    Returns:
        The video files, in the order of their scenes.

    Raises:
        ValueError: `num_clips` is below 1, or as `draw_script` and `render_scene`.
    """
    if num_clips < 1:
        raise ValueError(f"expected at least 1 clip, found num_clips={num_clips}")
    folder = Path(folder)
    paths, asked, captions = [], [], []
    for index in range(first, first + num_clips):
        script = draw_script(split, index, num_frames)
        frames = render_scene(script, size).frames
        name, number = f"{split}{index:06d}", SPLITS.index(split) * _VIDEOS_OF_SPLIT + index
        path = folder / "videos" / f"{name}.mp4"
        for place in (path.parent, folder / "scripts"):
            place.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, FRAME_RATE, crf=CRF)
        save_json(folder / "scripts" / f"{name}.json", script)
        paths.append(path)
        captions.append({"video": name, "caption": describe(script)})
        asked += [
            {"question": each.text, "answer": each.answer, "video_id": number, "family": each.family}
            for each in draw_questions(script)
        ]
    numbered = [{"id": place, **each} for place, each in enumerate(asked)]
    write_whole(folder / f"{_SHORT_NAMES.get(split, split)}_qa.json", format_json(numbered))
    write_whole(folder / f"{split}-captions.json", format_json(captions))
    _write_mapping(folder)
    return paths


def _write_mapping(folder: Path) -> None:
    """Number all videos of a folder, of whatever split."""
    lines = []
    for path in sorted((folder / "videos").glob("*.mp4")):
        split = path.stem.rstrip("0123456789")
        if split in SPLITS and split != path.stem:
            number = SPLITS.index(split) * _VIDEOS_OF_SPLIT + int(path.stem[len(split) :])
            lines.append(f"{path.stem} vid{number}\n")
    write_whole(folder / "youtube_mapping.txt", "".join(lines))


def write_long_video(path: PathLike, split: str, index: int, seconds: float, size: int = 64) -> Timeline:
    """Write scenes of 6 to 10 seconds one right after another, as one H.264 file of 8 frames a second.

    What happens in it, and questions about what was seen before, become a file of the same name that ends in
    `.json`. Only the frames of a scene are in memory, however long the video is.

    Args:
        path: Of the video; ends in `.mp4`. Its folder is made where missing.
        split: `train`, `validation`, `test` or `test_b`.
        index: Any number from 0.
        seconds: How long, at least 5.
        size: Height and width in pixels, a multiple of 4.

    Returns:
        What the file of the same name says.

    Raises:
        ValueError: `path` does not end in `.mp4`, or as `draw_timeline` and `render_scene`.
    """
    path = Path(path)
    if path.suffix != ".mp4":
        raise ValueError(f"{os.fspath(path)}: expected a file that ends in .mp4")
    timeline = draw_timeline(split, index, seconds)
    _write_frames(path, timeline_frames(timeline, size), size)
    save_json(path.with_suffix(".json"), timeline)
    return timeline


def _write_frames(path: Path, frames: Iterable[NDArray[np.uint8]], size: int) -> None:
    """The bytes that `write_video` writes, frame by frame; it says why the options are what they are."""
    with (
        whole_file(path, make_parents=True) as scratch,
        av.open(scratch, "w", format="mp4", options={"fflags": "+bitexact"}) as output,
    ):
        stream: Any = output.add_stream("libx264", rate=Fraction(FRAME_RATE))
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"crf": str(CRF), "flags": "+bitexact", "x264-params": "mbtree=0"}
        converter = Converter()
        for frame in frames:
            colour = av.VideoFrame.from_ndarray(frame, format="rgb24")
            output.mux(stream.encode(converter(colour, "yuv420p")))
        output.mux(stream.encode(None))
