"""Pictures of a camera, by a GStreamer pipeline: what a Jetson's decoder in hardware needs.

A pipeline ends in raw video; what takes the pictures out of it is added here. It should be live, as a camera
is: this side does not slow it down, and of pictures that are not taken in time the newest one wins.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Generator, Iterator

import av
import numpy as np

from approxbit.errors import VideoError
from approxbit.video.cameras.picture import Picture, Reading
from approxbit.video.cameras.protocol import Settings

_SINK = "appsink name=approxbit sync=false max-buffers=4 drop=true"
_NANOSECONDS = 10**9
_LOOK_S = 0.5
_MISSING = (
    "a GStreamer pipeline needs GStreamer's Python package in this interpreter: on Debian, Ubuntu and "
    "JetPack, apt install python3-gst-1.0"
)


def read_pipeline(settings: Settings) -> Generator[Reading, None, None]:
    """Run a pipeline and read what comes out of it.

    Raises:
        ImportError: GStreamer's Python package is not installed.
        VideoError: The pipeline is wrong, has failed or ended, or gave nothing in time.
    """
    policy = settings.policy
    with _running(settings.source) as (pipeline, sink):
        limit_s = policy.open_timeout_s
        while True:
            sample = _pull(pipeline, sink, limit_s)
            yield Reading((_take(sample, time.monotonic()),))
            limit_s = policy.read_timeout_s


@contextmanager
def _running(source: str) -> Iterator[tuple[Any, Any]]:
    gst = import_gstreamer()
    try:
        pipeline = gst.parse_launch(f"{source} ! videoconvert ! video/x-raw,format=RGB ! {_SINK}")
    except gst.glib_error as error:
        raise VideoError(error.message) from None
    try:
        pipeline.set_state(gst.State.PLAYING)
        yield pipeline, pipeline.get_by_name("approxbit")
    finally:
        pipeline.set_state(gst.State.NULL)


def check_gstreamer() -> None:
    """Look for GStreamer's Python package, without loading it.

    Raises:
        ImportError: It is not installed.
    """
    if find_spec("gi") is None:
        raise ImportError(_MISSING)


def import_gstreamer() -> Any:
    """GStreamer's Python package, ready for use.

    Raises:
        ImportError: It is not installed.
    """
    check_gstreamer()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import GLib, Gst
    except (ImportError, ValueError) as error:
        raise ImportError(f"{_MISSING}: {error}") from None
    Gst.init(None)
    Gst.glib_error = GLib.Error
    return Gst


def _take(sample: Any, arrived_s: float) -> Picture:
    shape, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
    width, height = shape.get_value("width"), shape.get_value("height")
    data = buffer.extract_dup(0, buffer.get_size())
    rows = np.frombuffer(data, np.uint8).reshape(height, -1)  # each is padded to whole words
    rgb = rows[:, : 3 * width].reshape(height, width, 3)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    has_time = buffer.pts < 2**63  # the largest number stands for none
    return Picture(frame, buffer.pts / _NANOSECONDS if has_time else arrived_s, arrived_s)


def _pull(pipeline: Any, sink: Any, limit_s: float) -> Any:
    """The next sample; a pipeline that has failed may keep its sink waiting, and says so elsewhere."""
    gst = import_gstreamer()
    until_s = time.monotonic() + limit_s
    while True:
        sample = sink.emit("try-pull-sample", int(min(limit_s, _LOOK_S) * _NANOSECONDS))
        if sample is not None:
            return sample
        message = pipeline.get_bus().pop_filtered(gst.MessageType.ERROR)
        if message is not None:
            raise VideoError(str(message.parse_error()[0].message))
        if sink.get_property("eos"):
            raise VideoError("the pipeline has ended")
        if time.monotonic() > until_s:
            raise VideoError(f"the pipeline gave nothing for {limit_s:g} s")
