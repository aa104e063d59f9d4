"""The vectors for other implementations: made by the library, understood by the document alone."""

from __future__ import annotations

import importlib.resources
import json
from types import ModuleType
from typing import Any

import pytest

import approxbit.wire
from approxbit.errors import WireError
from approxbit.wire import Binding, Hello, Packet, PriorTables, Welcome, is_short, read_reply, read_sent

Vector = dict[str, Any]
TEXT = (importlib.resources.files(approxbit.wire) / "conformance.json").read_text(encoding="utf-8")
VECTORS = json.loads(TEXT)
TABLES = {name: PriorTables.from_bytes(bytes.fromhex(each)) for name, each in VECTORS["tables"].items()}


def bindings_of(vector: Vector) -> dict[int, Binding]:
    if "session" not in vector:
        return {}
    session = VECTORS["sessions"][vector["session"]]
    hello = Hello.from_bytes(bytes.fromhex(session["hello"]))
    return hello.bindings(Welcome.from_bytes(bytes.fromhex(session["welcome"])))


def read(vector: Vector) -> Any:
    """The message of a vector, whoever sends it."""
    data, bindings = bytes.fromhex(vector["bytes"]), bindings_of(vector)
    try:
        return read_sent(data, bindings)
    except WireError as error:
        if str(error).split(":")[0] not in ("kind", "kind of the short message"):
            raise
        return read_reply(data, bindings)


def decode(vector: Vector) -> None:
    message = read(vector)
    assert isinstance(message, Packet)
    message.planes(TABLES[vector["tables"]])


def test_the_file_is_what_the_command_writes(wire_vectors: ModuleType) -> None:
    assert wire_vectors.to_text(wire_vectors.all_vectors()) == TEXT


def test_the_document_alone_explains_every_vector(wire_vectors: ModuleType) -> None:
    wire_vectors.check_with_second_implementation(VECTORS)


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_a_message_is_read_as_the_file_says_and_written_again(
    vector: Vector, wire_vectors: ModuleType
) -> None:
    message, data = read(vector), bytes.fromhex(vector["bytes"])
    assert json.loads(json.dumps(wire_vectors.fields_of(message))) == vector["fields"]
    binding = bindings_of(vector).get(int.from_bytes(data[1:3], "big"))
    assert (message.to_bytes() if binding is None else binding.write(message)) == data
    if "bits" in vector:
        planes = message.planes(TABLES.get(vector.get("tables")), earlier_planes(vector))
        assert "".join(map(str, planes.ravel())) == vector["bits"]


def earlier_planes(vector: Vector) -> Any:
    if "earlier" not in vector:
        return None
    (earlier,) = (each for each in VECTORS["messages"] if each["name"] == vector["earlier"])
    return read(earlier).planes(TABLES.get(earlier.get("tables")))


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=lambda vector: vector["name"])
def test_a_malformed_message_is_refused_for_the_field_that_the_file_names(vector: Vector) -> None:
    with pytest.raises(WireError) as raised:
        decode(vector)
    assert str(raised.value).split(":")[0] == vector["field"]


def test_the_file_has_messages_of_every_kind_in_both_forms() -> None:
    found = {(each["fields"]["kind"], is_short(bytes.fromhex(each["bytes"]))) for each in VECTORS["messages"]}
    both = {(kind, form) for kind in ("CODE", "QUESTION", "ANSWER", "REFUSAL") for form in (False, True)}
    assert found == both | {(kind, False) for kind in ("HELLO", "WELCOME", "CLIP", "VIDEO")}
    codings = {
        each["fields"].get("coding") for each in VECTORS["messages"] if each["fields"]["kind"] == "CODE"
    }
    assert codings == {"raw", "context", "update"}
    names = [each["name"] for each in VECTORS["messages"] + VECTORS["malformed"]]
    assert len(set(names)) == len(names) > 150


def test_the_second_implementation_does_not_use_the_first(wire_reader: ModuleType) -> None:
    assert "approxbit" not in {name.partition(".")[0] for name in vars(wire_reader)}
    assert wire_reader.crc_16(b"123456789") == 0x31C3
    assert wire_reader.crc_32(b"123456789") == 0xCBF43926
