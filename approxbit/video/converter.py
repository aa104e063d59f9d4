"""Pixel formats and sizes of decoded frames, by FFmpeg's scaler."""

from __future__ import annotations

from typing import Any

from av.video.reformatter import VideoReformatter


class Converter:
    """Changes pixel format and size of decoded frames, bilinear with antialiasing, in one thread.

    Left to itself, PyAV starts a thread on each core for each frame. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(
        self, frame: Any, pixel_format: str, width: int | None = None, height: int | None = None
    ) -> Any:
        """The frame in another format and size; its own size by default."""
        try:
            return self._reformatter.reformat(
                frame, width, height, pixel_format, interpolation="BILINEAR", threads=1
            )
        except TypeError:  # older versions of PyAV have one thread and no such argument
            return self._reformatter.reformat(frame, width, height, pixel_format, interpolation="BILINEAR")
