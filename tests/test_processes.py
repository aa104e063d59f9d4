"""Real child processes: how they start, talk and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from approxbit import processes
from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.processes import ChildProcess, ListeningProcess

LONG_S = 120.0


def child(text: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", text], "the child")


def listener(text: str, patience_s: float = LONG_S) -> ListeningProcess:
    return ListeningProcess([sys.executable, "-c", text], "the server", patience_s)


def wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONG_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # nobody may be there to collect an orphan


ECHO = """
import sys
from queue import Queue
from approxbit.processes import follow_parent, say
orders = Queue()
follow_parent(orders.put, lambda: orders.put(None))
while (order := orders.get()) is not None:
    say(echo=order)
"""


def test_orders_go_in_and_events_come_out() -> None:
    with child(ECHO) as process:
        process.send(path=Path("a/b"), number=1.5, text="Käse\r\n", none=None)
        expected = {"path": "a/b", "number": 1.5, "text": "Käse\r\n", "none": None}
        assert process.receive() == {"echo": expected}
        long = ["x" * 1000] * 2000
        for _ in range(3):
            process.send(long=long)
        assert [process.receive() for _ in range(3)] == [{"echo": {"long": long}}] * 3
        assert process.is_running
        pid = process.pid
        assert pid is not None
        assert os.getsid(pid) == pid  # an interrupt from the keyboard does not reach it
    assert (process.pid, process.is_running) == (None, False)
    assert is_gone(pid)


def test_a_child_that_has_ended_says_why_each_time() -> None:
    with child("import sys; sys.exit('first line\\nno such family')") as process:
        for _ in range(2):
            message = (
                "the child has ended with exit code 1; its last lines were:\nfirst line\nno such family$"
            )
            with pytest.raises(LinkError, match=message):
                process.receive()
        with pytest.raises(LinkError, match="the child has ended with exit code 1"):
            process.send(number=1)


def test_a_child_that_computes_and_says_nothing_is_not_waited_for_longer_than_asked() -> None:
    with child("print('{}', flush=True)\nwhile True: pass") as process:
        assert process.receive(within_s=LONG_S) == {}
        message = r"the child said nothing for 0\.2 s; it wrote nothing to standard error"
        with pytest.raises(LinkTimeoutError, match=message):
            process.receive(within_s=0.2)
        assert process.is_running


def test_a_child_inherits_the_files_that_are_named() -> None:
    mine, theirs = os.pipe()
    command = [sys.executable, "-c", f"import os; os.write({theirs}, b'hello'); print('{{}}')"]
    with processes.ChildProcess(command, "the child", files=[theirs]) as process:
        assert process.receive() == {}
        assert os.read(mine, 9) == b"hello"
    os.close(mine)
    os.close(theirs)


def test_what_was_said_before_the_end_is_still_heard() -> None:
    with child("print('{\"a\": 1}'); print('{\"a\": 2}', end='')") as process:
        assert [process.receive()["a"] for _ in range(2)] == [1, 2]
        with pytest.raises(LinkError, match="has ended with exit code 0; it wrote nothing to standard error"):
            process.receive()


def test_only_the_last_lines_are_told() -> None:
    server = listener("import sys; [print('line', n, file=sys.stderr) for n in range(100)]")
    with pytest.raises(LinkError, match=r"its last lines were:\nline 80\n(.|\n)*line 99$"):
        server.start()


def test_a_child_that_was_not_started_takes_and_says_nothing() -> None:
    process = child("")
    for talk in (process.send, process.receive):
        with pytest.raises(LinkError, match="the child is not running"):
            talk()
    process.stop()
    process.kill()
    with pytest.raises(RuntimeError, match=r"the server has no port before start\(\) or after stop\(\)"):
        _ = listener("").port


@pytest.mark.parametrize("line", ["hello", '{"port": NaN}', "[1]", '{"port": 1, "port": 1}', "\ud800"])
def test_a_line_that_is_no_object_is_refused(line: str) -> None:
    said = line.encode(errors="surrogatepass") + b"\n"
    with child(f"import sys; sys.stdout.buffer.write({said!r})") as process:
        message = r"^the child said '.*': expected"
        with pytest.raises(LinkError, match=message):
            process.receive()


@pytest.mark.parametrize("line", ['{"port": "x"}', '{"port": true}', '{"port": 65536}', '{"port": 0}', "{}"])
def test_a_server_that_says_no_port_is_ended(line: str) -> None:
    server = listener(f"print({line!r}, flush=True); import time; time.sleep(600)")
    with pytest.raises(LinkError, match=r"^the server said \{.*\}: expected its 'port'; it wrote nothing"):
        server.start()
    assert not server.is_running


def test_a_server_can_be_started_again() -> None:
    text = "import os, time; print('{\"port\": %d}' % (os.getpid() % 65000 + 1), flush=True); time.sleep(600)"
    server = listener(text)
    server.start()
    first = server.pid
    assert first is not None
    assert server.address == f"127.0.0.1:{first % 65000 + 1}"
    server.start()
    assert is_gone(first)
    assert server.pid is not None
    assert server.port == server.pid % 65000 + 1
    server.stop()


def test_a_start_that_is_interrupted_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    server, pids = listener("import time; time.sleep(600)"), []

    def interrupt(*, is_patient: bool) -> None:
        pids.append(server.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert is_gone(pids[0])


BUSY = "import time\nwhile time.process_time() < 2.2: pass\n"
PORT = "print('{\"port\": 7}', flush=True); time.sleep(600)"
SLOW = {
    "computes": BUSY + PORT,
    "has a child that computes": (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {BUSY!r}]); {PORT}"
    ),
    "tells of its progress": (
        "import sys, time\n"
        "for n in range(12): time.sleep(0.2); print(n, end='\\r', file=sys.stderr, flush=True)\n" + PORT
    ),
}


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_start_is_waited_for_while_it_gets_on(how: str) -> None:
    started = time.monotonic()
    with listener(SLOW[how], patience_s=1.5) as server:
        assert server.port == 7
    assert time.monotonic() - started > 2


STUCK = {
    "sleeps": "import time; time.sleep(600)",
    "only looks around": "import time\nwhile True: time.sleep(0.02)",
}


@pytest.mark.parametrize("how", STUCK)
def test_a_start_that_gets_nowhere_is_ended(how: str) -> None:
    server = listener(STUCK[how], patience_s=1)
    message = "the server said nothing and made no progress for 1 s; it wrote nothing to standard error"
    with pytest.raises(LinkTimeoutError, match=message):
        server.start()
    assert not server.is_running


def test_where_no_cpu_time_can_be_seen_a_start_has_a_generous_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROCESSES", tmp_path)
    monkeypatch.setattr(processes, "BLIND_PATIENCE_S", 0.7)
    with pytest.raises(LinkTimeoutError, match=r"made no progress for 0\.7 s"):
        listener("import time; time.sleep(600)", patience_s=0.1).start()


def test_what_a_server_says_after_its_port_neither_stops_it_nor_is_kept(tmp_path: Path) -> None:
    text = (
        "import time; print('{\"port\": 7}', flush=True)\n"
        "for _ in range(20_000): print('x' * 99); print('{\"port\": 8}')\n"
        f"open({str(tmp_path / 'done')!r}, 'w'); time.sleep(600)"
    )
    with listener(text) as server:
        assert wait_until((tmp_path / "done").exists)
        assert server.port == 7
        assert server._heard.qsize() == 0


def test_a_server_that_will_not_stop_is_killed() -> None:
    server = listener("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + PORT)
    server.start()
    pid = server.pid
    assert pid is not None
    server.stop(timeout_s=0.2)
    assert is_gone(pid)


def test_a_kill_also_ends_what_the_child_has_started() -> None:
    text = (
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('{\"pid\": %d}' % inner.pid, flush=True); time.sleep(600)"
    )
    process = child(text)
    process.start()
    pid = process.receive()["pid"]
    assert not is_gone(pid)
    process.kill()
    assert wait_until(lambda: is_gone(pid))


SERVE = """
import sys
from approxbit.processes import serve_until_told

class Server:
    port = 7
    def __enter__(self): pass
    def __exit__(self, *exception): print("ended well", file=sys.stderr)

serve_until_told(Server(), "bound" in sys.argv)
"""


def start_server(*arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f'{{"port": 7, "pid": {process.pid}}}\n'
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_well_when_it_is_told(number: signal.Signals) -> None:
    with start_server() as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=LONG_S)
        assert (process.returncode, errors) == (0, "ended well\n")


def test_a_server_bound_to_its_input_ends_with_it() -> None:
    with start_server("bound") as process:
        _, errors = process.communicate('{"anything": 1}\n', timeout=LONG_S)
        assert (process.returncode, errors) == (0, "ended well\n")


def test_an_order_that_is_no_json_ends_a_server_with_a_word_on_it() -> None:
    with start_server("bound") as process:
        assert process.stdin is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.wait(LONG_S) == 0
        assert process.stderr is not None
        errors = process.stderr.read()
    assert "LinkError: an order: expected JSON" in errors
    assert errors.endswith("ended well\n")


def test_a_signal_that_comes_before_the_wait_is_not_lost() -> None:
    text = (
        "import os, signal; from approxbit.processes import EndOfLife\n"
        "end = EndOfLife(); os.kill(os.getpid(), signal.SIGTERM); end.wait(); print('{}')"
    )
    with child(text) as process:
        assert process.receive() == {}


def test_another_signal_ends_nothing() -> None:
    text = (
        "import os, signal; from approxbit.processes import EndOfLife, say\n"
        "signal.signal(signal.SIGUSR1, lambda *_: say(said='ouch'))\n"
        "end = EndOfLife(); os.kill(os.getpid(), signal.SIGUSR1); say(said='waits')\n"
        "end.wait(); say(said='ends')"
    )
    with child(text) as process:
        assert {process.receive()["said"] for _ in range(2)} == {"ouch", "waits"}
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        assert process.receive() == {"said": "ends"}


def test_a_child_does_not_outlive_a_parent_that_is_killed() -> None:
    parent_text = (
        "import sys, time; from approxbit.processes import ListeningProcess\n"
        f"server = ListeningProcess([sys.executable, '-c', {SERVE!r}, 'bound'], 'the server')\n"
        "server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_text], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    assert wait_until(lambda: is_gone(pid))
