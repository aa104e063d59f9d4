"""A device's conversation with one server: arms in, answers out, and what each of them cost."""

import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, Optional, Sequence, Union

import numpy as np

from approxbit.edge.answer import Outcome, Parts
from approxbit.edge.arms.arm import EdgeArm, ms_since
from approxbit.edge.asking import Sent, SentClip
from approxbit.edge.transport import Transport
from approxbit.edge.windows import NUM_SEQUENCES, Windows
from approxbit.errors import LinkError, WireError
from approxbit.wire import (
    Answer,
    Binding,
    Hello,
    LateQuestion,
    Packet,
    Refusal,
    Reply,
    Request,
    Status,
    Text,
    Wanted,
    Welcome,
    read_reply,
)
from approxbit.wire.content import DEFAULT_WANTED, content_kind
from approxbit.wire.request import NOTHING_SAID
from approxbit.wire.window import MAX_BACK

LASTING = (Status.WRONG_WEIGHTS, Status.UNSUPPORTED)
SENT_AGAIN = (Status.NO_SESSION, Status.NEEDS_KEY)


class RefusedError(LinkError):
    """The server was reached and refuses what it was sent.

    Args:
        status: What it said, for programs.
        reason: The same for people.
    """

    def __init__(self, status: Status, reason: str):
        super().__init__(f"the server refuses: {reason}")
        self.status = status

    @property
    def is_lasting(self) -> bool:
        """Whether the next packet of the same arm would be refused as well."""
        return self.status in LASTING


@dataclass
class _Bill:
    """What one clip has cost so far."""

    timeout_s: Callable[[], float]
    payload_bytes: int = 0
    packet_bytes: int = 0
    answer_bytes: int = 0
    encode_ms: float = 0.0
    link_ms: float = 0.0
    is_key: bool = True


class Exchange:
    """Sends what arms make of clips; not for several threads at once.

    Codes cross in a session: a hello says which formats the arms have, and from then on their headers are
    short. It opens with `open`, or with the first code. When the server has forgotten it, as after a restart,
    a new one opens and the packet is sent again, within the same clip.

    Args:
        transport: The way to the server; the caller closes it.
        arms: All that may be used.
        wanted: Which kind of answer.
        windows: Of clips that overlap, whose codes may then be coded against earlier ones.
    """

    def __init__(
        self,
        transport: Transport,
        arms: Iterable[EdgeArm],
        wanted: Wanted = DEFAULT_WANTED,
        windows: Optional[Windows] = None,
    ):
        self._transport = transport
        self._windows = windows
        self._request = NOTHING_SAID if wanted == DEFAULT_WANTED else Request(wanted=wanted)
        formats = {arm.name: arm.code_format for arm in arms if arm.code_format is not None}
        self._entries = {name: each.to_bytes() for name, each in formats.items()}
        self._formats = tuple({each.to_bytes(): each for each in formats.values()}.values())
        self._wanted = wanted
        self.close()

    @property
    def refused(self) -> Dict[str, Status]:
        """The arms whose codes the server does not serve, and why; known once the session is open."""
        found = {name: self._agreed.get(entry) for name, entry in self._entries.items()}
        return {name: status for name, status in found.items() if isinstance(status, Status)}

    def open(self, timeout_s: float) -> int:
        """Open a session, if there is none and the arms need one; returns the bytes that were sent.

        Raises:
            LinkError: There was no answer in time, or the server has too much to do (`RefusedError`).
            WireError: The reply is malformed.
        """
        bill = _Bill(lambda: timeout_s)
        self._open(bill)
        return bill.packet_bytes

    def close(self) -> None:
        """Forget the session, as after an outage; the next code opens another one."""
        self._bindings: Dict[int, Binding] = {}
        self._agreed: Dict[bytes, Union[Binding, Status]] = {}

    def answer(
        self,
        arm: EdgeArm,
        frames: np.ndarray,
        sequence: int,
        timeout_s: Callable[[], float],
        question: Optional[Text] = None,
        clip: Optional[SentClip] = None,
    ) -> Outcome:
        """How an arm answers a clip.

        Args:
            arm: One of the arms.
            frames: Cropped; uint8 `[time, height, width, 3]`.
            sequence: Number of the clip.
            timeout_s: Asked whenever something is ready to be sent.
            question: About the clip.
            clip: Is told where the server has it, so that more can be asked.

        Raises:
            LinkError: There was no answer, or a refusal (`RefusedError`).
            WireError: The reply is malformed, or belongs to another packet.
        """
        encoded = arm.encode(frames, replace(self._request, question=question))
        if encoded.packet is None:
            assert encoded.answer is not None
            parts = Parts(edge_ms=encoded.edge_ms, encode_ms=encoded.encode_ms)
            return Outcome(arm.name, encoded.answer, parts, 0, 0, 0, is_key=False)
        bill, packet = (
            _Bill(timeout_s, encode_ms=encoded.encode_ms),
            replace(encoded.packet, sequence=sequence),
        )
        reply = self._send_twice(bill, arm, packet, encoded.code)
        if clip is not None:
            clip.sent = Sent(arm, packet, encoded.code, self._find_binding(arm), sequence)
        return _settle(bill, arm, reply, encoded.edge_ms)

    def ask(self, clip: SentClip, question: Text, sequence: int, timeout_s: Callable[[], float]) -> Outcome:
        """The answer to a question about a clip that the server has answered before.

        The clip does not cross again, unless the server has forgotten it or the session.

        Args:
            clip: With what was sent of it, which is brought up to date.
            question: About it.
            sequence: Number of the question.
            timeout_s: Asked whenever something is ready to be sent.

        Raises:
            LinkError: There was no answer, or a refusal (`RefusedError`).
            WireError: The reply is malformed, or belongs to another message.
        """
        sent, bill = clip.sent, _Bill(timeout_s, is_key=False)
        if sent is None:
            raise ValueError("expected a clip that the server has answered before, found one that it has not")
        request = replace(self._request, question=question)
        back = (sequence - sent.sequence) % NUM_SEQUENCES
        if 1 <= back <= MAX_BACK and sent.binding is self._find_binding(sent.arm):
            try:
                reply = self._send_question(bill, LateQuestion(sequence, back, request), sent.binding)
                return _settle(bill, sent.arm, reply)
            except RefusedError as error:
                self._check_worth_sending_again(error)
        if self._windows is not None:
            self._windows.move(None)  # no window of the video that may be under way
        packet = replace(sent.packet, sequence=sequence, request=request)
        reply = self._send_twice(bill, sent.arm, packet, sent.code)
        clip.sent = sent._replace(binding=self._find_binding(sent.arm), sequence=sequence)
        return _settle(bill, sent.arm, reply)

    def _send_question(self, bill: _Bill, late: LateQuestion, binding: Optional[Binding]) -> Answer:
        if binding is None:
            return self._receive(bill, late.to_bytes(), late.sequence)
        late = replace(late, binding=binding.number, request=_unless(late.request, binding.wanted))
        return self._receive(bill, binding.write(late), late.sequence % 256)

    def _send_twice(self, bill: _Bill, arm: EdgeArm, packet: Packet, code: bytes) -> Answer:
        """The answer to a packet that is sent again where the server has forgotten what it needs."""
        try:
            return self._send(bill, arm, packet, code)
        except RefusedError as error:
            self._check_worth_sending_again(error)
        return self._send(bill, arm, packet, code)

    def _check_worth_sending_again(self, error: RefusedError) -> None:
        if error.status not in SENT_AGAIN:
            raise error
        if error.status == Status.NO_SESSION:
            self.close()

    def _send(self, bill: _Bill, arm: EdgeArm, packet: Packet, code: bytes) -> Answer:
        binding = self._binding(bill, arm)
        start = time.perf_counter()
        if binding is not None:
            packet = replace(packet, binding=binding.number, request=_unless(packet.request, binding.wanted))
            if self._windows is not None:  # after a refusal it remembers nothing: a key packet comes out
                packet = self._windows.shorten(packet, code, binding)
        data = packet.to_bytes() if binding is None else binding.write(packet)
        bill.encode_ms += ms_since(start)
        bill.payload_bytes += len(packet.payload)
        bill.is_key = packet.place is None
        expected = packet.sequence if binding is None else packet.sequence % 256
        reply = self._receive(bill, data, expected)
        if binding is not None and self._windows is not None:
            self._windows.acknowledge(packet, code, binding)
        return reply

    def _receive(self, bill: _Bill, data: bytes, expected: int) -> Answer:
        """The answer to a message, if it is the one to the message of this number."""
        reply = self._call(bill, data)
        if not isinstance(reply, Answer):
            raise WireError(f"the reply must be an answer, found {type(reply).__name__}")
        if reply.sequence != expected:
            raise WireError(f"the reply must be to packet {expected}, found one to packet {reply.sequence}")
        kind = content_kind(reply.content)
        if kind != self._wanted.kind:
            raise WireError(f"the answer must hold {self._wanted.kind.name}, found {kind.name}")
        return reply

    def _find_binding(self, arm: EdgeArm) -> Optional[Binding]:
        """Of the arm's codes in the session that is open; None where there is none."""
        found = self._agreed.get(self._entries.get(arm.name, b""))
        return found if isinstance(found, Binding) else None

    def _binding(self, bill: _Bill, arm: EdgeArm) -> Optional[Binding]:
        """Of the arm's codes; None for an arm that has none."""
        if arm.name not in self._entries:
            return None
        self._open(bill)
        found = self._agreed[self._entries[arm.name]]
        if isinstance(found, Binding):
            return found
        raise RefusedError(found, f"codes of {arm.name}: {found.name}, expected those that it serves")

    def _open(self, bill: _Bill) -> None:
        if self._agreed or not self._formats:
            return
        hello = Hello(self._formats, self._wanted)  # with a nonce of its own
        refused: Sequence[Optional[Status]]
        try:
            reply = self._call(bill, hello.to_bytes())
            if not isinstance(reply, Welcome):
                raise WireError(f"the reply to a hello must be a welcome, found {type(reply).__name__}")
            self._bindings, refused = hello.bindings(reply), reply.refused
        except RefusedError as error:
            if not error.is_lasting:
                raise
            refused = [error.status] * len(hello.formats)
        self._agreed = {each.to_bytes(): status for each, status in zip(hello.formats, refused) if status}
        self._agreed.update({each.code_format.to_bytes(): each for each in self._bindings.values()})

    def _call(self, bill: _Bill, data: bytes) -> Reply:
        bill.packet_bytes += len(data)
        start = time.perf_counter()
        answer = self._transport.send(data, bill.timeout_s())
        bill.link_ms += ms_since(start)
        bill.answer_bytes += len(answer)
        reply = read_reply(answer, self._bindings)
        if isinstance(reply, Refusal):
            raise RefusedError(reply.status, reply.reason)
        return reply


def _settle(bill: _Bill, arm: EdgeArm, reply: Answer, edge_ms: float = 0.0) -> Outcome:
    parts = Parts(
        edge_ms=edge_ms,
        encode_ms=bill.encode_ms,
        link_ms=max(0.0, bill.link_ms - reply.decode_ms - reply.server_ms),
        decode_ms=reply.decode_ms,
        server_ms=reply.server_ms,
    )
    sizes = bill.payload_bytes, bill.packet_bytes, bill.answer_bytes
    return Outcome(arm.name, reply.content, parts, *sizes, is_key=bill.is_key)


def _unless(request: Request, wanted: Wanted) -> Request:
    """The request of a packet whose session knows already which answer is wanted."""
    return replace(request, wanted=None) if request.wanted == wanted else request
