"""One camera at a time: what it shows becomes windows, and what it gets wrong has a name."""

from __future__ import annotations

import http.server
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import load_file

from approxbit.engines.runner import ClipFormat
from approxbit.video.cameras import Camera, CameraCounts, CameraPolicy, Dropped, camera
from approxbit.video.reader import read_clip
from approxbit.video.writer import encode_video

HERE = Path(__file__).parent
patience, rtsp = load_file(HERE / "patience.py"), load_file(HERE / "rtsp_server.py")
LONG_S, wait_until, numbers_of = patience.LONG_S, patience.wait_until, rtsp.numbers_of
EDGES = 2  # pictures that do not come out at once: see test_four_cameras.py

MakeCamera = Callable[..., Camera]


def grey_video(num_frames: int = 32, frame_rate: float = 50, container: str = "mp4") -> bytes:
    """Pictures that `numbers_of` tells apart."""
    greys = 8 + rtsp.GREY_STEP * (np.arange(num_frames, dtype=np.uint8) % 32)
    frames = np.broadcast_to(greys[:, None, None, None], (num_frames, 48, 64, 3)).copy()
    return encode_video(frames, frame_rate, crf=10, container=container)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "loop.mp4"
    path.write_bytes(grey_video())
    return path


def window_of(each: Camera) -> Any:
    window = each.wait(LONG_S)
    assert window is not None, (each.counts, each.reason)
    return window


@pytest.fixture
def line_of(make_server: Callable[[], Any], make_camera: MakeCamera) -> Callable[..., tuple[Camera, Any]]:
    """`line_of(**arguments of make_camera)`: a camera that is connected, and its line."""

    def connect(**changes: float) -> tuple[Camera, Any]:
        server = make_server()
        each = make_camera(server.url, **changes)
        each.start()
        return each, server.lines.get(timeout=LONG_S)

    return connect


def test_windows_slide_over_what_a_camera_shows(line_of: Callable[..., tuple[Camera, Any]]) -> None:
    each, line = line_of()
    line.send(8 + EDGES)
    before_s = time.monotonic()
    window = window_of(each)
    assert (window.frames.shape, window.frames.dtype) == ((8, 32, 32, 3), np.uint8)
    assert numbers_of(window.frames) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (window.stream, window.start_frame, window.shift_frames) == (0, 0, 8)
    assert window.captured_s < time.monotonic()
    line.send(4)
    window = window_of(each)
    assert numbers_of(window.frames) == [5, 6, 7, 8, 9, 10, 11, 12]
    assert (window.stream, window.start_frame, window.shift_frames) == (0, 4, 4)
    assert window.captured_s > before_s - 1
    each.close()
    assert (each.wait(), list(each.windows())) == (None, [])


@pytest.mark.parametrize(
    ("camera_rate", "numbers"),
    [(30, [1, 4, 7, 10, 13, 16, 19, 22]), (5, [1, 1, 2, 2, 3, 3, 4, 4]), (10, [1, 2, 3, 4, 5, 6, 7, 8])],
)
def test_frames_are_chosen_by_time(
    camera_rate: float, numbers: list[int], line_of: Callable[..., tuple[Camera, Any]]
) -> None:
    each, line = line_of(stride=1000)  # only the first window
    line.send(24 + EDGES, frame_rate=camera_rate)
    found = numbers_of(window_of(each).frames)
    assert found[0] == 1
    assert np.abs(np.subtract(found, numbers)).max() <= (camera_rate != 10)  # 0.3 periods early is in time


def test_a_jump_of_the_clock_begins_a_new_stream(line_of: Callable[..., tuple[Camera, Any]]) -> None:
    each, line = line_of()
    line.send(10)
    for shift_s in (3600, -3600):
        line.send(10, shift_s=shift_s)
    line.send(1, shift_s=-3600)
    wait_until(lambda: each.counts.frames == 29, lambda: each.counts)
    # Nine frames, then twice ten: of the first and the second stream two open windows each are cut off.
    counts = each.counts
    assert (counts.made, counts.dropped.gap, each.reason) == (3, 4, "the camera's clock jumped")
    window = window_of(each)
    assert (window.stream, numbers_of(window.frames)) == (2, [20, 21, 22, 23, 24, 25, 26, 27])
    assert window.shift_frames == 8


def test_what_refers_to_a_damaged_picture_is_left_out(
    line_of: Callable[..., tuple[Camera, Any]], pictures: list[list[bytes]]
) -> None:
    each, line = line_of()
    line.send(10)
    line.send_units([unit[: len(unit) // 2] + bytes(40) for unit in pictures[10]], time_s=1.0)
    line.num_sent += 1
    line.send(16 - 11)  # they need the damaged one
    line.send(8 + 1)
    wait_until(lambda: each.counts.made == 2, lambda: (each.counts, each.reason))
    window = window_of(each)
    assert (window.stream, numbers_of(window.frames)) == (1, [16, 17, 18, 19, 20, 21, 22, 23])
    counts = each.counts
    assert (counts.frames, counts.dropped, counts.connections) == (9 + 8, Dropped(too_late=1, damage=2), 1)


def test_a_camera_that_sends_garbage_is_connected_anew(
    make_server: Callable[[], Any], make_camera: MakeCamera, pictures: list[list[bytes]]
) -> None:
    server = make_server()
    with make_camera(server.url, read_timeout_s=0.5, open_timeout_s=LONG_S) as each:
        first = server.lines.get(timeout=LONG_S)
        random = np.random.default_rng(0)
        number = 0
        while server.lines.empty():
            unit = bytes([65]) + random.bytes(200)
            try:
                first.send_units([unit] if number > 20 else pictures[number % 2], number / 10)
            except OSError:
                break
            number += 1
            time.sleep(0.002)
        server.lines.get(timeout=LONG_S)
        assert each.reason.startswith("no frame that can be used came for 0.5 s; the last one: ")
        assert each.counts.processes == 1


def test_a_camera_that_lags_is_connected_anew(line_of: Callable[..., tuple[Camera, Any]]) -> None:
    each, line = line_of(max_lag_s=0.5)
    line.send(12, frame_rate=10)
    wait_until(lambda: each.counts.frames > 0 or each.reason)
    time.sleep(0.7)
    line.send(2, frame_rate=10)
    wait_until(lambda: "lag" in each.reason, lambda: each.reason)
    assert each.reason.startswith("the frames lag ")


def test_a_file_is_a_camera_that_begins_again_and_again(video: Path, make_camera: MakeCamera) -> None:
    with make_camera(video, frame_rate=50, stride=8) as each:
        streams: dict[int, list[int]] = {}
        for window in each.windows():
            numbers = numbers_of(window.frames)
            assert numbers == list(range(window.start_frame, window.start_frame + 8))
            streams.setdefault(window.stream, []).append(window.start_frame)
            if window.stream == 3:
                break
    assert set(streams) <= {0, 1, 2, 3}
    assert all(set(starts) <= {0, 8, 16, 24} for starts in streams.values())
    assert each.counts.connections == 1


@pytest.mark.parametrize("is_turned", [False, True])
def test_a_frame_of_a_camera_is_nearly_that_of_a_file(
    is_turned: bool, tmp_path: Path, make_camera: MakeCamera
) -> None:
    random = np.random.default_rng(3)
    waves = np.cumsum(np.cumsum(random.normal(size=(180, 320, 3)), 0), 1)
    scaled = (255 * (waves - waves.min((0, 1))) / np.ptp(waves, (0, 1))).astype(np.uint8)
    path = tmp_path / "still.mp4"
    data = bytearray(encode_video(np.stack([scaled] * 4), 10, crf=10))
    if is_turned:  # by a quarter, as phones do: the matrix of the header of the track
        matrix, one = data.index(b"tkhd") + 44, 1 << 16
        data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 180 * one, 0, 1 << 30)
    path.write_bytes(data)
    with make_camera(path, num_frames=2, stride=1) as each:
        found = window_of(each).frames
    expected = ClipFormat(2, 32).crop(read_clip(path, 2))
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < 1.5
    assert difference.max() <= 8


def test_a_process_that_falls_silent_is_replaced(video: Path, make_camera: MakeCamera) -> None:
    changes = {"open_timeout_s": 1.0, "read_timeout_s": 1.0, "grace_s": 1.0}
    with make_camera(video, frame_rate=50, **changes) as each:
        window_of(each)
        first = each.process_id
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        wait_until(lambda: each.counts.processes >= 2)
        assert each.reason == "the process of the camera said nothing for 3 s"
        made = each.counts.made
        wait_until(lambda: each.counts.made > made)


class _Endless(http.server.BaseHTTPRequestHandler):
    """Sends one short video over HTTP, as often as it is asked."""

    def __init__(self, data: bytes, *arguments: Any):
        self._data = data
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        self.wfile.write(self._data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def http_url() -> Iterator[str]:
    data = grey_video(num_frames=24, frame_rate=10, container="mpegts")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Endless, data)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stream?token=secret"
        server.shutdown()


def test_a_stream_over_http_is_a_camera(http_url: str, make_camera: MakeCamera) -> None:
    with make_camera(http_url, num_frames=16, stride=16) as each:
        assert numbers_of(window_of(each).frames) == list(range(16))
        wait_until(lambda: each.counts.connections >= 2, lambda: each.reason)
        assert numbers_of(window_of(each).frames) == list(range(16))
    assert each.reason in ("the stream has ended", "Input/output error")
    assert each.name.endswith("/stream")
    assert each.counts.dropped.reconnect >= 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/dev/video97", "No such file or directory"),
        ("rtsp://user:secret@127.0.0.1:9/stream", "Connection refused"),
    ],
)
def test_a_camera_that_is_not_there_is_tried_again(source: str, reason: str, make_camera: MakeCamera) -> None:
    with make_camera(source) as each:
        wait_until(lambda: each.reason)
        assert each.reason == reason
        assert each.wait(timeout_s=0.01) is None
        assert each.counts == CameraCounts(processes=1)
        assert "secret" not in each.name


def test_a_playlist_is_no_camera(tmp_path: Path, video: Path, make_camera: MakeCamera) -> None:
    listing = tmp_path / "list.ffconcat"
    listing.write_text(f"ffconcat version 1.0\nfile {video.name}\n")
    with make_camera(listing) as each:
        wait_until(lambda: each.reason)
        assert each.reason.startswith("expected a format of rtsp,")


def test_a_process_does_not_outlive_its_caller(video: Path) -> None:
    text = (
        "import sys, time; from approxbit.engines.runner import ClipFormat\n"
        "from approxbit.video.cameras import Camera\n"
        f"with Camera({str(video)!r}, ClipFormat(8, 32), 50) as camera:\n"
        "    camera.wait(); print(camera.process_id, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        process = Path("/proc", caller.stdout.readline().strip())
        assert process.exists()
        caller.kill()
    wait_until(lambda: not process.exists() or ") Z" in (process / "stat").read_text())


def test_a_failure_of_the_thread_is_the_callers(
    video: Path, make_camera: MakeCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: int) -> int:
        raise OSError("no memory")

    monkeypatch.setattr(camera.FrameRing, "make", fail)
    with make_camera(video) as each, pytest.raises(OSError, match="no memory"):
        each.wait()


def test_a_camera_is_started_once(video: Path, make_camera: MakeCamera) -> None:
    each = make_camera(video)
    with pytest.raises(RuntimeError, match=r"loop.mp4 has no windows before start\(\)"):
        each.wait()
    with each, pytest.raises(RuntimeError, match=r"loop.mp4 was started before; make another Camera"):
        each.start()


@pytest.mark.parametrize("what", ["num_frames", "frame_rate", "stride"])
def test_numbers_must_be_above_0(what: str, video: Path, make_camera: MakeCamera) -> None:
    with pytest.raises(ValueError, match=f"^{what} must be above 0, found 0"):
        make_camera(video, **{what: 0})


def test_times_must_be_above_0() -> None:
    with pytest.raises(ValueError, match=r"^max_gap_s must be above 0 and finite, found inf"):
        CameraPolicy(max_gap_s=float("inf"))


@pytest.mark.parametrize("source", ["ftp://camera/stream", "missing.mp4", "concat:a.mp4|b.mp4", "/dev/null"])
def test_what_is_no_camera_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a camera: rtsp://, .* or a file; found "):
        Camera(source, ClipFormat(8, 32), 10)
