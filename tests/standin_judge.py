"""A local endpoint that speaks as an OpenAI-compatible one, over real sockets, and says what a test wants."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

Answer = Callable[[int, dict[str, Any]], Any]
"""From the number of a request and its body to a reply in words, or to what `Raw` says."""


class Raw:
    """A reply to the letter.

    Args:
        status: Of HTTP.
        body: As bytes.
        headers: Besides the length.
        drip_s: Pause after each byte.
    """

    def __init__(
        self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None, drip_s: float = 0.0
    ) -> None:
        self.status, self.body, self.headers, self.drip_s = status, body, headers or {}, drip_s


class StandinJudge:
    """What was asked, and how it is answered."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.url = ""
        self._lock = Lock()

    def note(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> int:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.requests.append(body)
            return len(self.requests)


def completion(text: str, model: str = "judge-1-0613", revision: str | None = "fp_7") -> Raw:
    """A document as a real endpoint sends it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    document = {"object": "chat.completion", "model": model, "choices": [choice], "usage": {}}
    return Raw(200, json.dumps({**document, "system_fingerprint": revision}).encode())


@contextmanager
def serve(answer: Answer) -> Iterator[StandinJudge]:
    """A judge at `url` until the end of the block."""
    judge = StandinJudge(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = judge.answer(judge.note(self.path, dict(self.headers), body), body)
            reply = completion(found) if isinstance(found, str) else found
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if not reply.drip_s:
                    self.wfile.write(reply.body)
                    return
                for byte in reply.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(reply.drip_s)
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked has gone

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
