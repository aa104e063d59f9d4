"""The device's process, by its orders and events."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest

from approxbit.demo import edge
from approxbit.edge.device import Device
from approxbit.errors import LinkError
from approxbit.processes import ChildProcess
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import LUT, LUTRow
from approxbit.server import GrpcServer
from approxbit.server.loading import load_service
from approxbit.video.writer import write_video

ARMS = ("edge-only", "server-only", "h264-superfast-crf32", "8-NoEnc-L1")


@pytest.fixture
def lut(tmp_path: Path) -> Path:
    rows = tuple(
        LUTRow(arm, 1 if place else 1000, 1, 9 * bool(place), 0, 0, 90 - place)
        for place, arm in enumerate(ARMS)
    )
    path = tmp_path / "lut.json"
    LUT(rows, "a machine", "torch", "2026-01-01", 100, figures=("macro",)).save(path)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", frames, frame_rate=8)
    return tmp_path / "a.mp4"


@pytest.fixture
def address(asked: str) -> Iterator[str]:
    with GrpcServer(load_service(asked, num_threads=1)) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def device(asked: str) -> Device:
    return open_torch_device(asked)


def follow(device: Device, monkeypatch: pytest.MonkeyPatch, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that orders lead to."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(edge, "say", lambda **facts: events.append(facts))
    with pytest.raises(StopIteration):
        edge._follow(device, _Ending(orders))
    return events


class _Ending(Queue[Any]):
    """Orders, and then no more."""

    def __init__(self, orders: Any) -> None:
        super().__init__()
        self._left = iter([dict(order) for order in orders])

    def get(self, *_: Any, **__: Any) -> Any:
        return next(self._left)


def test_questions_follow_clips_through_a_chosen_and_a_named_arm(
    device: Device, lut: Path, video: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "timed.json"
    events = follow(
        device,
        monkeypatch,
        {"do": "time", "server": address, "lut": str(lut), "out": str(out), "videos": [str(video)] * 2},
        {"do": "connect", "relay": address, "lut": str(lut), "sla": "accuracy>=87"},
        {"do": "send", "video": str(video), "arm": ""},
        {"do": "ask", "clip": 0, "question": "what is red"},
        {"do": "send", "video": str(video), "arm": "8-NoEnc-L1"},
        {"do": "ask", "clip": 1, "question": "what is red"},
        {"do": "send", "video": str(video), "arm": "edge-only"},
        {"do": "ask", "clip": 2, "question": "how many"},
        {"do": "ask", "clip": 1, "question": "how many"},
    )
    assert [each["event"] for each in events[:2]] == ["timed", "connected"]
    timed = LUT.load(out)
    assert set(timed.arms) == set(ARMS)
    assert all(row.edge_ms + row.encode_ms > 0 for row in timed.rows)
    sent, answered = events[2::2][:3], events[3::2][:3]
    assert [each["clip"] for each in sent] == [0, 1, 2]
    assert [each["arm"] for each in sent][1:] == ["8-NoEnc-L1", "edge-only"]
    assert [each["payload_bytes"] for each in sent[1:]] == [8, 0]
    assert sent[0]["measured_mbps"] is not None
    assert sent[1]["measured_mbps"] is None
    assert all(each["answer"] for each in answered)
    assert answered[1]["payload_bytes"] == 0  # the code does not cross again
    assert events[-1]["answer"]


def test_a_server_that_is_gone_is_a_fact_and_no_end(
    device: Device, lut: Path, video: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = GrpcServer(load_service(asked, num_threads=1))
    with server:
        address = f"127.0.0.1:{server.port}"
        events: list[dict[str, Any]] = []
        monkeypatch.setattr(edge, "say", lambda **facts: events.append(facts))
        party = edge._Party(device, address, str(lut), "accuracy>=1")
    party.send(str(video), "")
    party.ask(0, "what is red")
    party.send(str(video), "server-only")
    assert [each["event"] for each in events] == ["connected", "sent", "answered", "sent"]
    alone, answered, failed = events[1:]
    assert (alone["arm"], alone["fell_back"]) == ("edge-only", True)
    assert answered["answer"]
    assert (failed["arm"], failed["payload_bytes"]) == ("", 0)
    assert "UNAVAILABLE" in failed["reason"]


def test_a_small_device_does_not_hold_the_whole_model(asked: str, asked_checkpoints: Path) -> None:
    for without in (False, True):
        options = argparse.Namespace(
            family=asked, checkpoints=asked_checkpoints, threads=1, without_model=without
        )
        names = [arm.name for arm in edge._open(options).arms]
        assert ("edge-only" in names) != without
        assert "8-NoEnc-L1" in names


def test_a_process_that_cannot_start_says_why(asked: str, asked_checkpoints: Path) -> None:
    words = ["--family", "nothing", "--checkpoints", str(asked_checkpoints), "--threads", "1"]
    command = [sys.executable, "-m", "approxbit.demo.edge", *words]
    with (
        ChildProcess(command, "the edge process") as process,
        pytest.raises(
            LinkError,
            match=r"the edge process has ended with exit code 1; its last lines were:\n.*found 'nothing'",
        ),
    ):
        process.receive()
