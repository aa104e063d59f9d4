import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from approxbit.errors import LinkError
from approxbit.link import RelayProcess, Trace
from approxbit.link.relay.__main__ import main

COMMAND = [sys.executable, "-m", "approxbit.link.relay"]


@pytest.fixture
def target():
    """The `host:port` of a server that echoes until the client ends its stream."""
    server = socket.create_server(("127.0.0.1", 0))
    threads = []

    def echo(connection):
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=echo, args=(server.accept()[0],)))
                threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[-1].start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join(timeout=5)


def round_trip(port, data):
    """Send `data` and wait until as much has come back; returns the seconds that took."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        started = time.monotonic()
        client.sendall(data)
        answer = b""
        while len(answer) < len(data):
            part = client.recv(65536)
            assert part, "the relay closed too early"
            answer += part
        assert answer == data
        return time.monotonic() - started


def test_the_process_relays_and_shapes_and_is_gone_afterwards(target):
    data = os.urandom(60_000)
    relay = RelayProcess(target, Trace.constant(8), downlink_trace=Trace.constant(1000), delay_ms=5)
    with relay:
        assert relay.address == f"127.0.0.1:{relay.port}"
        assert 0.0699 < round_trip(relay.port, data) < 0.7
        pid = relay.pid
    assert relay.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match=r"no port before start\(\) or after stop\(\)"):
        _ = relay.port
    with pytest.raises(LinkError, match="the relay process is not running"):
        relay.restart_clock()


def test_the_trace_begins_with_the_first_byte_and_can_begin_again(target):
    with RelayProcess(target, Trace((0, 0.2), (0, 1000))) as relay:
        assert round_trip(relay.port, bytes(4000)) > 0.1999
        round_trip(relay.port, bytes(4000))
        relay.restart_clock()
        time.sleep(0.05)  # the message and the bytes take different ways
        assert round_trip(relay.port, bytes(4000)) > 0.1


def test_a_target_that_is_not_there_is_told_in_the_words_of_the_process():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            LinkError,
            match=f"relay process has ended with exit code 1; .*:\nthe relay cannot reach its target {gone}",
        ):
            RelayProcess(gone, Trace.constant(8)).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_0(target, number, tmp_path):
    Trace.constant(8).save(tmp_path / "trace")
    arguments = ["--target", target, "--trace", str(tmp_path / "trace"), "--loop"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        port = json.loads(process.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port)):
            started = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=10) == 0
    assert time.monotonic() - started < 5


def test_the_process_ends_when_its_parent_is_killed(target):
    script = (
        "import sys, time\n"
        "from approxbit.link import RelayProcess, Trace\n"
        "relay = RelayProcess(sys.argv[1], Trace.figure9(segment_s=1))\n"
        "relay.start()\n"
        "print(relay.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, target], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, "the relay outlived its parent"
        time.sleep(0.02)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"  # no one may be there to collect an orphan
    except OSError:
        return False


def test_what_is_wrong_with_the_arguments_is_told_on_stderr(capsys, tmp_path):
    assert main(["--target", "nowhere", "--trace", "figure9", "--segment-seconds", "1"]) == 1
    assert "expected an address such as '127.0.0.1:50051', found 'nowhere'" in capsys.readouterr().err
    assert main(["--target", "127.0.0.1:1", "--trace", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
