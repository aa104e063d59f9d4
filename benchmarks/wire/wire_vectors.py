"""Write `approxbit/wire/conformance.json`: messages with what they mean, for other implementations.

    python benchmarks/wire/wire_vectors.py  # the file is written again; a test checks that it is the same

`approxbit/wire/FORMAT.md` describes the file. Every vector is made by the library and must be understood in
the same way by the second implementation (`wire_reader.py`, `wire_decoder.py`), which knows the document
alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from wire_decoder import decode, read_tables
from wire_fields import fields_of
from wire_formats import BINDINGS, FINGERPRINT, FORMATS, HELLO, WELCOME, draw_planes, vector
from wire_malformed import malformed
from wire_reader import Fields, RefusedError, open_session, read

import approxbit.wire
from approxbit.wire import (
    Answer,
    AnswerKind,
    Binding,
    Coding,
    LateQuestion,
    Logits,
    Packet,
    Refusal,
    Request,
    Status,
    TensorAnswer,
    Text,
    Tokens,
    TopK,
    Wanted,
    WindowPlace,
    pack,
)
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import Reference

PATH = Path(approxbit.wire.__file__).with_name("conformance.json")

SHORT_REPLIES: list[tuple[str, Answer | Refusal]] = [
    ("top-k", Answer(7, TopK((3, 0, 239), (-0.25, -1.5, -1.5)), 0.25, 12.5)),
    ("top-k of 32-bit indices", Answer(255, TopK((70000, 1), (0.0, -65504.0)), 0, 65504)),
    ("logits", Answer(7, Logits(np.array([1.5, -0.0, 3.4e38], np.float32)))),
    ("an empty text", Answer(8, Text(""), 1, 2)),
    ("a text", Answer(8, Text("links\tund \U0001f600\n"), 1, 2)),
    ("no tokens", Answer(9, Tokens(()))),
    ("tokens", Answer(9, Tokens((0, 65535)), 1e-7, 3)),
    ("tokens of 32 bits", Answer(9, Tokens((65536, 2**32 - 1)))),
    ("a tensor without axes", Answer(9, TensorAnswer(np.array(-7, np.int32)))),
    ("a tensor of bytes", Answer(9, TensorAnswer(np.arange(6, dtype=np.uint8).reshape(1, 2, 3)))),
    ("a tensor of int64", Answer(9, TensorAnswer(np.array([-(2**63), 2**63 - 1])))),
    ("a tensor of float16", Answer(9, TensorAnswer(np.array([[1, -2]], np.float16)))),
    ("a tensor of float32", Answer(9, TensorAnswer(np.array([0.1], np.float32)))),
    ("a refusal", Refusal(7, "busy: 8 packets wait ≥ 1 s", Status.BUSY, 1500)),
    ("a refusal without words", Refusal(200, "", Status.NEEDS_KEY)),
]
REQUESTS = [
    ("with a text question", Request(Text("what moves?"))),
    ("with a token question", Request(Tokens((1, 65535)), Wanted(AnswerKind.TOKENS, 16384))),
    ("with a question of 32-bit tokens", Request(Tokens((151643,)), Wanted(AnswerKind.TEXT, 0))),
    ("with another answer wanted", Request(wanted=Wanted(AnswerKind.TOP_K, 255))),
]


def codes() -> Iterator[tuple[str, str, Packet, np.ndarray, str | None]]:
    """Name, format, packet, planes, and the name of the earlier code's message."""
    for name, known in FORMATS.items():
        binding = BINDINGS[name].number
        for coding, share in (("raw", 0.5), ("context", 0.97), ("context of ones", 1.0)):
            planes = draw_planes(name, share, len(name))
            packet = known.packet(planes, 41, binding)
            assert (packet.coding == Coding.RAW) == (coding == "raw")
            yield f"{name}, {coding}", name, packet, planes, None
        if known.prior is None or known.prior.update is None:
            continue
        earlier = draw_planes(name, 1.0, 0)
        for steps in range(known.prior.grid_size[0]):
            planes = earlier.copy()
            planes[0, 0] = 0
            coding, payload = encode_planes(planes, known.prior, Reference(earlier, steps))
            assert coding == Coding.UPDATE
            place = WindowPlace.after(pack(earlier), 2, steps)
            packet = replace(packet, payload=payload, coding=coding, place=place, sequence=43)
            yield (
                f"{name}, update {steps} time steps on",
                name,
                packet,
                planes,
                f"{name}, context of ones, short",
            )


def write_both(name: str, message: Any, binding: Binding, **more: Any) -> Iterator[Fields]:
    """The same message short and framed."""
    yield vector(f"{name}, short", binding.write(message), session="one", fields=fields_of(message), **more)
    yield vector(f"{name}, framed", message.to_bytes(), fields=fields_of(message), **more)


def messages() -> Iterator[Fields]:
    for message in (HELLO, WELCOME):
        yield vector(type(message).__name__.lower(), message.to_bytes(), fields=fields_of(message))
    for name, known, packet, planes, earlier in codes():
        bits = "".join(map(str, planes.ravel()))
        tables = None if packet.coding == Coding.RAW else known
        more = {"bits": bits, "tables": tables, "earlier": earlier}
        yield from write_both(name, packet, BINDINGS[known], **more)
    plain = FORMATS["tokens"].packet(draw_planes("tokens", 0.5, 1), 2**32 - 1)
    yield vector(
        "a code of no session",
        plain.to_bytes(),
        fields=fields_of(plain),
        bits="".join(map(str, plain.planes().ravel())),
    )
    binding = BINDINGS["small"]
    for name, request in REQUESTS:
        yield from write_both(
            f"a code {name}",
            FORMATS["small"].packet(draw_planes("small", 0.5, 2), 9, binding.number, request=request),
            binding,
        )
        clip = Packet.of_clip(np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3), 5, 8, request)
        yield vector(f"a clip {name}", clip.to_bytes(), fields=fields_of(clip))
        if request.question is not None:
            yield from write_both(
                f"a late question {name[5:]}", LateQuestion(10, 255, request, binding.number), binding
            )
    clip = Packet.of_clip(np.arange(36, dtype=np.uint8).reshape(2, 3, 2, 3), FINGERPRINT, 70000)
    video = Packet.of_video(bytes(range(40)), "mp4.h264", (16, 112, 112), FINGERPRINT, 70001)
    late = LateQuestion(70002, 1, Request(Text("?")))
    for name, message in (("a clip", clip), ("a video", video), ("a late question of no session", late)):
        yield vector(name, message.to_bytes(), fields=fields_of(message))
    for name, reply in SHORT_REPLIES:
        yield from write_both(name, reply, binding)


def all_vectors() -> Fields:
    tables = {name: known.prior.to_bytes().hex() for name, known in FORMATS.items() if known.prior}
    session = {"hello": HELLO.to_bytes().hex(), "welcome": WELCOME.to_bytes().hex()}
    about = {"format": "approxbit wire", "version": 1, "tables": tables, "sessions": {"one": session}}
    return {**about, "messages": list(messages()), "malformed": list(malformed())}


def check_with_second_implementation(vectors: Fields) -> None:
    """Let only vectors pass that the document alone explains.

    Raises:
        AssertionError: One is understood in another way.
    """
    bindings = {
        name: open_session(*(bytes.fromhex(each[side]) for side in ("hello", "welcome")))
        for name, each in vectors["sessions"].items()
    }
    tables = {name: read_tables(bytes.fromhex(each)) for name, each in vectors["tables"].items()}
    bits: dict[str | None, str] = {None: ""}
    for each in vectors["messages"]:
        fields = read(bytes.fromhex(each["bytes"]), bindings.get(each.get("session")))
        assert fields == each["fields"], (each["name"], fields, each["fields"])
        if "bits" in each:
            bits[each["name"]] = decode(fields, tables.get(each.get("tables")), bits[each.get("earlier")])
            assert bits[each["name"]] == each["bits"], each["name"]
    for each in vectors["malformed"]:
        assert is_refused(each, bindings, tables), each["name"]


def is_refused(each: Fields, bindings: Fields, tables: Fields) -> bool:
    try:
        fields = read(bytes.fromhex(each["bytes"]), bindings.get(each.get("session")))
        if "tables" in each:
            decode(fields, tables[each["tables"]])
    except RefusedError:
        return True
    return False


def to_text(vectors: Fields) -> str:
    """One line for each vector, so that a change is seen in a diff."""

    def lines(items: list[str]) -> str:
        return ",\n  ".join(items)

    def members(value: Fields) -> str:
        return (
            "{\n  "
            + lines([f"{json.dumps(key)}: {json.dumps(each)}" for key, each in value.items()])
            + "\n }"
        )

    parts = []
    for key, value in vectors.items():
        if isinstance(value, list):
            text = "[\n  " + lines([json.dumps(each) for each in value]) + "\n ]"
        else:
            text = members(value) if isinstance(value, dict) else json.dumps(value)
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    vectors = all_vectors()
    check_with_second_implementation(vectors)
    PATH.write_text(to_text(vectors), encoding="utf-8")
    print(
        f"{PATH}: {len(vectors['messages'])} messages, {len(vectors['malformed'])} malformed", file=sys.stderr
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
