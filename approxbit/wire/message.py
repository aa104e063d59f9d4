"""Reading whatever arrives: what an edge sends, and what a server sends back."""

from __future__ import annotations

from typing import Any, Mapping, Union

from approxbit.errors import WireError
from approxbit.wire.answer import Answer
from approxbit.wire.binding import Binding, is_short, read_short
from approxbit.wire.content import DEFAULT_WANTED, Wanted
from approxbit.wire.frame import BytesLike, parse, problem
from approxbit.wire.packet import Packet
from approxbit.wire.refusal import Refusal
from approxbit.wire.request import LateQuestion
from approxbit.wire.session import Hello, Welcome

Sent = Union[Hello, Packet, LateQuestion]
Reply = Union[Welcome, Answer, Refusal]

NO_BINDINGS: Mapping[int, Binding] = {}

_OF_EDGE = {kind: each.of_frame for each in (Hello, Packet, LateQuestion) for kind in each.kinds}
_OF_SERVER = {kind: each.of_frame for each in (Welcome, Answer, Refusal) for kind in each.kinds}


def read_sent(data: BytesLike, bindings: Mapping[int, Binding] = NO_BINDINGS) -> Sent:
    """What an edge sent, in either form.

    Args:
        data: One message.
        bindings: Of the sessions that are open, by their numbers.

    Raises:
        TypeError: `data` is not bytes.
        SessionError: The message is short, and of no session that is open.
        WireError: `data` is anything but the bytes of one message of an edge.
    """
    sent: Sent = _read(data, bindings, _OF_EDGE, (Packet, LateQuestion))
    return sent


def read_reply(data: BytesLike, bindings: Mapping[int, Binding] = NO_BINDINGS) -> Reply:
    """What a server sent back, in either form.

    Args:
        data: One message.
        bindings: Of the session, by their numbers.

    Raises:
        TypeError: `data` is not bytes.
        SessionError: The message is short, and not of the session.
        WireError: `data` is anything but the bytes of one message of a server.
    """
    reply: Reply = _read(data, bindings, _OF_SERVER, (Answer, Refusal))
    return reply


def wanted_of(message: Packet | LateQuestion, bindings: Mapping[int, Binding] = NO_BINDINGS) -> Wanted:
    """Which answer a message wants: its own word, or its session's, or the five likeliest classes."""
    binding = None if message.binding is None else bindings.get(message.binding)
    return message.request.wanted or (DEFAULT_WANTED if binding is None else binding.wanted)


def _read(data: BytesLike, bindings: Mapping[int, Binding], readers: Any, short: Any) -> Any:
    if not is_short(data):
        return parse(data, readers)
    message = read_short(data, bindings)
    if not isinstance(message, short):
        expected = " or ".join(each.__name__ for each in short)
        raise WireError(problem("kind of the short message", expected, type(message).__name__))
    return message
