"""Codes as bytes: packing, and the messages that cross the link. `FORMAT.md` specifies every byte."""

from approxbit.wire.answer import Answer, Refusal, Status, read_reply
from approxbit.wire.coding import Coding, Prior, codings_of, read_prior
from approxbit.wire.dictionary import ZstdDictionary
from approxbit.wire.entropy import PriorTables, count_steps, warm_up
from approxbit.wire.frame import Kind
from approxbit.wire.packet import HEADER_BYTES, Packet
from approxbit.wire.packing import pack, packed_bytes, unpack
from approxbit.wire.stream import StreamPlace

__all__ = [
    "HEADER_BYTES",
    "Answer",
    "Coding",
    "Kind",
    "Packet",
    "Prior",
    "PriorTables",
    "Refusal",
    "Status",
    "StreamPlace",
    "ZstdDictionary",
    "codings_of",
    "count_steps",
    "pack",
    "packed_bytes",
    "read_prior",
    "read_reply",
    "unpack",
    "warm_up",
]
