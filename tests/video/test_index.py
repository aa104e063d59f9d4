"""What a container's index says of its packets is what reading them says, or it is not taken."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest

from approxbit.errors import VideoError
from approxbit.video import decoding, index, packets, read_clip
from approxbit.video.opening import Reopenable
from approxbit.video.packets import PacketReader
from approxbit.video.sampling import evenly_spaced

from .films import film, numbers_of

pytestmark = pytest.mark.skipif(
    not hasattr(av.stream.Stream, "index_entries"), reason="this PyAV shows no index"
)
FRAMES = list(range(50))
INDEXED = {
    "mp4": {},
    "mp4 without B-frames": {"options": {"bf": "0"}},
    "mp4, open groups": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "mp4, uneven times": {"time_of": lambda place: place * (place + 3) // 4},
    "mp4, negative delays": {"container_options": {"movflags": "negative_cts_offsets"}},
    "mov": {"container": "mov"},
    "mkv": {"container": "matroska"},
    "mkv without B-frames": {"container": "matroska", "options": {"bf": "0"}},
    "mkv, open groups": {"container": "matroska", "options": {"bf": "3", "x264-params": "open-gop=1"}},
    "mkv, uneven times": {"container": "matroska", "time_of": lambda place: place * (place + 3) // 4},
    "webm": {"container": "webm", "codec": "libvpx-vp9"},
    "avi": {"container": "avi"},
    "avi without B-frames": {"container": "avi", "codec": "ffv1"},
}


@pytest.fixture(params=INDEXED)
def indexed(request, monkeypatch) -> bytes:
    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    return film(**INDEXED[request.param])


def test_the_index_says_what_reading_says(indexed):
    with Reopenable(indexed) as source, PacketReader(source) as reader:
        read = reader.table
    with Reopenable(indexed) as source, PacketReader(source, by_index=True) as reader:
        assert reader.is_by_index
        found = reader.table
    assert np.array_equal(found.pts, read.pts) or (found.pts == packets.NO_TIME).all()
    is_known = found.dts != packets.NO_TIME
    assert np.array_equal(found.dts[is_known], read.dts[is_known])
    assert is_known.all() or (not is_known.any() and packets.NO_TIME in read.dts)
    for name in ("positions", "sizes", "is_key", "is_shown", "is_corrupt", "time_base"):
        assert np.array_equal(getattr(found, name), getattr(read, name)), name


def test_an_index_that_is_right_spares_reading_all_packets(indexed, monkeypatch):
    every = read_clip(indexed, 50)
    monkeypatch.setattr(PacketReader, "_scan", lambda self: pytest.fail("read all packets"))
    monkeypatch.setattr(decoding.Decoder, "decode_all", lambda self: pytest.fail("decoded all frames"))
    for places in ([0, 1], [49], [3, 3, 11, 13, 26, 44], [23, 24, 25], [11, 12]):
        few = read_clip(indexed, len(places), index_rule=lambda _, count, at=places: np.array(at[:count]))
        assert np.array_equal(few, every[places])


def test_sound_between_the_pictures_is_allowed(monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    for container in ("mp4", "avi", "matroska"):
        data = with_sound(container)
        with Reopenable(data) as source, PacketReader(source, by_index=True) as reader:
            assert (reader.is_by_index, len(reader)) == (True, 50)
        assert numbers_of(read_clip(data, 50)) == FRAMES


def with_sound(container: str) -> bytes:
    file, sound = io.BytesIO(), {"mp4": "aac", "avi": "mp2", "matroska": "aac"}[container]
    with av.open(file, "w", format=container) as output, av.open(io.BytesIO(film(container="avi"))) as film_:
        video = output.add_stream_from_template(film_.streams.video[0])
        audio = output.add_stream(sound, rate=32000)
        audio.layout = "mono"
        for number, packet in enumerate(film_.demux(video=0)):
            if packet.size:
                packet.stream, packet.pts = video, None if container == "avi" else packet.pts
                output.mux(packet)
            samples = np.zeros((1, 1152), np.int16 if container == "avi" else np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format=audio.format.name, layout="mono")
            frame.rate, frame.pts = 32000, 1152 * number
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return file.getvalue()


def unchanged(data: bytes) -> bytes:
    return data


def with_wrong_sizes(data: bytes) -> bytes:
    """The table of sizes of an MP4, or the index of an AVI, a byte too small for the 30th packet."""
    changed = bytearray(data)
    at = data.find(b"stsz") + 16 + 4 * 30 if b"stsz" in data else data.find(b"idx1") + 8 + 16 * 30 + 12
    order = ">I" if b"stsz" in data else "<I"
    struct.pack_into(order, changed, at, struct.unpack_from(order, data, at)[0] - 1)
    return bytes(changed)


def with_a_packet_less(data: bytes) -> bytes:
    """The index of an AVI without its last entry."""
    changed = bytearray(data)
    at = data.find(b"idx1")
    size = struct.unpack_from("<I", data, at + 4)[0]
    struct.pack_into("<I", changed, at + 4, size - 16)
    changed[at + 8 + size - 16 : at + 8 + size] = b"JUNK" + struct.pack("<I", 8) + bytes(8)
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "change"),
    [
        (film(container="avi"), with_wrong_sizes),
        (film(container="avi"), with_a_packet_less),
        (film(container_options={"movflags": "frag_keyframe"}), unchanged),
        (film(container_options={"movflags": "frag_keyframe+empty_moov"}), unchanged),
        (film(container="mpegts"), unchanged),
    ],
)
def test_an_index_that_may_be_wrong_is_not_taken(data, change, monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    with Reopenable(change(data)) as source, PacketReader(source, by_index=True) as reader:
        assert not reader.is_by_index
    assert numbers_of(read_clip(change(data), 50, on_damage="use")) == FRAMES


@pytest.mark.parametrize("column", ["positions", "sizes", "dts", "shown", "is_key", "is_shown"])
def test_a_packet_that_is_not_what_the_index_says_starts_over(column, monkeypatch):
    right = index.read_index

    def lie(*arguments):
        found = right(*arguments)
        if found is None or getattr(found, column) is None:
            return found
        changed = getattr(found, column).copy()
        changed[20:40] = ~changed[20:40] if changed.dtype == bool else changed[20:40][::-1] + 1
        return found._replace(**{column: changed})

    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    monkeypatch.setattr(packets, "read_index", lie)
    for data in (film(), film(container="avi"), film(container="matroska")):
        assert numbers_of(read_clip(data, 50, index_rule=evenly_spaced)) == FRAMES


def test_an_edit_list_is_read_by_the_index_or_not_at_all(monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", 0)
    assert numbers_of(read_clip(film(time_of=lambda place: place - 10), 40)) == FRAMES[10:]


@pytest.mark.parametrize(
    "options",
    [
        {"options": {"bf": "3", "x264-params": "open-gop=1"}},
        {"options": {"x264-params": "intra-refresh=1"}},
        {"options": {"flags": "+ilme+ildct", "x264-params": "interlaced=1"}},
        {"options": {"bf": "7", "x264-params": "b-adapt=0:ref=8:b-pyramid=normal"}},
        {"codec": "mpeg4", "options": {"bf": "2"}},
    ],
)
@pytest.mark.parametrize("held", [2000, 0])
def test_groups_of_avi_are_counted_right(options, held, monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", held)
    data = film(container="avi", **options)
    assert numbers_of(read_clip(data, 50)) == FRAMES
    for first in range(0, 50, 7):
        places = [first, min(first + 5, 49)]
        clip = read_clip(data, 2, index_rule=lambda _, count, at=places: np.array(at[:count]))
        assert numbers_of(clip) == places


def test_a_group_of_avi_one_of_whose_packets_holds_no_picture_is_refused(monkeypatch):
    whole = film(container="avi")
    with av.open(io.BytesIO(whole)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][14]
    data = bytearray(whole)
    data[packet.pos : packet.pos + packet.size] = bytes([0, 0, 0, 1, 9]) + b"\xff" * (packet.size - 5)
    assert numbers_of(read_clip(bytes(data), 1, index_rule=lambda *_: np.array([40]))) == [40]
    for held in (2000, 0):
        monkeypatch.setattr(packets, "_HELD_PACKETS", held)
        with pytest.raises(VideoError, match=r"1 frame missing from frame 1\d"):
            read_clip(bytes(data), 1, index_rule=lambda *_: np.array([17]))
