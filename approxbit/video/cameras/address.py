"""What kind of camera an address means, and what messages call it."""

from __future__ import annotations

import os
import re

from approxbit.files import PathLike

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video[0-9]+")
_KIND_OF_SCHEME = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
EXPECTED = (
    "rtsp://, rtsps://, http:// or https://, a device such as /dev/video0, a GStreamer pipeline such as "
    "'v4l2src ! nvv4l2decoder' or a file"
)


def kind_of(source: PathLike) -> str:
    """`rtsp`, `http`, `v4l2`, `gstreamer` or `file`.

    A file that is there is a file, whatever its name looks like.

    Raises:
        ValueError: It is none of them.

    Example:
        >>> kind_of("rtsp://camera/stream"), kind_of("/dev/video0"), kind_of("v4l2src ! jpegdec")
        ('rtsp', 'v4l2', 'gstreamer')
    """
    if os.path.isfile(source):
        return "file"
    name = os.fspath(source)
    scheme = _SCHEME.match(name)
    if scheme and scheme[1].lower() in _KIND_OF_SCHEME:
        return _KIND_OF_SCHEME[scheme[1].lower()]
    if _DEVICE.fullmatch(name):
        return "v4l2"
    if not scheme and "!" in name:
        return "gstreamer"
    raise ValueError(f"expected a camera: {EXPECTED}; found {shown_name(source)!r}")


def shown_name(source: PathLike) -> str:
    """What messages call a source: without the password and the query of an address.

    Example:
        >>> shown_name("rtsp://user:secret@camera:554/stream?token=1")
        'rtsp://camera:554/stream'
    """
    name = os.fspath(source)
    scheme = _SCHEME.match(name)
    if scheme is None:
        return name
    host, slash, path = re.split("[?#]", name[scheme.end() :])[0].partition("/")
    return scheme[0] + host.rpartition("@")[2] + slash + path
