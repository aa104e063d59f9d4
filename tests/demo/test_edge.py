"""The device's process, and the end of the pipe to it."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from approxbit.datasets.digits import ACTION_CLASSES, JOINT_CLASSES, TASK, write_videos
from approxbit.demo import edge
from approxbit.edge.device import open_device
from approxbit.engines.prepared import load_prepared
from approxbit.errors import LinkError
from approxbit.processes import ChildProcess
from approxbit.select import LUT
from approxbit.server.process import ServerProcess
from approxbit.wire import Logits, TopK

# Runs the device where torch, and what only torch brings, cannot be imported.
BLOCK_TORCH = """
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "safetensors", "jaxtyping", "scipy", "sklearn"):
            raise ImportError(f"{name} is blocked here")
sys.meta_path.insert(0, Block())
runpy.run_module("approxbit.demo.edge", run_name="__main__", alter_sys=True)
"""


def test_the_listing_is_that_of_the_written_videos(tmp_path: Path) -> None:
    paths = write_videos(tmp_path, "test", 2, first=5)
    for label_set, classes in (("actions", ACTION_CLASSES), ("action_digit", JOINT_CLASSES)):
        listing = edge.read_listing(str(tmp_path), label_set)
        assert [path for path, _ in listing] == paths
        assert tuple(listing.label_names) == classes


def test_the_logits_of_a_model_answer_in_every_label_set() -> None:
    logits = np.zeros(len(JOINT_CLASSES), np.float32)
    logits[40:50] = 3  # action 4, whichever digit
    logits[99] = 4
    assert edge.name_answer(Logits(logits), TASK.label_set("actions")) == ACTION_CLASSES[4]
    assert edge.name_answer(Logits(logits), TASK.label_set("action_digit")) == JOINT_CLASSES[99]
    best = TopK((99, 40), (-1, -2))
    assert edge.name_answer(best, TASK.label_set("action_digit")) == JOINT_CLASSES[99]


def test_a_device_must_know_the_classes_of_its_videos(prepared: Path) -> None:
    device = open_device(prepared)
    assert edge.find_label_set(device, "actions", ACTION_CLASSES) is device.task.label_set("actions")
    with pytest.raises(ValueError, match="the model must know the 3 classes actions of the videos"):
        edge.find_label_set(device, "actions", ["a", "b", "c"])
    with pytest.raises(ValueError, match="one of the label sets action_digit, actions, digits, found 'x'"):
        edge.find_label_set(device, "x", ["a"])


def test_a_clip_comes_in_every_interval_until_the_end() -> None:
    seconds = [clock() for _, clock in edge._ticks(interval_s=0.05, duration_s=0.19)]
    assert len(seconds) == 4
    assert seconds == pytest.approx([0, 0.05, 0.1, 0.15], abs=0.04)


def test_a_clip_that_takes_too_long_delays_the_others_without_a_burst() -> None:
    seconds = []
    for index, clock in edge._ticks(interval_s=0.05, duration_s=0.3):
        seconds.append(clock())
        time.sleep(0.15 if index == 0 else 0)
    assert seconds[1] >= 0.15
    assert all(later - earlier > 0.04 for earlier, later in pairwise(seconds[1:]))


def test_the_device_never_imports_torch(prepared: Path, lut: LUT, checkpoints: Path, tmp_path: Path) -> None:
    write_videos(tmp_path, "test", 2)
    lut.with_figure("top1_actions").save(tmp_path / "lut.json")
    words = ["--device", prepared, "--label-set", "actions", "--lut", tmp_path / "lut.json"]
    command = [sys.executable, "-c", BLOCK_TORCH, *map(str, words), "--slowdown", "1", "--threads", "1"]
    process = ChildProcess(command, "the edge process")
    relay = {"phases": [(0, "accuracy>=80")], "interval_s": 0.05, "duration_s": 0.2}
    with ServerProcess("digits-tiny", checkpoints=checkpoints) as server, process:
        process.send(server=server.address, videos=tmp_path)
        ready = process.receive()
        assert ready["event"] == "ready"
        assert ready["backend"].startswith("onnxruntime ")
        assert ready["feature_bytes"] == dict(load_prepared(prepared).feature_bytes)
        process.send(relay=server.address, **relay)
        assert process.receive() == {"event": "connected"}
        process.send()
        events = []
        while (event := process.receive())["event"] != "end":
            events.append(event)
    assert events
    assert {event["event"] for event in events} == {"clip"}
    assert all(event["answer"] in ACTION_CLASSES for event in events)


def test_a_device_without_its_artefacts_says_so(tmp_path: Path) -> None:
    words = {"device": tmp_path / "none.json", "label-set": "actions", "lut": "", "slowdown": 1, "threads": 1}
    options = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "approxbit.demo.edge", *options]
    message = (
        r"the edge process has ended with exit code 1; its last lines were:\n.*none\.json: cannot be read"
    )
    with ChildProcess(command, "the edge process") as process, pytest.raises(LinkError, match=message):
        process.receive()
