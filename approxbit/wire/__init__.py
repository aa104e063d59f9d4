"""Codes as bytes: packing, and the messages that cross the link. `FORMAT.md` specifies every byte."""

from approxbit.wire.answer import Answer, Refusal, Status, read_reply
from approxbit.wire.coding import RAW, Coding, RawCoding, coding_of, register_coding
from approxbit.wire.frame import Kind
from approxbit.wire.packet import HEADER_BYTES, Packet
from approxbit.wire.packing import pack, packed_bytes, unpack

__all__ = [
    "HEADER_BYTES",
    "RAW",
    "Answer",
    "Coding",
    "Kind",
    "Packet",
    "RawCoding",
    "Refusal",
    "Status",
    "coding_of",
    "pack",
    "packed_bytes",
    "read_reply",
    "register_coding",
    "unpack",
]
