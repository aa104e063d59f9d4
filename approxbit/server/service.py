"""What a server does with the bytes that reach it, however they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from approxbit.engines.questions import QuestionRunner, objection_to, say
from approxbit.errors import SessionError, WireError
from approxbit.server.arms import Answered, Asked, ServerArm, answer_all, failed
from approxbit.server.kept import KeptClips, Place
from approxbit.server.sessions import Sessions
from approxbit.tasks import Classification, Task
from approxbit.wire import (
    Answer,
    CodeFormat,
    Coding,
    Hello,
    LateQuestion,
    Packet,
    Refusal,
    Reply,
    Request,
    Sent,
    Status,
    Welcome,
    is_short,
    protocol,
    read_sent,
    wanted_of,
)

Computed = TypeVar("Computed")


class Service:
    """Many arms of one backbone: a message in, an answer or a refusal out.

    ```
    hello    -> formats that an arm has, with its weights and preprocessing -> session, welcome
    packet   -> its arm -> no objection, same fingerprint -> read -> run -> answer
    question -> visual tokens of the clip that it is about, as they were kept -> answer
    ```

    The code of a packet in a session is kept once it was answered. An update is read with the code that it
    names; where that is not there any more, the packet is refused as `NEEDS_KEY`. Of a model that answers
    questions, the visual tokens of the last clips are kept, so that late questions need no code; a question
    about a clip that is not there any more is refused likewise. A packet without a question is answered with
    an empty text.

    Every call returns bytes, whatever came in. One packet is computed at a time, because torch uses all its
    threads for each; the others stand in line, and when the line is full they are refused as `BUSY`.

    Args:
        arms: Of different formats.
        task: What their answers mean.
        max_in_line: Packets that are computed or wait, at least 1.
        sessions: Keeps sessions and the codes in them.
        questions: Of models that answer questions.
        kept: Keeps the clips that questions may be about.

    Raises:
        ValueError: Two arms have one format, `max_in_line` is below 1, or the task is to answer questions
            and `questions` is missing.
    """

    def __init__(
        self,
        arms: Iterable[ServerArm],
        task: Task,
        max_in_line: int = 6,
        sessions: Sessions | None = None,
        questions: QuestionRunner | None = None,
        kept: KeptClips | None = None,
    ):
        if max_in_line < 1:
            raise ValueError(f"max_in_line must be at least 1, found {max_in_line}")
        if questions is None and not isinstance(task, Classification):
            raise ValueError(
                f"expected questions, something that answers them, for the task {task.json_kind}"
            )
        self.arms: dict[str, ServerArm] = {}
        for arm in arms:
            if self.arms.setdefault(arm.format_name, arm) is not arm:
                raise ValueError(f"expected one arm for {arm.format_name}, found two")
        self.task = task
        self.sessions = Sessions() if sessions is None else sessions
        self.questions = questions
        self.kept = KeptClips() if kept is None else kept
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
        if isinstance(received, Hello):
            objection = objection_to(Request(), received.wanted, self.task)
            return self._welcome(received, client) if not objection else _refuse_request(received, objection)
        if isinstance(received, LateQuestion):
            return self._answer_later(received, is_wanted, client)
        place = self._place(client, received.binding, received.sequence)
        self.kept.forget(client, place)  # the clip of 256 numbers before, whatever comes of this one
        objection = self._objection(received)
        if objection:
            return _refuse_request(received, objection)
        arm, bindings = self.arms[received.format_name], self.sessions.bindings
        received.check_fingerprint(arm.fingerprint)
        self._check_binding(received)
        earlier = self.sessions.find(received)
        if earlier is None and received.coding == Coding.UPDATE:
            return _refuse(received, Status.NEEDS_KEY, f"code {received.earlier_sequence} is not here")
        asked = Asked(received, wanted_of(received, bindings), earlier)

        def compute() -> Answered:
            return answer_all(arm, [asked], self.task, self.questions)[0]

        answered = self._in_turn(received, is_wanted, compute)
        if isinstance(answered, Refusal):
            return answered
        if answered.read is not None:  # nothing is kept of a packet that is refused after all
            self.sessions.keep(received, answered.read)
        if answered.output is not None and self.questions is not None:
            self.kept.keep(client, place, answered.output)
        return answered.reply

    def _answer_later(
        self, question: LateQuestion, is_wanted: Callable[[], bool], client: str
    ) -> Answer | Refusal:
        wanted = wanted_of(question, self.sessions.bindings)
        objection = objection_to(question.request, wanted, self.task, self.questions)
        if objection:
            return _refuse_request(question, objection)
        self._check_binding(question)
        self.sessions.touch(question.binding or 0)
        number = question.earlier_sequence
        visual = self.kept.find(client, self._place(client, question.binding, number))
        if visual is None:
            return _refuse(
                question, Status.NEEDS_KEY, f"clip {number} is not here: send it with the question"
            )

        def compute() -> Answer:
            start = time.perf_counter()
            content = say(visual, question.request, wanted, self.task, self.questions)
            return Answer(question.sequence, content, 0.0, 1000 * (time.perf_counter() - start))

        return self._in_turn(question, is_wanted, compute)

    def _in_turn(
        self, message: Sent, is_wanted: Callable[[], bool], compute: Callable[[], Computed]
    ) -> Computed | Refusal:
        """What `compute` gives when nothing else is computed, or why it was not called."""
        if not self._line.acquire(blocking=False):
            return _refuse(message, Status.BUSY, "too many packets wait, send this one again later")
        try:
            with self._turn:
                if not is_wanted():
                    return _refuse(message, Status.FAILED, "nobody waits for the answer any more")
                return compute()
        finally:
            self._line.release()

    def _check_binding(self, message: Packet | LateQuestion) -> None:
        """Let only messages pass that belong to no session or to one that is open."""
        if message.binding is None:
            return
        binding = self.sessions.bindings.get(message.binding)
        if binding is None or (isinstance(message, Packet) and not binding.code_format.is_of(message)):
            raise SessionError(
                f"binding: expected that of an open session and its format, found {message.binding}"
            )

    def _place(self, client: str, number: int | None, sequence: int) -> Place:
        binding = None if number is None else self.sessions.bindings.get(number)
        return Place(number or 0, 0 if binding is None else binding.nonce, sequence % 256)

    def _objection(self, packet: Packet) -> str:
        """Why a packet is none that this server answers; empty if it is one."""
        wanted = wanted_of(packet, self.sessions.bindings)
        objection = objection_to(packet.request, wanted, self.task, self.questions)
        if objection:
            return objection
        arm = self.arms.get(packet.format_name)
        if arm is None:
            return f"payload: found {packet.format_name}, expected one of {', '.join(self.arms)}"
        return arm.objection(packet)

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


def _refuse_request(message: Sent, objection: str) -> Refusal:
    return _refuse(message, Status.UNSUPPORTED, objection)


def _refuse(message: Sent, status: Status, reason: str) -> Refusal:
    return replace(Refusal.of_error(message.sequence, ValueError(reason)), status=status)
