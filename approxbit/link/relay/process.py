"""The relay as a process of its own: no event loop or interpreter shared with the caller."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import List, Optional

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.link.trace import Trace


class RelayProcess:
    """Starts `python -m approxbit.link.relay` on entry and ends it on exit.

    The process also ends when this one does, whatever the reason: it watches its standard input.

    Args:
        target: `host:port` of the server.
        trace: The uplink's bandwidth.
        downlink_trace: The downlink's; None for no limit.
        delay_ms: One-way delay of either direction.
        starts_at_launch: Whether the trace's clock starts at once, not with the first byte.
        start_timeout_s: How long the process may take to listen.

    Example:
        with RelayProcess("127.0.0.1:50051", Trace.figure9(segment_s=10)) as relay:
            ...  # connect to relay.address
    """

    def __init__(
        self,
        target: str,
        trace: Trace,
        downlink_trace: Optional[Trace] = None,
        delay_ms: float = 0.0,
        starts_at_launch: bool = False,
        start_timeout_s: float = 20.0,
    ):
        self._target = target
        self._traces = {"--trace": trace, "--downlink-trace": downlink_trace}
        self._options = ["--delay-ms", repr(float(delay_ms))]
        self._options += ["--starts-at-launch"] * starts_at_launch
        self._start_timeout_s = start_timeout_s
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._port = 0

    @property
    def port(self) -> int:
        """Where the relay listens on 127.0.0.1."""
        if self._process is None:
            raise RuntimeError("the relay process has no port before start() or after stop()")
        return self._port

    @property
    def address(self) -> str:
        """`host:port` of the relay, for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> Optional[int]:
        """The process; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            LinkError: It could not listen, or could not reach its target. The message is the process's own.
            LinkTimeoutError: It was not ready within `start_timeout_s`.
        """
        self.stop()
        with tempfile.TemporaryDirectory(
            prefix="approxbit-relay-"
        ) as folder, tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-m", "approxbit.link.relay", "--target", self._target]
            command += ["--ends-with-stdin", *self._options, *self._save_traces(folder)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0
            )
            try:
                self._port = json.loads(self._read_line())["port"]
            except BaseException as error:
                self.stop()
                errors.seek(0)
                text = errors.read().decode(errors="replace").strip()
                if isinstance(error, ValueError):  # an empty line: the process has ended
                    raise LinkError(f"the relay process did not start: {text}") from error
                raise

    def stop(self) -> None:
        """End the process; safe to call at any time."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def restart_clock(self) -> None:
        """Let the traces begin now, whether or not they run already.

        Raises:
            LinkError: The process has ended.
        """
        try:
            if self._process is None or self._process.stdin is None:
                raise BrokenPipeError("it is not running")
            self._process.stdin.write(b"restart\n")
        except OSError as error:
            raise LinkError(f"the relay process cannot restart its clock: {error}") from error

    def __enter__(self) -> "RelayProcess":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _save_traces(self, folder: str) -> List[str]:
        options = []
        for option, trace in self._traces.items():
            if trace is not None:
                path = os.path.join(folder, option.strip("-"))
                trace.save(path)
                options += [option, path]
        return options

    def _read_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + self._start_timeout_s
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                message = f"the relay process was not ready within {self._start_timeout_s:g} s"
                raise LinkTimeoutError(message)
            part = os.read(descriptor, 4096)
            if not part:
                break
            line += part
        return line
