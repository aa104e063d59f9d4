"""The client of `approxbit serve`: `approxbit.Edge` and `approxbit run --server`, with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from environments import BLOCK

import approxbit
from approxbit import cli, zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import TASK
from approxbit.edge.client import choose_model
from approxbit.server.process import ServerProcess
from approxbit.video.writer import write_video

LONG = 120
NAMES = {*TASK.label_set().class_names}
WITHOUT_TORCH = """
import sys
import approxbit

family, server, video = sys.argv[1:]
with approxbit.Edge(family, server, sla="accuracy>=82") as edge:
    edge.connect()
    answer = edge.answer_video(video)
    windows = list(edge.answer_windows(video, 5))
assert not {"torch", "onnx"} & set(sys.modules)
print(answer.label, answer.arm, answer.meets_sla, len(answer.labels), len(windows), sep="|")
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, of another size than the model's clips: ten frames."""
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (10, 48, 80, 3), dtype=np.uint8)
    write_video(path, frames, frame_rate=8)
    return path


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    frames = np.random.default_rng(1).integers(0, 256, (LONG, 48, 80, 3), dtype=np.uint8)
    write_video(path, frames, frame_rate=8)
    return path


Serve = Callable[[], "tuple[subprocess.Popen[bytes], str]"]


@pytest.fixture
def serve(family: str) -> Iterator[Serve]:
    """`serve()`: a process of `approxbit serve`, and its address."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], str]:
        command = [sys.executable, "-m", "approxbit", "serve", "--family", family, "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        started.append(server)
        assert server.stdout is not None
        return server, f"127.0.0.1:{json.loads(server.stdout.readline())['port']}"

    yield start
    for server in started:
        server.kill()
        server.communicate()


def start_run(*words: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        BLOCK + "from approxbit.cli import main; main()",
        "run",
        *map(str, words),
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ))


def read_answers(stream: IO[str] | None, count: int) -> list[dict[str, Any]]:
    assert stream is not None
    return [json.loads(stream.readline()) for _ in range(count)]


def name_in(shown: str) -> str:
    """The class in `Moving six up 93.1 %, ...`."""
    return shown.split(" %")[0].rpartition(" ")[0]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["run", *map(str, words)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_a_device_without_torch_is_served_by_command_and_by_three_lines_and_outlives_the_server(
    family: str, serve: Serve, video: Path, long_video: Path
) -> None:
    server, address = serve()
    words = ("--server", address, "--family", f"{family}/8-Enc-B3")
    client = start_run(video, *words, "--top", 2)
    output, errors = client.communicate()
    assert (client.returncode, "starting a server" in errors) == (0, False), errors
    first, second = output.splitlines()
    assert first.startswith(f"{video}: ")
    assert ", 8-Enc-B3, 8 bytes, " in first
    assert {name_in(first.split(": ", 1)[1]), name_in(second.strip())} < NAMES

    arguments = [sys.executable, "-c", BLOCK + WITHOUT_TORCH, family, address, str(video)]
    edge = subprocess.run(arguments, capture_output=True, text=True, env=dict(os.environ))
    label, arm, meets_sla, num_labels, num_windows = edge.stdout.strip().split("|")
    assert label in NAMES, edge.stderr
    assert arm in ("edge-only", "server-only", "h264-superfast-crf32", "4-NoEnc-B5")
    assert (meets_sla, num_labels, num_windows) == ("True", "5", "2")

    client = start_run(long_video, *words, "--window-step", 1, "--json")
    before = read_answers(client.stdout, 2)
    assert [(each["start_frame"], each["fell_back"]) for each in before] == [(0, False), (1, False)]
    server.kill()
    output, errors = client.communicate()
    assert client.returncode == 0, errors
    after = [json.loads(line) for line in output.splitlines()]
    assert len(before + after) == LONG - 3  # every window has its answer
    assert (after[-1]["arm"], after[-1]["fell_back"]) == ("edge-only", True)
    assert errors.count("the device answers alone: ") == 1


def test_an_interrupt_keeps_what_was_answered(family: str, serve: Serve, long_video: Path) -> None:
    _, address = serve()
    client = start_run(
        *[long_video] * 50,
        "--server",
        address,
        "--family",
        f"{family}/8-Enc-B3",
        "--window-step",
        1,
        "--json",
    )
    before = read_answers(client.stdout, 3)
    client.send_signal(signal.SIGINT)
    output, errors = client.communicate()
    count = len(before) + len(output.splitlines())
    assert (client.returncode, errors) == (130, f"approxbit: interrupted after {count} answers\n")
    assert all(json.loads(line)["answer"] for line in output.splitlines())


def test_an_edge_that_nobody_answers_answers_by_itself_and_says_why(family: str, video: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with approxbit.Edge(f"{family}/8-Enc-B3", address, num_labels=1) as edge:
        with pytest.raises(
            approxbit.LinkError, match=f"no server for {family} answers at {address}: start one"
        ):
            edge.connect()
        answer = edge.answer_video(video)
        with pytest.raises(ValueError, match="step must be at least 1, found 0"):
            next(edge.answer_windows(video, 0))
    assert (answer.arm, answer.fell_back, len(answer.labels)) == ("edge-only", True, 1)
    assert "UNAVAILABLE" in answer.reason


def save_family(folder: Path, configuration: str, seed: int) -> None:
    """A family with other weights than those of the fixtures."""
    arguments = {"num_classes": TASK.num_classes, "clip_shape": (3, 4, 32, 32)}
    torch.manual_seed(seed)
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(folder, backbone, "movinet_small", arguments, TASK)
    parsed = Configuration.parse(configuration)
    zoo.save_codec(folder, Codec(backbone.feature_shape(parsed.offload_point), parsed))


def test_a_server_of_other_weights_or_another_family_is_a_sentence(
    family: str,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_family(tmp_path / family, "8-Enc-B3", seed=7)
    save_family(tmp_path / "another", "2-NoEnc-B3", seed=8)
    with ServerProcess(family) as server:
        monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
        words = ("--server", server.address, "--runner", "torch", "--family")
        assert run(video, *words, family) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert "has other weights or another preprocessing than digits-tiny has here" in errors
        assert run(video, *words, "another") == 1
        assert "reads no codes of another (2-NoEnc-B3): it serves another family" in capsys.readouterr().err


def test_an_export_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_family(tmp_path / "damaged", "2-NoEnc-B3", seed=0)
    (tmp_path / "damaged" / "backbone.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        approxbit.ArtefactError, match="the export of damaged/2-NoEnc-B3 has failed, as it says above"
    ):
        approxbit.Edge("damaged", "127.0.0.1:1")


def test_one_model_is_chosen_unless_an_sla_chooses(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_model(family) == f"{family}/4-NoEnc-B5"  # 85 percent in its LUT
    assert choose_model(f"{family}/8-Enc-B3") == f"{family}/8-Enc-B3"
    assert choose_model(family, "latency<=9ms") == family
    with pytest.raises(ValueError, match="expected one model or an SLA that chooses"):
        choose_model(f"{family}/8-Enc-B3", "latency<=9ms")
    save_family(tmp_path / "unmeasured", "2-NoEnc-B3", seed=0)
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    assert choose_model("unmeasured") == "unmeasured/2-NoEnc-B3"
