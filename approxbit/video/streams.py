"""Which video stream of a container is read."""

from __future__ import annotations

import re
from typing import Any, Sequence

import av

from approxbit.errors import VideoError

_ATTACHED_PICTURE = 0x400
_DEFAULT = 0x1


def choose_stream(container: Any, name: str, index: int | None = None) -> Any:
    """The stream with an index, or the one that FFmpeg itself would play; never an attached picture.

    Args:
        container: An open one.
        name: Of the source, for messages.
        index: As FFmpeg counts all streams of a file, sound included; None lets FFmpeg choose.

    Raises:
        VideoError: There is no such stream, or none that this FFmpeg decodes.
    """
    marks = _marks(container)
    films = [
        stream for stream in container.streams.video if not marks.get(stream.index, 0) & _ATTACHED_PICTURE
    ]
    if index is not None:
        chosen = next((stream for stream in films if stream.index == index), None)
        if chosen is None:
            known = ", ".join(str(stream.index) for stream in films) or "none"
            raise VideoError(f"{name}: expected stream {index} to be a video, found videos: {known}")
    elif films:
        chosen = _best(container, films, marks)
    else:
        # Asking a damaged stream for its type has crashed PyAV 12; counting the audible ones is safe.
        found = "sound only" if container.streams.audio else "none"
        found = "a picture only" if container.streams.video and found == "none" else found
        raise VideoError(f"{name}: expected a video stream, found {found}")
    if chosen.codec_context is None:
        raise VideoError(f"{name}: expected a codec that this FFmpeg decodes, found an unknown one")
    return chosen


def _best(container: Any, films: Sequence[Any], marks: dict[int, int]) -> Any:
    if len(films) == 1:
        return films[0]
    best = container.streams.best("video") if hasattr(container.streams, "best") else None
    if best is not None and any(best.index == stream.index for stream in films):
        return best
    # What FFmpeg goes by: the mark of the file's author, then how much there is to see.
    return max(films, key=lambda s: (marks.get(s.index, 0) & _DEFAULT, s.frames, _area(s), -s.index))


def _area(stream: Any) -> int:
    context = stream.codec_context
    return context.width * context.height if context is not None else 0


def _marks(container: Any) -> dict[int, int]:
    """FFmpeg's dispositions by stream."""
    streams = container.streams.video
    if all(hasattr(stream, "disposition") for stream in streams):
        return {stream.index: int(stream.disposition) for stream in streams}
    return _printed_marks(container)


def _printed_marks(container: Any) -> dict[int, int]:
    # PyAV up to 13 shows dispositions in the printed summary alone, which is empty while its log is off.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        summary = container.dumps_format()
    finally:
        av.logging.set_level(level)
    marks = {}
    for match in re.finditer(r"^ *Stream #\d+:(\d+)(.*)$", summary, re.MULTILINE):
        is_picture, is_default = "(attached pic)" in match[2], "(default)" in match[2]
        marks[int(match[1])] = _ATTACHED_PICTURE * is_picture | _DEFAULT * is_default
    return marks
