"""What a server remembers between two packets: open sessions, and the codes of windows in them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from approxbit.wire import Binding, CodeFormat, Hello, Packet, Status, Welcome
from approxbit.wire.request import MAX_BINDING

CODES_PER_SESSION = 4
BYTES_PER_CODE = 512
"""Counted for each code beside its own bytes: a generous price of the objects around it."""


@dataclass
class _Session:
    client: str
    count: int
    """How many numbers it has, those of formats that are not served included."""
    codes: OrderedDict[tuple[int, int], bytes] = field(default_factory=OrderedDict)
    """By binding and the packet's sequence modulo 256, in the order in which they came."""


class Sessions:
    """The sessions that were last heard of; safe to share between threads.

    Nothing is lost with a session but bytes: its next short packet is refused as `NO_SESSION`, and the edge
    says hello again. Nor with a code: the next update is refused as `NEEDS_KEY`. So a server needs no more
    memory than it is willing to give. When there is no room, what has been silent for longest goes: of the
    same client if it has too many sessions, so that a client that says nothing but hello harms itself alone.

    Args:
        max_sessions: Of all clients, at least 1.
        max_per_client: Of one client, at least 1.
        max_code_bytes: Of all codes together, with `BYTES_PER_CODE` for each; 0 keeps none.

    Raises:
        ValueError: A number is below its least.
    """

    def __init__(self, max_sessions: int = 1024, max_per_client: int = 16, max_code_bytes: int = 64 * 2**20):
        for name, value, least in (
            ("max_sessions", max_sessions, 1),
            ("max_per_client", max_per_client, 1),
            ("max_code_bytes", max_code_bytes, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be {least} or more, found {value}")
        self.max_sessions = max_sessions
        self.max_per_client = max_per_client
        self.max_code_bytes = max_code_bytes
        self._sessions: OrderedDict[int, _Session] = OrderedDict()
        self._owners: dict[int, int] = {}
        self._bindings: dict[int, Binding] = {}
        self._code_bytes = 0
        self._lock = threading.Lock()

    @property
    def bindings(self) -> Mapping[int, Binding]:
        """Of all open sessions, by their numbers."""
        return self._bindings

    @property
    def num_sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def code_bytes(self) -> int:
        """What is kept of codes now, counted as for `max_code_bytes`."""
        return self._code_bytes

    def open(self, hello: Hello, served: Sequence[CodeFormat | Status], client: str = "") -> Welcome:
        """Open a session.

        Args:
            hello: What the edge said.
            served: For each of its formats the server's own equal one, or why it is not served.
            client: Who said it.

        Raises:
            ValueError: No format is served.
        """
        refused = [each if isinstance(each, Status) else None for each in served]
        with self._lock:
            first = self._find_room(len(served), client)
            welcome = Welcome(hello.sequence, first, tuple(refused))
            self._sessions[first] = _Session(client, len(served))
            for number, each in enumerate(served, first):
                if isinstance(each, CodeFormat):
                    self._bindings[number] = Binding(number, each, hello.wanted, hello.nonce)
                    self._owners[number] = first
        return welcome

    def touch(self, number: int) -> None:
        """Something came in the session of a binding, if it is open."""
        with self._lock:
            self._touch(number)

    def find(self, packet: Packet) -> bytes | None:
        """The packed code that a packet was coded against, if it is here and the one that it means."""
        with self._lock:
            session = self._touch(packet.binding)
            if session is None or packet.place is None:
                return None
            assert packet.binding is not None
            assert packet.earlier_sequence is not None
            code = session.codes.get((packet.binding, packet.earlier_sequence))
        return code if code is not None and packet.place.means(code) else None

    def keep(self, packet: Packet, code: bytes) -> None:
        """Remember the packed code of a packet that was answered, if updates could refer to it."""
        with self._lock:
            session = self._touch(packet.binding)
            if session is None or packet.binding is None:
                return
            prior = self._bindings[packet.binding].code_format.prior
            if prior is None or prior.update is None:
                return
            place = packet.binding, packet.sequence % 256
            self._code_bytes -= _size(session.codes.pop(place, None))
            session.codes[place] = code
            self._code_bytes += _size(code)
            if len(session.codes) > CODES_PER_SESSION:
                self._code_bytes -= _size(session.codes.popitem(last=False)[1])
            for oldest in self._sessions.values():
                if self._code_bytes <= self.max_code_bytes:
                    break
                self._code_bytes -= sum(map(_size, oldest.codes.values()))
                oldest.codes.clear()

    def _touch(self, number: int | None) -> _Session | None:
        first = self._owners.get(number or 0)
        if first is None:
            return None
        self._sessions.move_to_end(first)
        return self._sessions[first]

    def _find_room(self, count: int, client: str) -> int:
        """The first of so many free numbers in a row; the sessions that are silent for longest make room."""
        own = [first for first, each in self._sessions.items() if each.client == client]
        if len(own) >= self.max_per_client:
            self._close(own[0])
        while len(self._sessions) >= self.max_sessions:
            self._close(next(iter(self._sessions)))
        while True:
            first = 1
            for taken in sorted(self._sessions):
                if taken - first >= count:
                    break
                first = taken + self._sessions[taken].count
            if first + count - 1 <= MAX_BINDING:
                return first
            self._close(next(iter(self._sessions)))

    def _close(self, first: int) -> None:
        session = self._sessions.pop(first)
        self._code_bytes -= sum(map(_size, session.codes.values()))
        for number in range(first, first + session.count):
            self._bindings.pop(number, None)
            self._owners.pop(number, None)


def _size(code: bytes | None) -> int:
    return 0 if code is None else len(code) + BYTES_PER_CODE
