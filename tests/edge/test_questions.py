"""`approxbit.Edge.ask` and `approxbit run --ask`: a clip crosses once, and every question has its answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from environments import BLOCK

import approxbit
from approxbit import cli
from approxbit.edge import EdgeSession, LocalTransport, SessionPolicy
from approxbit.edge.arms import EdgeOnlyQuestionsArm
from approxbit.edge.asking import SentClip
from approxbit.edge.client import CONNECT_S, _single_arm
from approxbit.edge.device import Device
from approxbit.edge.exchange import Exchange, RefusedError
from approxbit.engines.questions import IN_WORDS
from approxbit.errors import LinkError
from approxbit.exporting.prepare import prepare_family
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import LatencySLA
from approxbit.server import GrpcServer, Service
from approxbit.server.kept import KeptClips
from approxbit.server.loading import build_service
from approxbit.server.sessions import Sessions
from approxbit.video.writer import write_video
from approxbit.wire import Packet, Text, read_sent
from approxbit.zoo import load_family

QUESTIONS = ["what is red", "is there red?", "how many"]
NAME = "8-NoEnc-L1"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def models(asked_checkpoints: Path) -> dict[str, OffloadedModel]:
    return load_family("asked-tiny", asked_checkpoints)


@pytest.fixture
def service(models: dict[str, OffloadedModel]) -> Service:
    return build_service(models.values(), 1)


@pytest.fixture
def device(asked: str) -> Device:
    """With torch: it can answer by itself."""
    return open_torch_device(asked)


@pytest.fixture
def edge(asked: str, service: Service, device: Device) -> Iterator[approxbit.Edge]:
    with GrpcServer(service) as server:
        address = f"127.0.0.1:{server.port}"
        with approxbit.Edge(f"{asked}/{NAME}", address, device=device) as edge:
            yield edge


def frames_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def expected(models: dict[str, OffloadedModel], seed: int) -> list[str]:
    """What the model says of its code in one process."""
    import torch

    clip = torch.from_numpy(clip_format(models[NAME].backbone).prepare(frames_of(seed)))[None]
    code = models[NAME].codec.encode(models[NAME].edge_half(clip))
    return models[NAME].ask(code, [QUESTIONS])[0]


def whole_says(models: dict[str, OffloadedModel], seed: int) -> list[str]:
    import torch

    backbone: Any = models[NAME].backbone
    clip = torch.from_numpy(clip_format(backbone).prepare(frames_of(seed)))[None]
    return backbone.ask(backbone(clip), [QUESTIONS])[0]


def test_a_clip_crosses_once_and_each_question_has_its_answer(
    edge: approxbit.Edge, models: dict[str, OffloadedModel]
) -> None:
    edge.connect()
    answers = edge.ask(frames_of(0), QUESTIONS)
    assert [each.text for each in answers] == expected(models, 0)
    assert [each.question for each in answers] == QUESTIONS
    assert [each.payload_bytes for each in answers] == [8, 0, 0]
    assert [each.is_late for each in answers] == [False, True, True]
    first, second, _ = answers
    assert first.packet_bytes == 6 + 1 + 2 + len(QUESTIONS[0]) + 8  # header, request, code
    assert second.packet_bytes == 6 + 1 + 1 + 2 + len(QUESTIONS[1])  # header, back, request
    assert second.answer_bytes == 6 + 4 + len(second.text)
    assert (second.arm, second.fell_back, second.reason) == (NAME, False, "")


def test_questions_come_when_the_clip_has_crossed_long_ago(
    edge: approxbit.Edge, models: dict[str, OffloadedModel]
) -> None:
    clips = [edge.send(frames_of(seed)) for seed in range(3)]
    for seed in (2, 0, 1):
        answer = edge.ask(clips[seed], QUESTIONS[1])
        assert (answer.text, answer.is_late) == (expected(models, seed)[1], True)
        again = edge.ask(answer, QUESTIONS[2])  # an answer stands for its clip
        assert (again.text, again.is_late) == (expected(models, seed)[2], True)
    assert edge.ask(clips[0], []) == []


def test_what_the_server_forgot_is_sent_again_with_the_question(
    edge: approxbit.Edge, service: Service, models: dict[str, OffloadedModel]
) -> None:
    service.kept = KeptClips(max_per_client=1)
    frames = frames_of(0)
    first = edge.ask(frames, QUESTIONS[0])
    frames[:] = 0  # the caller's own; the clip stays what it was
    edge.send(frames_of(1))
    again, later = edge.ask(first, QUESTIONS[1:])
    assert [first.text, again.text, later.text] == expected(models, 0)
    assert [each.payload_bytes for each in (first, again, later)] == [8, 8, 0]
    assert again.packet_bytes == (10 + len(QUESTIONS[1])) + (9 + len(QUESTIONS[1]) + 8)  # both messages
    assert not again.is_late


def test_a_clip_of_more_than_255_numbers_ago_is_sent_again(
    edge: approxbit.Edge, models: dict[str, OffloadedModel]
) -> None:
    clip = edge.send(frames_of(0))
    edge._session._sequence += 254
    assert edge.ask(clip, QUESTIONS[0]).is_late
    edge._session._sequence += 1
    answer = edge.ask(clip, QUESTIONS[1])
    assert (answer.text, answer.payload_bytes) == (expected(models, 0)[1], 8)
    assert edge.ask(clip, QUESTIONS[2]).is_late


def test_a_bad_question_is_told_and_the_next_one_is_answered(
    edge: approxbit.Edge, models: dict[str, OffloadedModel]
) -> None:
    with pytest.raises(
        RefusedError, match="the server refuses: request: expected a question of 1 to 20 words"
    ):
        edge.ask(frames_of(0), "red " * 21)
    answer = edge.ask(frames_of(0), QUESTIONS[0])
    assert (answer.text, answer.arm, answer.fell_back) == (expected(models, 0)[0], NAME, False)
    with pytest.raises(LinkError, match="expected a question of 1 to 20 words"):
        edge.ask(answer, "red " * 21)
    assert edge.ask(answer, QUESTIONS[1]).is_late
    for wrong, reason in (
        ("", "expected a question in words, found ''"),
        ("a\x1bb", "no control characters"),
    ):
        with pytest.raises(ValueError, match=reason):
            edge.ask(answer, [QUESTIONS[1], wrong])


def test_windows_of_a_video_are_asked_about_too(
    edge: approxbit.Edge, models: dict[str, OffloadedModel]
) -> None:
    for seed, shift in ((0, 4), (1, 2)):
        answers = [edge.ask(frames_of(seed), QUESTIONS[0], shift)]
        answers += edge.ask(answers[0], QUESTIONS[1:])
        assert [each.text for each in answers] == expected(models, seed)


Make = Callable[..., EdgeSession]


@pytest.fixture
def make(device: Device, patient: SessionPolicy) -> Iterator[Make]:
    sessions = []

    def start(transport: LocalTransport, arm: str = NAME, arms: Any = None) -> EdgeSession:
        arguments = {"policy": patient, "wanted": IN_WORDS}
        lut = _single_arm(device, arm)
        session = EdgeSession(
            arms or device.arms, transport, lut, LatencySLA(1e9), device.clip_format, **arguments
        )
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.close()


def test_a_server_that_forgot_the_session_gets_the_clip_again(
    make: Make, service: Service, models: dict[str, OffloadedModel]
) -> None:
    session = make(LocalTransport(service))
    first = session.answer(frames_of(0), question=Text(QUESTIONS[0]))
    service.sessions, service.kept = Sessions(), KeptClips()  # as after a restart
    assert first.clip is not None
    again = session.ask(first.clip, Text(QUESTIONS[1]))
    later = session.ask(first.clip, Text(QUESTIONS[2]))
    assert [each.text for each in (first, again, later)] == expected(models, 0)
    assert [each.payload_bytes for each in (first, again, later)] == [8, 8, 0]


@pytest.mark.parametrize("arm", ["server-only", "h264-veryslow-crf23"])
def test_a_clip_without_a_code_crosses_once_too(
    arm: str, make: Make, service: Service, models: dict[str, OffloadedModel]
) -> None:
    session = make(LocalTransport(service), arm)
    first = session.answer(frames_of(0), question=Text(QUESTIONS[0]))
    assert first.clip is not None
    later = session.ask(first.clip, Text(QUESTIONS[1]))
    if arm == "server-only":
        assert [first.text, later.text] == whole_says(models, 0)[:2]
    assert (first.arm, first.payload_bytes > 0, later.payload_bytes) == (arm, True, 0)
    service.kept = KeptClips()
    again = session.ask(first.clip, Text(QUESTIONS[1]))
    assert (again.text, again.payload_bytes) == (later.text, first.payload_bytes)


def test_with_torch_the_device_answers_when_the_link_is_down(
    make: Make,
    service: Service,
    device: Device,
    models: dict[str, OffloadedModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport = LocalTransport(service)
    session = make(transport)
    first = session.answer(frames_of(0), question=Text(QUESTIONS[0]))
    transport.is_up = False
    assert first.clip is not None
    (arm,) = (arm for arm in device.arms if isinstance(arm, EdgeOnlyQuestionsArm))
    runs: list[int] = []
    run = arm._whole.run
    monkeypatch.setattr(arm._whole, "run", lambda clip: runs.append(1) or run(clip))
    alone = [session.ask(first.clip, Text(each)) for each in QUESTIONS]
    assert [each.text for each in alone] == whole_says(models, 0)
    assert {(each.arm, each.fell_back, each.packet_bytes) for each in alone} == {("edge-only", True, 0)}
    assert runs == [1]  # the visual tokens are there
    with pytest.raises(ValueError, match="expected a question of 1 to 20 words"):
        session.ask(first.clip, Text("red " * 21))
    unsent = session.answer(frames_of(1), question=Text(QUESTIONS[0])).clip
    transport.is_up = True
    assert session.wait_for_link(60)
    assert unsent is not None
    answer = session.ask(unsent, Text(QUESTIONS[1]))
    assert (answer.text, answer.payload_bytes) == (expected(models, 1)[1], 8)


def test_without_a_head_the_device_says_that_it_cannot_answer(
    make: Make, service: Service, device: Device, models: dict[str, OffloadedModel]
) -> None:
    transport = LocalTransport(service)
    session = make(transport, arms=[arm for arm in device.arms if arm.crosses_link])
    clip = session.answer(frames_of(0)).clip
    transport.is_up = False
    for _ in range(2):
        with pytest.raises(
            LinkError, match="the device cannot answer questions by itself, as its graphs end"
        ):
            session.ask(clip, Text(QUESTIONS[0]))
    transport.is_up = True
    assert session.wait_for_link(60)
    assert session.ask(clip, Text(QUESTIONS[0])).text == expected(models, 0)[0]


def test_an_answer_of_another_kind_is_no_answer(device: Device, service: Service) -> None:
    class Odd:
        """Answers with the likeliest classes, whatever is wanted."""

        def send(self, packet: bytes, timeout_s: float) -> bytes:
            from approxbit.wire import Answer, TopK

            return Answer(read_sent(packet).sequence, TopK((1,), (0.0,))).to_bytes()

    exchange = Exchange(Odd(), device.arms, IN_WORDS)  # type: ignore[arg-type]
    with pytest.raises(approxbit.WireError, match="the answer must hold TEXT, found TOP_K"):
        exchange.answer(device.arm("server-only"), frames_of(0), 0, lambda: 60.0, Text("what"))
    with pytest.raises(ValueError, match="expected a clip that the server has answered before"):
        exchange.ask(SentClip(frames_of(0)), Text("what"), 1, lambda: 60.0)


def test_who_asks_the_wrong_family_is_told(
    edge: approxbit.Edge, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"answers questions: ask\(clip, 'what is red'\) asks one, and send"):
        edge.answer(frames_of(0))
    classifier = open_torch_device(family)
    with approxbit.Edge(f"{family}/8-Enc-B3", edge.server, device=classifier) as other:
        for call in (lambda: other.ask(frames_of(0), "what"), lambda: other.send(frames_of(0))):
            with pytest.raises(ValueError, match="tells classes of clips and answers no questions: answer"):
                call()
        with pytest.raises(LinkError, match=f"it serves another family; start one with .*{family}"):
            other.connect(CONNECT_S)


def test_a_question_in_a_packet_to_a_classifier_is_a_sentence(family: str) -> None:
    service = build_service(load_family(family).values(), 1)
    clip = np.zeros((4, 32, 32, 3), np.uint8)
    from approxbit.wire import Refusal, Request

    fingerprint = service.arms["clip"].fingerprint
    packet = Packet.of_clip(clip, fingerprint, request=Request(Text("what"), IN_WORDS))
    for each in (packet, replace(packet, request=Request(Text("what")))):
        refusal = Refusal.from_bytes(service.answer(each.to_bytes()))
        assert refusal.reason == (
            "request: expected no question, the models here tell classes of clips and answer none"
        )


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 256, (10, 48, 80, 3), np.uint8), frame_rate=8)
    return path


def start_run(*words: object) -> subprocess.CompletedProcess[str]:
    """`approxbit run`, on a device without torch."""
    command = [sys.executable, "-c", BLOCK + "from approxbit.cli import main; main()", "run"]
    return subprocess.run([*command, *map(str, words)], capture_output=True, text=True, env=dict(os.environ))


def test_a_video_file_is_asked_about_by_command_and_as_readme_says(
    asked: str, video: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes: `approxbit serve`, and a device with ONNX Runtime that has no torch."""
    monkeypatch.setenv("APPROXBIT_CACHE", str(cache))
    prepare_family(asked, cache=cache, configurations=[NAME])
    monkeypatch.chdir(video.parent)
    command = [sys.executable, "-m", "approxbit", "serve", "--family", asked, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            address = f"127.0.0.1:{json.loads(server.stdout.readline())['port']}"
            words = ("--family", f"{asked}/{NAME}", "--server", address)
            asking = ("--ask", QUESTIONS[0], "--ask", "red " * 21, "--ask", QUESTIONS[1])
            told = start_run(video.name, *words, *asking, "--json")
            shown = start_run(video.name, *words, *asking)
            (line,) = re.findall(r"`(edge\.ask\(edge\.send\(.+?)`", README.read_text())
            with approxbit.Edge(f"{asked}/{NAME}", address) as edge:
                said = eval(line, {"edge": edge})
        finally:
            server.kill()
    assert told.returncode == shown.returncode == 1
    assert "clip.mp4: 'red red red" in told.stderr
    assert "the server refuses: request: expected a question of 1 to 20 words" in told.stderr
    first, second = map(json.loads, told.stdout.splitlines())
    assert (first["question"], second["question"]) == (QUESTIONS[0], QUESTIONS[1])
    assert (first["payload_bytes"], second["payload_bytes"]) == (8, 0)
    assert (first["is_late"], second["is_late"], first["backend"][:11]) == (False, True, "onnxruntime")
    assert said == first["answer"]
    pattern = (
        rf"clip.mp4: {QUESTIONS[0]} -> {first['answer']}, {NAME}, 8 bytes of code, 20 bytes of question, "
        rf"{first['answer_bytes']} of answer, [\d.]+ ms\n"
        rf"clip.mp4: {re.escape(QUESTIONS[1])} -> {second['answer']}, {NAME}, 23 bytes of question, .*\n"
    )
    assert re.fullmatch(pattern, shown.stdout), shown.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "asked-tiny answers questions: ask one with --ask 'what is red', or several, each so"),
        (("--ask", " "), "expected a question in words, found ' '"),
        (("--ask", "a\x07"), "text: expected no control characters, found 'a\\x07'"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence_before_anything_starts(
    words: tuple[str, ...], reason: str, asked: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main(["run", str(video), "--family", asked, *words])
    assert capsys.readouterr().err == f"approxbit: {reason}\n"


def test_a_classifier_is_asked_nothing(family: str, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main(["run", str(video), "--family", family, "--ask", "what is red"])
    assert capsys.readouterr().err.startswith(
        "approxbit: digits-tiny tells classes of clips and answers no questions: leave --ask out, or name"
    )
