"""What a server does with the bytes that reach it, however they come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from approxbit.errors import SessionError, WireError
from approxbit.server.arms import Asked, ServerArm, answer_all, failed
from approxbit.server.sessions import Sessions
from approxbit.tasks import Classification
from approxbit.wire import (
    AnswerKind,
    Binding,
    CodeFormat,
    Coding,
    Hello,
    LateQuestion,
    Packet,
    Refusal,
    Reply,
    Sent,
    Status,
    Welcome,
    is_short,
    protocol,
    read_sent,
    wanted_of,
)
from approxbit.wire.refusal import MAX_REASON_BYTES

OF_LOGITS = (AnswerKind.LOGITS, AnswerKind.TOP_K)


class Service:
    """Many arms of one backbone: a message in, an answer or a refusal out.

    ```
    hello  -> formats that an arm has, with its weights and preprocessing -> session, welcome
    packet -> its arm -> no objection, same fingerprint -> read -> run -> answer
    ```

    The code of a packet in a session is kept once it was answered. An update is read with the code that it
    names; where that is not there any more, the packet is refused as `NEEDS_KEY`.

    Every call returns bytes, whatever came in. One packet is computed at a time, because torch uses all its
    threads for each; the others stand in line, and when the line is full they are refused as `BUSY`.

    Args:
        arms: Of different formats.
        task: What their answers mean.
        max_in_line: Packets that are computed or wait, at least 1.
        sessions: Keeps sessions and the codes in them.

    Raises:
        ValueError: Two arms have one format, or `max_in_line` is below 1.
    """

    def __init__(
        self,
        arms: Iterable[ServerArm],
        task: Classification,
        max_in_line: int = 6,
        sessions: Sessions | None = None,
    ):
        if max_in_line < 1:
            raise ValueError(f"max_in_line must be at least 1, found {max_in_line}")
        self.arms: dict[str, ServerArm] = {}
        for arm in arms:
            if self.arms.setdefault(arm.format_name, arm) is not arm:
                raise ValueError(f"expected one arm for {arm.format_name}, found two")
        self.task = task
        self.sessions = Sessions() if sessions is None else sessions
        self._line = threading.BoundedSemaphore(max_in_line)
        self._turn = threading.Lock()

    def answer(self, message: bytes, is_wanted: Callable[[], bool] = lambda: True, client: str = "") -> bytes:
        """The bytes of a `Welcome`, an `Answer` or a `Refusal`; nothing is raised.

        Args:
            message: Any bytes.
            is_wanted: Asked when the packet's turn comes; if nobody waits any more, nothing is computed.
            client: Who sent it.
        """
        sequence, binding = 0, None
        try:
            received = read_sent(message, self.sessions.bindings)
            sequence = received.sequence
            if not isinstance(received, Hello) and is_short(message):
                binding = self.sessions.bindings.get(received.binding or 0)
            reply = self._reply(received, is_wanted, client)
        except WireError as error:
            reply = Refusal.of_error(sequence, error)
        except Exception as error:  # whatever it is, the server goes on, and the edge must not wait in vain
            reply = failed(sequence, error)
        return reply.to_bytes() if binding is None or isinstance(reply, Welcome) else binding.write(reply)

    def ping(self, payload: bytes) -> bytes:
        """The same bytes."""
        return payload

    def probe(self, payload: bytes) -> bytes:
        """How many bytes there were."""
        return protocol.pack_count(len(payload))

    def _reply(self, received: Sent, is_wanted: Callable[[], bool], client: str) -> Reply:
        objection = self._objection(received)
        if objection:
            return _refuse(received, Status.UNSUPPORTED, objection)
        if isinstance(received, Hello):
            return self._welcome(received, client)
        assert isinstance(received, Packet)
        arm, bindings = self.arms[received.format_name], self.sessions.bindings
        received.check_fingerprint(arm.fingerprint)
        _check_binding(received, bindings)
        earlier = self.sessions.find(received)
        if earlier is None and received.coding == Coding.UPDATE:
            return _refuse(received, Status.NEEDS_KEY, f"code {received.earlier_sequence} is not here")
        if not self._line.acquire(blocking=False):
            return _refuse(received, Status.BUSY, "too many packets wait, send this one again later")
        try:
            with self._turn:
                if not is_wanted():
                    return _refuse(received, Status.FAILED, "nobody waits for the answer any more")
                asked = Asked(received, wanted_of(received, bindings), earlier)
                (answered,) = answer_all(arm, [asked], self.task)
        finally:
            self._line.release()
        if answered.read is not None:  # nothing is kept of a packet that is refused after all
            self.sessions.keep(received, answered.read)
        return answered.reply

    def _objection(self, received: Sent) -> str:
        """Why a message is none that this server answers; empty if it is one."""
        if isinstance(received, LateQuestion) or (isinstance(received, Packet) and received.request.question):
            return "request: expected no question, this server has none to answer one"
        wanted = received.wanted if isinstance(received, Hello) else wanted_of(received)
        if wanted.kind not in OF_LOGITS:
            return f"request: expected logits or the likeliest classes, found {wanted.kind.name}"
        if isinstance(received, Hello):
            return ""
        arm = self.arms.get(received.format_name)
        if arm is None:
            return f"payload: found {received.format_name}, expected one of {', '.join(self.arms)}"
        return arm.objection(received)

    def _welcome(self, hello: Hello, client: str) -> Welcome | Refusal:
        served = [self._served(each) for each in hello.formats]
        refused = [each for each in served if isinstance(each, Status)]
        if len(refused) == len(served):
            known = ", ".join(arm.format_name for arm in self.arms.values() if arm.code_format)
            reason = f"formats: expected one of {known}, of the same weights and preprocessing as here"
            return _refuse(hello, min(refused), reason)
        return self.sessions.open(hello, served, client)

    def _served(self, wanted: CodeFormat) -> CodeFormat | Status:
        """The server's own format that equals one of an edge, or why there is none."""
        arm = self.arms.get(str(wanted.configuration))
        own = None if arm is None else arm.code_format
        if own is None or own.to_bytes() != replace(wanted, fingerprint=own.fingerprint).to_bytes():
            return Status.UNSUPPORTED
        return own if own.fingerprint == wanted.fingerprint else Status.WRONG_WEIGHTS


def _check_binding(packet: Packet, bindings: Mapping[int, Binding]) -> None:
    """Let only packets pass that belong to no session or to one that is open."""
    if packet.binding is None:
        return
    binding = bindings.get(packet.binding)
    if binding is None or not binding.code_format.is_of(packet):
        raise SessionError(
            f"binding: expected that of an open session and its format, found {packet.binding}"
        )


def _refuse(message: Sent, status: Status, reason: str) -> Refusal:
    return Refusal(message.sequence, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"), status)
