"""Child processes that talk in lines of JSON and end with their parent.

The parent's side is `ChildProcess`: it starts a command, hears what it says on standard output, sends it
orders on standard input, and ends it. The child's side is `say`, `follow_parent` and `serve_until_told`: when
its standard input ends, nobody is left who could tell it to stop, and it stops by itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any, Dict, Protocol

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.files import from_json, parse_json

PATIENCE_S = 60.0
BLIND_PATIENCE_S = 600.0
PROGRESS_CPU_S = 0.1  # more than threads take that only look whether there is something to do
NUM_LAST_LINES = 20

_PROCESSES = Path("/proc")
_POLL_S = 0.5
_FAREWELL_S = 5.0
_END = 0  # in the pipe of `EndOfLife`, where signals are their numbers
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ChildProcess:
    """A command in a process of its own; a context manager that starts and ends it.

    It is a fresh interpreter, not a fork: gRPC and torch both keep threads that do not survive one. It has a
    session of its own: an interrupt from the keyboard reaches only this process, which then ends it.

    Args:
        command: What to run. It should end when its standard input does: see `follow_parent`.
        name: What messages call it, such as `the server`.
        patience_s: How long it may go without progress where something is waited for. Progress is a tenth of
            a second of CPU time, its own children's included, or anything on standard error: a slow start is
            waited for as long as it takes. Where CPU time cannot be seen (there is no /proc), the process has
            at least 600 s.
        files: Descriptors that the process inherits, by the same numbers.
    """

    _max_heard: int | None = None  # lines of standard output that are kept until `receive` takes them

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        patience_s: float = PATIENCE_S,
        files: Sequence[int] = (),
    ):
        self.command = list(command)
        self.name = name
        self.patience_s = patience_s
        self.files = tuple(files)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard: Queue[bytes | None] = Queue()
        self._errors = _LastLines()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; one that runs already is stopped."""
        self.stop()
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command, 0, None, pipe, pipe, pipe, start_new_session=True, pass_fds=self.files
        )
        self._process, self._heard, self._errors = process, Queue(), _LastLines()
        self._readers = [
            _in_background(_keep_lines, process.stdout, self._heard, self._max_heard),
            _in_background(self._errors.read, process.stderr),
        ]

    def send(self, **facts: Any) -> None:
        """Send an order, one line of JSON; paths cross as text.

        Raises:
            LinkError: The process has ended, or was never started.
        """
        line = json.dumps(facts, default=os.fspath, allow_nan=False).encode() + b"\n"
        try:
            if self._process is None or self._process.stdin is None:
                raise LinkError(f"{self.name} is not running")
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def receive(self, is_patient: bool = True, within_s: float | None = None) -> dict[str, Any]:
        """Wait for the next line of JSON that the process says.

        Args:
            is_patient: Whether to wait for as long as it lives, not just for as long as it makes progress.
            within_s: Wait no longer than this, whatever progress it makes; `is_patient` says nothing then.

        Raises:
            LinkTimeoutError: The process made no progress for `patience_s`, or said nothing for `within_s`.
            LinkError: It has ended, or said something else. All messages end with the last lines that it
                wrote to standard error.
        """
        if self._process is None:
            raise LinkError(f"{self.name} is not running")
        if is_patient or within_s is not None:
            line = self._hear(within_s)
        else:
            line = self._hear_while_it_gets_on(self._process.pid)
        if line is None:
            self._heard.put(None)
            raise self._ended()
        source = f"{self.name} said {line[:200].decode(errors='replace')!r}"
        return from_json(Dict[str, Any], parse_json(line, source, LinkError), source, LinkError)

    def _hear(self, within_s: float | None) -> bytes | None:
        try:
            return self._heard.get(timeout=within_s)
        except Empty:
            message = f"{self.name} said nothing for {within_s:g} s"
            raise LinkTimeoutError(message + self._errors.story()) from None

    def _hear_while_it_gets_on(self, session: int) -> bytes | None:
        progress = _Progress(session, self._errors, self.patience_s)
        while True:
            try:
                return self._heard.get(timeout=min(_POLL_S, self.patience_s))
            except Empty:
                if progress.is_missing():
                    message = f"{self.name} said nothing and made no progress for {progress.patience_s:g} s"
                    raise LinkTimeoutError(message + self._errors.story()) from None

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the process to end, and end it when it has not done so after `timeout_s`; safe at any time."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the process at once, as a crash would, and what it has started; safe at any time."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for reader in self._readers:
            reader.join(_FAREWELL_S)  # what the process has started may hold its pipes open
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _ended(self) -> LinkError:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_S)
        self._readers[1].join(_FAREWELL_S)
        code = self._process.poll()
        how = "has closed its pipes" if code is None else f"has ended with exit code {code}"
        return LinkError(f"{self.name} {how}{self._errors.story()}")


class ListeningProcess(ChildProcess):
    """A child process that listens on a port of this machine, and says which in its first line of JSON."""

    _max_heard = 1

    def __init__(self, command: Sequence[str], name: str, patience_s: float = PATIENCE_S):
        super().__init__(command, name, patience_s)
        self._port = 0

    @property
    def port(self) -> int:
        """Where the process listens on 127.0.0.1.

        Raises:
            RuntimeError: It was not started, or was stopped.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} has no port before start() or after stop()")
        return self._port

    @property
    def address(self) -> str:
        """`host:port` of the process, for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it has said its port.

        Raises:
            LinkTimeoutError: It made no progress for `patience_s`, and is ended.
            LinkError: It has ended, or said something else. Both messages end with the last lines that it
                wrote to standard error.
        """
        super().start()
        try:
            said = self.receive(is_patient=False)
            self._port = said.get("port", 0)
            if type(self._port) is not int or not 0 < self._port < 65536:
                raise LinkError(f"{self.name} said {said}: expected its 'port'{self._errors.story()}")
        except BaseException:
            self.kill()
            raise


class _LastLines:
    """The last lines of a stream, and how much came on it."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._lines: deque[str] = deque(maxlen=NUM_LAST_LINES)

    def read(self, stream: IO[bytes]) -> None:
        for line in _lines_of(stream, self._count):
            self._lines.append(line.decode(errors="replace").rstrip())

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes

    def story(self) -> str:
        if not self._lines:
            return "; it wrote nothing to standard error"
        return "; its last lines were:\n" + "\n".join(self._lines)


class _Progress:
    """Sees whether a process gets anywhere."""

    def __init__(self, session: int, errors: _LastLines, patience_s: float):
        self._session = session
        self._errors = errors
        self._cpu_s = _cpu_seconds(session)
        self._num_bytes = errors.num_bytes
        self._since_s = time.monotonic()
        self.patience_s = patience_s
        if not (_PROCESSES / "self" / "stat").exists():
            self.patience_s = max(patience_s, BLIND_PATIENCE_S)

    def is_missing(self) -> bool:
        cpu_s, num_bytes = _cpu_seconds(self._session), self._errors.num_bytes
        self._cpu_s = min(self._cpu_s, cpu_s)  # less where one of several processes has ended
        if cpu_s - self._cpu_s >= PROGRESS_CPU_S or num_bytes != self._num_bytes:
            self._cpu_s, self._num_bytes, self._since_s = cpu_s, num_bytes, time.monotonic()
        return time.monotonic() - self._since_s > self.patience_s


def _cpu_seconds(session: int) -> float:
    """CPU time of all processes of a session, by Linux's `/proc`; 0 elsewhere."""
    ticks = 0
    for path in _PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it may have ended
            fields = path.read_bytes().rpartition(b")")[2].split()  # its name may hold anything
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))  # user and system, its own and of children that ended
    return ticks / os.sysconf("SC_CLK_TCK")


def _in_background(function: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def _keep_lines(stream: IO[bytes], kept: Queue[bytes | None], maximum: int | None) -> None:
    for number, line in enumerate(_lines_of(stream)):  # all are read: a full pipe would stop the process
        if maximum is None or number < maximum:
            kept.put(line)
    kept.put(None)


def _lines_of(stream: IO[bytes], count: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Lines that are not empty, as soon as they are whole; closes the stream at its end."""
    rest = b""
    with stream:
        while data := os.read(stream.fileno(), 1 << 16):
            count(len(data))
            first, *others = re.split(rb"[\r\n]", data)
            rest += first
            for each in others:
                if rest:
                    yield rest
                rest = each
    if rest:
        yield rest


def say(**facts: Any) -> None:
    """Say one line of JSON to the parent; paths cross as text."""
    sys.stdout.write(json.dumps(facts, default=os.fspath, allow_nan=False) + "\n")
    sys.stdout.flush()


def follow_parent(take: Callable[[dict[str, Any]], object], at_end: Callable[[], object]) -> None:
    """Read the parent's orders from standard input, in a thread of their own.

    Args:
        take: Called with each order, a line of JSON.
        at_end: Called when standard input has ended: the parent is gone, or wants this process to go.
    """
    _in_background(_follow, take, at_end)


def _follow(take: Callable[[dict[str, Any]], object], at_end: Callable[[], object]) -> None:
    try:
        # A reader of `sys.stdin` would hold its lock while Python shuts down.
        with open(os.dup(0), "rb", buffering=0) as stream:
            for line in _lines_of(stream):
                order = parse_json(line, "an order", LinkError)
                take(from_json(Dict[str, Any], order, "an order", LinkError))
    except Exception:
        traceback.print_exc()
    finally:
        at_end()


class EndOfLife:
    """Notices SIGTERM, SIGINT and, where that is asked for, the end of standard input.

    It must be made in the main thread, and before anybody may send a signal: before a server says its port.

    Args:
        is_bound_to_stdin: Whether the end of standard input counts: its writer, the parent, is gone then.
        take: Called with each order on standard input, where it counts.
    """

    def __init__(
        self, is_bound_to_stdin: bool = False, take: Callable[[dict[str, Any]], object] = lambda _: None
    ):
        # A signal is written into the pipe as it comes, before Python's handler: one that comes just before
        # `wait` is not lost, as it would be before the wait for an event.
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        if is_bound_to_stdin:
            follow_parent(take, lambda: os.write(tell, bytes([_END])))

    def wait(self) -> None:
        """Return once it has come, however long ago."""
        while not set(os.read(self._told, 64)) & {_END, *_SIGNALS}:
            pass  # another signal


class _Server(Protocol):
    @property
    def port(self) -> int: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *exception: Any) -> None: ...


def serve_until_told(server: _Server, is_bound_to_stdin: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; must be called in the main thread.

    Says `{"port": 50051, "pid": 4711}` when calls are taken.

    Args:
        server: Not started yet; a context manager that is.
        is_bound_to_stdin: Also stop when standard input ends.
    """
    end = EndOfLife(is_bound_to_stdin)
    with server:
        say(port=server.port, pid=os.getpid())
        end.wait()
