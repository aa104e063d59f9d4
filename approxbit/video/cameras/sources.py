"""Connecting to a camera of any kind."""

from __future__ import annotations

from typing import Generator

from approxbit.errors import VideoError
from approxbit.video.cameras.address import kind_of
from approxbit.video.cameras.ffmpeg import read_in_a_loop, read_once
from approxbit.video.cameras.gstreamer import read_pipeline
from approxbit.video.cameras.picture import Reading
from approxbit.video.cameras.protocol import Settings


def read_pictures(settings: Settings) -> Generator[Reading, None, None]:
    """Connect to a camera and read what comes, until it is lost.

    Raises:
        VideoError: It could not be reached, has ended, or sent nothing in time.
        ImportError: It is a GStreamer pipeline, and GStreamer's Python package is not installed.
        ValueError: It is no camera: the file is gone.
    """
    kind = kind_of(settings.source)
    if kind == "gstreamer":
        yield from read_pipeline(settings)
    elif kind == "file":
        yield from read_in_a_loop(settings)
    else:
        yield from read_once(settings, kind)
        raise VideoError("the stream has ended")
