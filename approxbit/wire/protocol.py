"""The gRPC service that an edge calls: three methods, raw bytes both ways, no generated code.

    method                            request                   response
    /approxbit.v1.Inference/Answer    a packet                  an answer or a refusal
    /approxbit.v1.Inference/Ping      up to MAX_PING_BYTES      the same bytes
    /approxbit.v1.Inference/Probe     any bytes                 how many there were, 8 bytes big-endian

The bytes of packets, answers and refusals are specified in `wire/FORMAT.md`.
"""

SERVICE = "approxbit.v1.Inference"
ANSWER = "Answer"
PING = "Ping"
PROBE = "Probe"

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Longest message that either side takes: a raw clip of 50 frames of 420 x 420 still fits."""

MAX_PING_BYTES = 1024


def method_path(method: str) -> str:
    """The path of a method on the wire.

    Example:
        >>> method_path(ANSWER)
        '/approxbit.v1.Inference/Answer'
    """
    return f"/{SERVICE}/{method}"


def pack_count(count: int) -> bytes:
    """The response of `Probe`; the inverse of `unpack_count`."""
    return count.to_bytes(8, "big")


def unpack_count(response: bytes) -> int:
    """How many bytes the other side says that it received."""
    return int.from_bytes(response, "big")
