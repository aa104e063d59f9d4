"""Cameras that do what a test says, and policies for a machine that may be busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loading import load_file

from approxbit.engines.runner import ClipFormat
from approxbit.video.cameras import Camera

rtsp = load_file(Path(__file__).with_name("rtsp_server.py"))
PATIENT = load_file(Path(__file__).with_name("patience.py")).PATIENT


@pytest.fixture(scope="session")
def pictures() -> list[list[bytes]]:
    """See `rtsp_server.encode_pictures`."""
    encoded: list[list[bytes]] = rtsp.encode_pictures()
    return encoded


@pytest.fixture
def make_server(pictures: list[list[bytes]]) -> Iterator[Callable[[], Any]]:
    """RTSP servers, ended with the test."""
    servers = []

    def make() -> Any:
        servers.append(rtsp.RtspServer(pictures))
        return servers[-1]

    yield make
    for server in servers:
        server.__exit__()


MakeCamera = Callable[..., Camera]


@pytest.fixture
def make_camera() -> Iterator[MakeCamera]:
    """`make_camera(source, num_frames=8, stride=4, frame_rate=10, name=..., **changes of the policy)`."""
    cameras = []

    def make(
        source: Any,
        num_frames: int = 8,
        stride: int = 4,
        frame_rate: float = 10,
        name: str = "",
        **changes: float,
    ) -> Camera:
        policy = replace(PATIENT, **changes)
        cameras.append(Camera(source, ClipFormat(num_frames, 32), frame_rate, stride, name, policy))
        return cameras[-1]

    yield make
    for camera in cameras:
        camera.close()
