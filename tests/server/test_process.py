"""A real server process, its life and its death."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from approxbit.edge import EdgeSession, GrpcTransport, ProbePolicy, SessionPolicy
from approxbit.edge.device import all_arms
from approxbit.errors import LinkError
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import torch_whole
from approxbit.select import LUT, AccuracySLA, LatencySLA, LUTRow
from approxbit.server import GrpcServer, ServerProcess
from approxbit.server.__main__ import main
from approxbit.server.loading import build_service
from approxbit.wire import AnswerKind, Logits, Wanted

PATIENCE_S = 120.0
TABLE = LUT(
    (
        LUTRow("5-Enc-B3", 30_000, 0, 100, 0, 0, accuracy=80),
        LUTRow("4-NoEnc-B2", 40_000, 0, 500, 0, 0, accuracy=90),
        LUTRow("server-only", 50_000, 0, 12288, 0, 0, accuracy=95),
    ),
    *("nothing measured", "torch", "2026-01-01", 1),
)
PATIENT = SessionPolicy(
    timeout_s=PATIENCE_S,
    first_retry_s=0.05,
    longest_retry_s=0.5,
    probes=ProbePolicy(timeout_s=PATIENCE_S, every_s=3600),
)


def make_session(models: dict[str, OffloadedModel], transport: GrpcTransport) -> EdgeSession:
    whole = torch_whole(models["5-Enc-B3"].backbone)
    arms = all_arms(whole, [model.edge_runner() for model in models.values()])
    wanted = Wanted(AnswerKind.LOGITS, 0)
    clip_format = whole.clip_format
    return EdgeSession(arms, transport, TABLE, LatencySLA(45_000), clip_format, policy=PATIENT, wanted=wanted)


def random_frames(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_a_session_outlives_its_server(checkpoints: Path, models: dict[str, OffloadedModel]) -> None:
    """All arms of a family, a server process killed in the middle, another server on the same port."""
    process = ServerProcess("toy", checkpoints=checkpoints)
    with process, GrpcTransport(process.address) as transport, make_session(models, transport) as session:
        answers = [session.answer(random_frames(0))]
        session.sla = LatencySLA(35_000)
        answers.append(session.answer(random_frames(1)))
        session.sla = AccuracySLA(95)
        answers.append(session.answer(random_frames(2)))
        port = process.port
        process.kill()
        assert not process.is_running
        answers += [session.answer(random_frames(number)) for number in (3, 4)]
        with GrpcServer(build_service(models.values()), port):
            assert session.wait_for_link(PATIENCE_S)
            answers.append(session.answer(random_frames(5)))
    assert [answer.sequence for answer in answers] == [0, 1, 2, 3, 4, 5]
    arms = ["4-NoEnc-B2", "5-Enc-B3", "server-only", "edge-only", "edge-only", "server-only"]
    assert [answer.arm for answer in answers] == arms
    assert [answer.fell_back for answer in answers] == [False, False, False, True, True, False]
    whole = torch_whole(models["5-Enc-B3"].backbone)
    for answer in answers[2:]:
        expected = whole.run(whole.clip_format.prepare(random_frames(answer.sequence))).logits
        assert isinstance(answer.answer, Logits)
        np.testing.assert_allclose(answer.answer.values, expected, rtol=1e-4, atol=1e-5)


def test_the_command_line_names_an_unknown_family(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["approxbit.server", "--family", "nothing", "--checkpoints", str(checkpoints)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match=r"approxbit.server: .*'nothing'"):  # one line and no traceback
        main()


SERVE = """
import sys
from approxbit.processes import serve_until_told
from approxbit.server.grpc_server import GrpcServer
from approxbit.server.service import Service
from approxbit.tasks import Classification
serve_until_told(GrpcServer(Service([], Classification.of_names())), "bound" in sys.argv)
print("ended well", file=sys.stderr)
"""


def start_bare_server(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVE, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert '"port"' in process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_well_when_it_is_told(number: signal.Signals) -> None:
    with start_bare_server() as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, "ended well\n")


def test_a_server_bound_to_its_input_ends_with_it() -> None:
    with start_bare_server("bound") as process:
        _, errors = process.communicate("", timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, "ended well\n")


def test_a_server_does_not_outlive_a_parent_that_is_killed() -> None:
    parent_code = (
        "import sys, time; from approxbit.processes import ListeningProcess\n"
        f"server = ListeningProcess([sys.executable, '-c', {SERVE!r}, 'bound'], 'it'); server.start()\n"
        "print(server.port, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        address = f"127.0.0.1:{int(parent.stdout.readline())}"
        with GrpcTransport(address) as transport:
            assert transport.ping(PATIENCE_S) > 0
            parent.kill()
            assert is_gone(transport)


def is_gone(transport: GrpcTransport) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            transport.ping(PATIENCE_S)
        except LinkError:
            return True
    return False
