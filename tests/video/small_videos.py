"""Little videos whose frames tell their number by their brightness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from approxbit.video.writer import write_video

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}
GREY_STEP = 15


def numbered_frames(num_frames: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Flat grey frames; `frame_numbers` reads their numbers back, also after lossy coding."""
    greys = 8 + GREY_STEP * np.arange(num_frames, dtype=np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (num_frames, height, width, 3)).copy()


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Numbers of frames made by `numbered_frames`."""
    return np.rint((frames.mean(axis=(1, 2, 3)) - 8) / GREY_STEP).astype(int).tolist()


MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """`make_video(name, num_frames=16, height=32, width=32, frame_rate=10)`: the path of a numbered video."""

    def make(
        name: str, num_frames: int = 16, height: int = 32, width: int = 32, frame_rate: float = 10
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(
            path, numbered_frames(num_frames, height, width), frame_rate, crf=15, codec=CODECS[path.suffix]
        )
        return path

    return make


@pytest.fixture
def damaged_video(make_video: MakeVideo) -> Path:
    """An mp4 that opens and then fails to decode: zeros stand where its frames were."""
    path = make_video("damaged.mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 500] = bytes(len(data[start : start + 500]))
    path.write_bytes(bytes(data))
    return path


@pytest.fixture
def audio_file(tmp_path: Path) -> Path:
    """A wav file: a container that FFmpeg opens, with no video in it."""
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def read_numbers() -> Callable[[np.ndarray], list[int]]:
    """`read_numbers(frames)`: which frames of a numbered video these are."""
    return frame_numbers


@pytest.fixture
def numbered() -> Callable[..., np.ndarray]:
    """`numbered(num_frames, height=32, width=32)`: the frames that `make_video` writes."""
    return numbered_frames
