"""Matroska files written by hand: the headers of their blocks say what reading says, or are not taken."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import av
import numpy as np
import pytest

from approxbit.video import blocks, packets, read_clip
from approxbit.video.matroska import SEGMENT, element_of, walk
from approxbit.video.opening import Reopenable
from approxbit.video.packets import PacketReader

from .films import film, numbers_of

FRAMES = list(range(50))
CLUSTER, TRACKS, VOID = bytes.fromhex("1f43b675"), bytes.fromhex("1654ae6b"), b"\xec"


class Sample(NamedTuple):
    time: int
    is_key: bool
    data: bytes


def element(name: bytes, content: bytes, length_bytes: int = 8) -> bytes:
    return name + (len(content) | 1 << 7 * length_bytes).to_bytes(length_bytes, "big") + content


def block(time: int, data: bytes, flags: int = 0, track: bytes = b"\x81") -> bytes:
    return track + (time & 0xFFFF).to_bytes(2, "big") + bytes([flags]) + data


def simple(sample: Sample, start: int) -> bytes:
    content = block(sample.time - start, sample.data, 0x80 * sample.is_key)
    return element(b"\xa3", content, 1 if len(content) < 127 else 2)


def clock(start: int) -> bytes:
    return element(b"\xe7", start.to_bytes(4, "big"), 1)


def parts_of(whole: bytes) -> dict[bytes, bytes]:
    file = io.BytesIO(whole)
    return {each.name: whole[each.at : each.end] for each in walk(file, len(whole))}


WHOLE = film(container="matroska")
PARTS = parts_of(WHOLE)
TRACKS_CONTENT = PARTS[TRACKS][element_of(io.BytesIO(PARTS[TRACKS]), 0).start :]
EBML, INFORMATION = PARTS[bytes.fromhex("1a45dfa3")], PARTS[bytes.fromhex("1549a966")]
with av.open(io.BytesIO(WHOLE)) as container:
    SAMPLES = [
        Sample(packet.pts, packet.is_keyframe, bytes(packet))
        for packet in container.demux(video=0)
        if packet.size
    ]


def clusters(write: Callable[[Sample, int], bytes] = simple, first: bytes = b"", last: bytes = b"") -> bytes:
    """One for each ten packets; its time is that of its first one."""
    result = b""
    for at in range(0, len(SAMPLES), 10):
        start = SAMPLES[at].time
        content = b"".join(write(sample, start) for sample in SAMPLES[at : at + 10])
        result += element(CLUSTER, first + clock(start) + content + last)
    return result


def matroska(content: bytes, tracks: bytes = PARTS[TRACKS], behind: bytes = b"") -> bytes:
    return EBML + element(SEGMENT, INFORMATION + tracks + content) + behind


def changed_track(extra: bytes = b"", without: bytes = b"") -> bytes:
    """The tracks with something more in the only one."""
    start = TRACKS_CONTENT.index(b"\xae")
    track = element_of(io.BytesIO(TRACKS_CONTENT), start)
    content = TRACKS_CONTENT[track.start : track.end]
    if without:
        at = content.index(without)
        content = content[:at] + content[element_of(io.BytesIO(content), at).end :]
    return element(TRACKS, element(b"\xae", content + extra))


def group(sample: Sample, start: int) -> bytes:
    refers = b"" if sample.is_key else element(b"\xfb", b"\xff", 1)
    content = element(b"\xa1", block(sample.time - start, sample.data))
    return element(b"\xa0", content + element(b"\x9b", b"\x28", 1) + refers, 3)


def padded(sample: Sample, start: int) -> bytes:
    return element(VOID, bytes(5), 4) + simple(sample, start) + element(VOID, bytes(200), 2)


def tables(data: bytes) -> tuple[packets.PacketTable, packets.PacketTable, bool]:
    with Reopenable(data) as source, PacketReader(source) as reader:
        read = reader.table
    with Reopenable(data) as source, PacketReader(source, by_index=True) as reader:
        return read, reader.table, reader.is_by_index


def two_tracks(number: int) -> bytes:
    """Those of a film and of a sound."""
    sound = element(b"\xd7", bytes([number])) + element(b"\x83", b"\x02") + element(b"\x86", b"A_AC3")
    sound += element(b"\xe1", element(b"\xb5", bytes.fromhex("46fa0000")) + element(b"\x9f", b"\x01"))
    return element(TRACKS, TRACKS_CONTENT + element(b"\xae", sound))


def with_sound(sample: Sample, start: int) -> bytes:
    other = element(b"\xa3", block(sample.time - start, b"\x0b\x77" + bytes(60), 0x80, b"\x82"))
    return simple(sample, start) + other


PLAIN = {
    "simple blocks": matroska(clusters()),
    "groups": matroska(clusters(group)),
    "padding": matroska(element(VOID, bytes(9)) + clusters(padded) + element(VOID, b"")),
    "long lengths": matroska(
        clusters(lambda *each: element(b"\xa3", simple(*each)[-len(each[0].data) - 4 :]))
    ),
    "a second track": matroska(clusters(with_sound), two_tracks(2)),
}
NOT_PLAIN = {
    "laced": matroska(clusters(last=element(b"\xa3", block(0, b"\0abc", flags=2)))),
    "encrypted": matroska(clusters(last=element(b"\xaf", bytes(9)))),
    "an unknown part of a cluster": matroska(clusters(last=element(b"\x58\x54", bytes(9)))),
    "an empty block": matroska(clusters(last=element(b"\xa3", block(0, b"")))),
    "a block of nobody": matroska(clusters(last=element(b"\xa3", block(0, b"abc", track=b"\x83")))),
    "a track of two bytes": matroska(clusters(last=element(b"\xa3", block(0, b"abc", track=b"\x40\x01")))),
    "an open block": matroska(clusters(last=b"\xa3\xff" + block(0, bytes(123)))),
    "an open block of two bytes": matroska(clusters(last=b"\xa3\x7f\xff" + block(0, bytes(16379)))),
    "two clocks": matroska(clusters(last=clock(0))),
    "no clock": matroska(clusters() + element(CLUSTER, element(VOID, bytes(5)))),
    "an empty cluster": matroska(clusters() + element(CLUSTER, b"")),
    "a clock behind blocks": matroska(
        element(CLUSTER, b"".join(simple(sample, 0) for sample in SAMPLES[:10]) + clock(0))
    ),
    "before time 0": matroska(element(CLUSTER, clock(0) + element(b"\xa3", block(-40, SAMPLES[0].data)))),
    "a block longer than its cluster": matroska(element(CLUSTER, clock(0) + simple(SAMPLES[0], 0)[:-1])),
    "two blocks in a group": matroska(
        clusters(last=element(b"\xa0", element(b"\xa1", block(0, b"a")) + element(b"\xa1", block(0, b"b"))))
    ),
    "more in a group": matroska(
        clusters(last=element(b"\xa0", element(b"\xa1", block(0, b"a")) + element(b"\xa4", b"b")))
    ),
    "an open cluster": matroska(clusters() + CLUSTER + b"\x01" + b"\xff" * 7 + clock(0)),
    "a cluster behind the end": matroska(clusters())[:-1],
    "bytes behind the segment": matroska(clusters(), behind=bytes(20)),
    "two segments": matroska(clusters(), behind=element(SEGMENT, clusters())),
    "clusters before tracks": matroska(clusters() + PARTS[TRACKS], b""),
    "tracks twice": matroska(PARTS[TRACKS] + clusters()),
    "an unknown part": matroska(clusters() + element(b"\x1a\x45\xdf\xa4", b"")),
    "encoded content": matroska(clusters(), changed_track(element(b"\x6d\x80", b""))),
    "a clock of its own": matroska(clusters(), changed_track(element(b"\x23\x31\x4f", b"\x40\0\0\0"))),
    "a delay": matroska(clusters(), changed_track(element(b"\x56\xaa", b"\x01"))),
    "no duration": matroska(clusters(), changed_track(without=bytes.fromhex("23e383"))),
    "another codec": matroska(clusters(), PARTS[TRACKS].replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/ASP")),
    "two tracks of one number": matroska(clusters(), two_tracks(1)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_counted_by_its_blocks(name, monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    read, found, is_by_index = tables(PLAIN[name])
    assert (is_by_index, len(found.pts)) == (True, 50)
    for column in ("pts", "durations", "positions", "sizes", "is_key", "is_shown", "is_corrupt"):
        assert np.array_equal(getattr(found, column), getattr(read, column)), column
    assert numbers_of(read_clip(PLAIN[name], 50)) == FRAMES


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_not_counted_by_its_blocks(name):
    data = NOT_PLAIN[name]
    num_tracks = 1 + (name == "two tracks of one number")
    assert blocks.blocks_of(io.BytesIO(PLAIN["simple blocks"]), len(PLAIN["simple blocks"]), 0, 1) is not None
    assert blocks.blocks_of(io.BytesIO(data), len(data), 0, num_tracks) is None


def test_a_film_is_looked_at_in_batches(monkeypatch):
    data = PLAIN["groups"]
    whole = blocks.blocks_of(io.BytesIO(data), len(data), 0, 1)
    monkeypatch.setattr(blocks, "_BATCH_BYTES", 1)
    parts = blocks.blocks_of(io.BytesIO(data), len(data), 0, 1)
    assert None not in (whole, parts)
    assert all(np.array_equal(*columns) for columns in zip(whole, parts, strict=True))


def test_too_many_children_or_too_large_a_cluster_are_not_looked_at(monkeypatch):
    data = PLAIN["simple blocks"]
    monkeypatch.setattr(blocks, "_MOST_CHILDREN", 5)
    assert blocks.blocks_of(io.BytesIO(data), len(data), 0, 1) is None
    monkeypatch.undo()
    monkeypatch.setitem(blocks._LARGEST_BYTES, CLUSTER, 50)
    assert blocks.blocks_of(io.BytesIO(data), len(data), 0, 1) is None


def test_a_short_film_is_not_counted_by_its_blocks(monkeypatch):
    monkeypatch.setattr(packets, "read_index", lambda *_: pytest.fail("looked at"))
    assert numbers_of(read_clip(WHOLE, 50)) == FRAMES
