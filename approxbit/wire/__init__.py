"""Codes, clips, questions and answers as bytes. `FORMAT.md` specifies every one of them.

    edge    -> server   Hello | Packet (a code, a clip, a video) | LateQuestion     `read_sent`
    server  -> edge     Welcome | Answer | Refusal                                  `read_reply`

Every message writes itself by `to_bytes`. In a session, a `Binding` writes codes, questions and replies
shorter.
"""

from approxbit.wire.answer import Answer
from approxbit.wire.binding import SHORT_HEADER_BYTES, Binding, is_short
from approxbit.wire.classes import Logits, TopK
from approxbit.wire.code_format import CodeFormat
from approxbit.wire.coding import Coding, codings_of
from approxbit.wire.content import AnswerKind, Content, Wanted
from approxbit.wire.entropy import PriorTables, count_steps, warm_up
from approxbit.wire.frame import Kind
from approxbit.wire.message import Reply, Sent, read_reply, read_sent, wanted_of
from approxbit.wire.packet import HEADER_BYTES, Packet
from approxbit.wire.packing import pack, packed_bytes, unpack
from approxbit.wire.refusal import Refusal, Status
from approxbit.wire.request import LateQuestion, Request
from approxbit.wire.session import Hello, Welcome
from approxbit.wire.tensor import TensorAnswer
from approxbit.wire.text import Text, Tokens
from approxbit.wire.window import WindowPlace

__all__ = [
    "HEADER_BYTES",
    "SHORT_HEADER_BYTES",
    "Answer",
    "AnswerKind",
    "Binding",
    "CodeFormat",
    "Coding",
    "Content",
    "Hello",
    "Kind",
    "LateQuestion",
    "Logits",
    "Packet",
    "PriorTables",
    "Refusal",
    "Reply",
    "Request",
    "Sent",
    "Status",
    "TensorAnswer",
    "Text",
    "Tokens",
    "TopK",
    "Wanted",
    "Welcome",
    "WindowPlace",
    "codings_of",
    "count_steps",
    "is_short",
    "pack",
    "packed_bytes",
    "read_reply",
    "read_sent",
    "unpack",
    "wanted_of",
    "warm_up",
]
