"""A server in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, Queue
from typing import IO, Any

from approxbit.errors import LinkError, LinkTimeoutError

START_TIMEOUT_S = 120.0
NUM_LAST_LINES = 20


class ServerProcess:
    """Starts a server, knows its port, and ends it.

    The server is a fresh interpreter, not a fork: gRPC and torch both keep threads that do not survive one.
    It also ends when this process dies without a word, because the pipe to its standard input closes then.

    Args:
        command: What to run. It must print one line of JSON with its `port` to standard output, and end when
            its standard input does (`approxbit.server.life`).
        start_timeout_s: How long the port may take to come.
    """

    def __init__(self, command: Sequence[str], start_timeout_s: float = START_TIMEOUT_S):
        self.command = list(command)
        self.start_timeout_s = start_timeout_s
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: deque[str] = deque(maxlen=NUM_LAST_LINES)
        self._readers: list[threading.Thread] = []

    @classmethod
    def for_family(
        cls,
        family: str,
        port: int = 0,
        num_threads: int = 1,
        checkpoints: str | os.PathLike[str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> ServerProcess:
        """A server of all configurations of a family of the zoo.

        Args:
            family: Such as `digits-movinet`.
            port: 0 for any free port.
            num_threads: Threads for each operator of the model.
            checkpoints: The zoo's folder, by default the one that `approxbit.load` finds.
            start_timeout_s: How long loading and listening may take.
        """
        options = {"--family": family, "--port": port, "--threads": num_threads, "--checkpoints": checkpoints}
        words = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        command = [sys.executable, "-m", "approxbit.server", "--ends-with-stdin", *words]
        return cls(command, start_timeout_s)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """`host:port` of the server, for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it has said its port.

        Raises:
            LinkTimeoutError: The port did not come within `start_timeout_s`; the process is ended.
            LinkError: The process ended, or printed something else. Both messages end with the last lines
                that it wrote to standard error.
        """
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        first_line: Queue[str] = Queue()
        self._readers = [
            _in_background(_read_stdout, self._process.stdout, first_line),
            _in_background(_read_stderr, self._process.stderr, self._last_lines),
        ]
        try:
            self.port = _port_of(first_line.get(timeout=self.start_timeout_s))
        except Empty:
            self.kill()
            message = f"the server did not say its port within {self.start_timeout_s} s"
            raise LinkTimeoutError(message + self._story()) from None
        except ValueError as error:
            self.kill()
            raise LinkError(f"the server did not come up: {error}" + self._story()) from error

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the process to end, and end it when it has not done so after `timeout_s`."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process = None

    def _story(self) -> str:
        if not self._last_lines:
            return "; it wrote nothing to standard error"
        return "; its last lines were:\n" + "".join(self._last_lines).rstrip()


def _in_background(function: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def _read_stdout(stream: IO[str], first_line: Queue[str]) -> None:
    first_line.put(stream.readline())
    for _ in stream:  # a full pipe would stop the server
        pass


def _read_stderr(stream: IO[str], last_lines: deque[str]) -> None:
    for line in stream:
        last_lines.append(line)


def _port_of(line: str) -> int:
    if not line:
        raise ValueError("it ended before it said its port")
    try:
        port = json.loads(line)["port"]
    except (ValueError, KeyError, TypeError):
        port = None
    if not isinstance(port, int):
        raise ValueError(f"expected a line of JSON with a 'port', found {line[:200]!r}")
    return port
