"""Files, bytes and streams of bytes -> an opened container and the video stream to read.

Only containers of the list below are opened: playlists, concatenations and sequences of pictures would read
other files than the one that was named. Everything that goes wrong becomes a `VideoError` that names the
source.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import IO, Any, Iterator, NamedTuple, Union

import av

from approxbit.errors import VideoError
from approxbit.files import PathLike
from approxbit.video.signature import describe_signature
from approxbit.video.streams import choose_stream

Source = Union[PathLike, bytes, IO[bytes]]
"""The path of a file, its bytes, or an open binary file such as `sys.stdin.buffer`."""

DEMUXERS = (
    # containers
    "mov,matroska,webm,avi,mpegts,mpeg,asf,flv,live_flv,ogg,mxf,mxf_opatom,rm,dv,nut,ivf,gxf,wtv,nsv,dhav,swf,"
    "yuv4mpegpipe,gif,apng,"
    # elementary streams
    "h264,hevc,vvc,av1,obu,mpegvideo,m4v,h263,vc1,mjpeg,"
    # sound, so that it is called so
    "mp3,flac,wav,aac,ac3,eac3,aiff,ape,w64,caf,amr"
)
"""FFmpeg's names of the file formats that are opened."""

# Titles and comments in odd encodings must not stop a video from being read; from 19 on PyAV lets them pass.
_LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


class Opened(NamedTuple):
    """One video stream of a container, ready to be demuxed from its start."""

    name: str
    container: Any
    stream: Any


@contextmanager
def naming_errors(name: str) -> Iterator[None]:
    """Turn whatever FFmpeg raises into a VideoError that names the source."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{name}: expected a video that decodes to its end, found {error.strerror or error}"
        ) from error


class Reopenable:
    """A source that can be opened again and again: `with Reopenable(source) as file: file.open()`.

    What cannot be sought in, such as a pipe, is first copied to a temporary file.

    Raises:
        VideoError: There is no such file, it is empty, or it is a picture or something else than a video.
    """

    def __init__(self, source: Source):
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self.name = _name_of(source)
        if isinstance(source, bytes):
            self._file = io.BytesIO(source)
        elif isinstance(source, (str, os.PathLike)):
            self._path = self._check_path(os.fspath(source))
        elif not hasattr(source, "read") or isinstance(source, io.TextIOBase):
            raise TypeError(f"expected a path, bytes or a binary file, found {type(source).__name__}")
        elif source.seekable():
            self._file = source
        else:
            self._path = self._spool(source)

    def __enter__(self) -> Reopenable:
        try:
            self.head = self._read_head()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def bytes_of_it(self) -> Iterator[IO[bytes]]:
        """The source as a binary file at its start; an open container goes on where it was."""
        if self._file is None:
            with open(self._path, "rb") as file:
                yield file
            return
        place = self._file.tell()
        self._file.seek(0)
        try:
            yield self._file
        finally:
            self._file.seek(place)

    @contextmanager
    def open(self, stream_index: int | None = None) -> Iterator[Opened]:
        """The container and one of its video streams, see `streams.choose_stream`."""
        # The absolute path keeps FFmpeg from reading a protocol into a name such as "concat:a.mp4".
        target: Any = os.path.abspath(self._path) if self._file is None else self._file
        if self._file is not None:
            self._file.seek(0)
        # As `options` they would also go to streams, and PyAV 12 crashes where those appear later, as in FLV.
        options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
        try:
            container = av.open(target, container_options=options, **_LENIENT)
        except av.error.FFmpegError as error:
            found = describe_signature(self.head) or error.strerror or str(error)
            raise VideoError(f"{self.name}: expected a video of a known container, found {found}") from error
        with container, naming_errors(self.name):
            stream = choose_stream(container, self.name, stream_index)
            stream.codec_context.thread_count = 1  # loader workers and servers parallelise over files
            yield Opened(self.name, container, stream)

    def _read_head(self) -> bytes:
        try:
            with self.bytes_of_it() as file:
                head = file.read(4096)
        except OSError as error:
            raise VideoError(
                f"{self.name}: expected a file that can be read, found {error.strerror or error}"
            ) from error
        if not head:
            raise VideoError(f"{self.name}: expected a video file, found an empty one")
        found = describe_signature(head)
        if found.startswith("a picture") and "JPEG" not in found:  # a JPEG may be the first of a film of them
            raise VideoError(f"{self.name}: expected a video, found {found}")
        return head

    def _check_path(self, path: str) -> str:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            raise VideoError(f"{self.name}: expected a video file, found none") from None
        if stat.S_ISREG(mode):
            return path
        if stat.S_ISFIFO(mode):
            with open(path, "rb") as pipe:
                return self._spool(pipe)
        found = "a folder" if stat.S_ISDIR(mode) else "a device or socket"
        raise VideoError(f"{self.name}: expected a video file, found {found}")

    def _spool(self, pipe: IO[bytes]) -> str:
        copy = tempfile.NamedTemporaryFile()  # noqa: SIM115, it lives as long as this object
        self._stack.callback(copy.close)
        shutil.copyfileobj(pipe, copy, 1 << 20)
        copy.flush()
        return copy.name


def _name_of(source: Any) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    if source is getattr(sys.stdin, "buffer", None):
        return "standard input"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "a file without a name"
