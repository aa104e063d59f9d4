"""What the library understands of a message, in the words of `FORMAT.md`, to compare with `wire_reader`."""

from __future__ import annotations

from typing import Any

from wire_reader import Fields

from approxbit.wire import (
    Answer,
    CodeFormat,
    Coding,
    Hello,
    Kind,
    LateQuestion,
    Logits,
    Packet,
    Reply,
    Request,
    Sent,
    TensorAnswer,
    Text,
    Tokens,
    TopK,
    Wanted,
    Welcome,
)

KINDS = ("logits", "top-k", "text", "tokens", "tensor")
Message = Sent | Reply


def fields_of(message: Message) -> Fields:
    """The fields of a message, as `wire_reader.read` finds them in its bytes."""
    if isinstance(message, Packet):
        return packet_fields(message)
    head: Fields = {"kind": "QUESTION", "sequence": message.sequence}
    if isinstance(message, LateQuestion):
        request = request_fields(message.request)
        return {**head, "binding": message.binding, "back": message.back, "request": request}
    head["kind"] = type(message).__name__.upper()
    if isinstance(message, Hello):
        formats = [format_fields(each) for each in message.formats]
        return {**head, "nonce": message.nonce, "wanted": wanted_fields(message.wanted), "formats": formats}
    if isinstance(message, Welcome):
        return {**head, "binding": message.binding, "refused": [each or 0 for each in message.refused]}
    if isinstance(message, Answer):
        times = {"decode_ms": message.decode_ms, "server_ms": message.server_ms}
        return {**head, **times, "content": content_fields(message.content)}
    retry_after = message.retry_after_ms // 10
    return {**head, "status": message.status.name, "retry_after": retry_after, "reason": message.reason}


def format_fields(known: CodeFormat | Packet) -> Fields:
    configuration = known.configuration
    assert configuration is not None
    time, height, width = known.feature_size
    return {
        "spatial_encoder": configuration.spatial_encoder,
        "name": configuration.offload_point,
        "fingerprint": f"{known.fingerprint:016x}",
        **{"time": time, "height": height, "width": width},
        **{"num_tokens": known.num_tokens, "codebook_size": configuration.codebook_size},
    }


def packet_fields(packet: Packet) -> Fields:
    said = packet.request if packet.request.to_bytes() else None
    fields = {"kind": packet.kind.name, "sequence": packet.sequence, "payload": packet.payload.hex()}
    fields["request"] = None if said is None else request_fields(said)
    if packet.kind == Kind.CODE:
        place = packet.place
        in_words = place and {"back": place.back, "steps": place.steps, "earlier_checksum": place.checksum}
        more = {"binding": packet.binding, "coding": Coding(packet.coding).name.lower(), "place": in_words}
        return {**fields, **format_fields(packet), **more}
    time, height, width = packet.feature_size
    name = {"name": packet.video_format} if packet.video_format else {}
    sizes = {"time": time, "height": height, "width": width}
    return {**fields, **name, **sizes, "fingerprint": f"{packet.fingerprint:016x}"}


def wanted_fields(wanted: Wanted) -> Fields:
    return {"kind": KINDS[wanted.kind], "most": wanted.most}


def request_fields(request: Request) -> Fields:
    question = request.question
    content = None if question is None else text_fields(question)
    return {"question": content, "wanted": None if request.wanted is None else wanted_fields(request.wanted)}


def text_fields(content: Text | Tokens) -> Fields:
    return {"text": content.value} if isinstance(content, Text) else {"tokens": list(content.ids)}


def content_fields(content: Any) -> Fields:
    if isinstance(content, Logits):
        return {"kind": "logits", "values": content.values.tolist()}
    if isinstance(content, TopK):
        return {"kind": "top-k", "classes": list(content.classes), "scores": list(content.scores)}
    if isinstance(content, TensorAnswer):
        array = content.values
        more = {"dtype": str(array.dtype), "shape": list(array.shape), "values": array.ravel().tolist()}
        return {"kind": "tensor", **more}
    return {"kind": "text" if isinstance(content, Text) else "tokens", **text_fields(content)}
