"""A camera that speaks RTSP and does what a test says, picture by picture.

A server of its own, because a test must decide when a picture is sent, when the line breaks and when nobody
answers: H.264 in RTP over the connection of RTSP itself (RFC 2326, 3550 and 6184, one unit in each packet).
"""

from __future__ import annotations

import base64
import re
import socket
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from queue import Queue
from typing import Any

import av
import numpy as np

NUM_PICTURES = 32
GREY_STEP = 7
KEY_EVERY = 8
_CLOCK = 90_000
_START_CODE = re.compile(b"\0*\0\0\1")


def numbers_of(frames: np.ndarray) -> list[int]:
    """Which pictures of `pictures` these are, modulo `NUM_PICTURES`."""
    return np.rint((frames.mean(axis=(1, 2, 3)) - 8) / GREY_STEP).astype(int).tolist()


def encode_pictures(height: int = 48, width: int = 64) -> list[list[bytes]]:
    """Grey pictures that tell their numbers, each as its units of H.264; every eighth needs no other one."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 10), 1
    encoder.options = {
        "tune": "zerolatency",
        "crf": "10",
        "x264-params": f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:repeat-headers=1",
    }
    pictures = []
    for number in range(NUM_PICTURES):
        grey = np.full((height, width, 3), 8 + GREY_STEP * number, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        data = b"".join(bytes(packet) for packet in encoder.encode(frame))
        pictures.append([unit for unit in _START_CODE.split(data) if unit])
    assert encoder.encode(None) == []
    return pictures


class Line:
    """A connection on which a client plays."""

    def __init__(self, connection: socket.socket, pictures: list[list[bytes]]):
        self._connection = connection
        self._pictures = pictures
        self._sequence = 0
        self.num_sent = 0

    def send(self, num_pictures: int, frame_rate: float = 10, shift_s: float = 0.0) -> None:
        """The next pictures, their times `shift_s` later than their numbers say."""
        for _ in range(num_pictures):
            units = self._pictures[self.num_sent % NUM_PICTURES]
            self.send_units(units, self.num_sent / frame_rate + shift_s)
            self.num_sent += 1

    def send_units(self, units: list[bytes], time_s: float) -> None:
        """One picture of units of H.264."""
        data = b""
        for unit in units:
            is_last = unit is units[-1]
            stamp = (round(time_s * _CLOCK) + 1_000_000) % 2**32
            header = struct.pack(">BBHII", 0x80, 96 | is_last << 7, self._sequence, stamp, 7)
            self._sequence = (self._sequence + 1) % 2**16
            data += struct.pack(">BBH", ord("$"), 0, len(header) + len(unit)) + header + unit
        self._connection.sendall(data)

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)


class RtspServer:
    """Listens on the loopback; `lines` gives each connection on which a client plays, in order."""

    def __init__(self, pictures: list[list[bytes]]):
        self.lines: Queue[Line] = Queue()
        self.num_hung = 0
        self._pictures = pictures
        self._answers = threading.Event()
        self._answers.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"rtsp://user:secret@127.0.0.1:{port}/stream"

    def freeze(self) -> None:
        """Take connections from now on, and say nothing on them."""
        self._answers.clear()

    def thaw(self) -> None:
        """Answer those that come from now on."""
        self._answers.set()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self._answers.is_set():
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            else:
                self.num_hung += 1

    def _serve(self, connection: socket.socket) -> None:
        try:
            for method, number in _requests(connection):
                connection.sendall(self._reply(method, number).encode())
                if method == "PLAY":
                    self.lines.put(Line(connection, self._pictures))
        except OSError:
            pass  # the client is gone, or the test has closed the line

    def _reply(self, method: str, number: str) -> str:
        head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n"
        if method == "DESCRIBE":
            text = self._description()
            return f"{head}Content-Type: application/sdp\r\nContent-Length: {len(text)}\r\n\r\n{text}"
        if method == "SETUP":
            return f"{head}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        return f"{head}Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"

    def _description(self) -> str:
        sets = [unit for unit in self._pictures[0] if unit[0] & 31 in (7, 8)]
        parameters = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 H264/{_CLOCK}\r\na=control:track\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={parameters}\r\n"
        )


def _requests(connection: socket.socket) -> Iterator[tuple[str, str]]:
    """Method and number of each request; reports of the client in between (`$`) are left out."""
    data = b""
    while chunk := connection.recv(4096):
        data += chunk
        while data:
            if data[:1] == b"$":
                length = 4 + int.from_bytes(data[2:4], "big")
                if len(data) < max(4, length):
                    break
                data = data[length:]
                continue
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            number = re.search(r"CSeq: *(\d+)", head.decode())
            assert number is not None
            yield head.decode().split()[0], number[1]
            data = rest
