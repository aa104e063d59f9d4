"""Cameras by GStreamer's own software, where it is installed: its pipelines, and its RTSP server.

On Debian: `apt install python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}`, and
an interpreter that finds Debian's packages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loading import load_file

from approxbit.video.cameras import Camera, gstreamer

patience = load_file(Path(__file__).with_name("patience.py"))
LONG_S, wait_until = patience.LONG_S, patience.wait_until
LIVE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=322,height=240,framerate=20/1"

SERVE = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service("0")
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=480,framerate=20/1 ! "
    "x264enc tune=zerolatency key-int-max=20 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 )"
)
server.get_mount_points().add_factory("/stream", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture(scope="module")
def installed() -> None:
    text = "from approxbit.video.cameras.gstreamer import import_gstreamer; import_gstreamer()"
    finished = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    if finished.returncode:
        pytest.skip(finished.stderr.splitlines()[-1])


@pytest.fixture
def rtsp_url(installed: None) -> Iterator[str]:
    """A camera served by GStreamer's RTSP server."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            pytest.skip("needs GStreamer's RTSP server: apt install gir1.2-gst-rtsp-server-1.0")
        yield f"rtsp://127.0.0.1:{port}/stream"
        server.kill()


@pytest.mark.usefixtures("installed")
def test_a_pipeline_is_a_camera(make_camera: Callable[..., Camera]) -> None:
    with make_camera(LIVE, name="pipeline") as each:
        window = each.wait(LONG_S)
        assert window is not None
        assert window.frames.shape == (8, 32, 32, 3)
        assert window.frames.max() > 100  # the ball is white, and the ground black
        assert each.wait(LONG_S) is not None


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("videotestsrc ! nothing", 'no element "nothing"'),
        ("filesrc location=/nonexistent ! decodebin", "Resource not found."),
        ("videotestsrc num-buffers=5 ! identity", "the pipeline has ended"),
    ],
)
def test_a_pipeline_that_fails_says_why(
    pipeline: str, reason: str, make_camera: Callable[..., Camera]
) -> None:
    with make_camera(pipeline) as each:
        wait_until(lambda: each.reason)
        assert each.reason == reason


def test_without_gstreamer_a_pipeline_says_what_to_install(
    make_camera: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gstreamer, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"GStreamer's Python package in this .* apt install python3-gst-1\.0"
    ):
        make_camera(LIVE).start()


def test_the_rtsp_server_of_gstreamer_is_a_camera(rtsp_url: str, make_camera: Callable[..., Camera]) -> None:
    with make_camera(rtsp_url) as each:
        for number in range(3):
            window = each.wait(LONG_S)
            assert window is not None, (number, each.reason)
            assert window.frames.max() > 100
        assert each.counts.connections == 1
