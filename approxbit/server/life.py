"""How long a server process lives: until it is told to stop, or nobody is left who could tell it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable

from approxbit.server.grpc_server import GrpcServer


def serve_until_told(
    server: GrpcServer, announce: Callable[[str], None], is_bound_to_stdin: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT; must be called in the main thread.

    Args:
        server: Not started yet.
        announce: Called once, when calls are taken, with one line of JSON: `{"port": 50051, "pid": 4711}`.
        is_bound_to_stdin: Also stop when standard input ends: its writer, the parent process, is gone then.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    # A signal is written into the pipe as it comes, before Python's handler: one that comes just before the
    # read is not lost, as it would be before the wait for an event.
    signal.set_wakeup_fd(tell)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if is_bound_to_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(tell,), daemon=True).start()
    with server:
        announce(json.dumps({"port": server.port, "pid": os.getpid()}))
        os.read(told, 1)


def _wait_for_end_of_stdin(tell: int) -> None:
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 4096):  # a reader of `sys.stdin` would hold its lock while Python shuts down
        pass
    os.write(tell, b"\0")
