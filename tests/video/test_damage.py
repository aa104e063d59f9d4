"""Damaged files are refused, or used with a count of what is missing; never taken for whole ones."""

from __future__ import annotations

import io
import warnings
from itertools import islice

import av
import pytest

from approxbit.errors import VideoError
from approxbit.video import read_clip, read_windows, structure, video_info
from approxbit.video.damage import Damage, VideoWarning
from approxbit.video.sampling import evenly_spaced

from .films import RATE, burn, film, numbers_of

CONTAINERS = {
    "mp4": {},
    "matroska": {"container": "matroska"},
    "webm": {"container": "webm", "codec": "libvpx"},
    "webm, VP9": {"container": "webm", "codec": "libvpx-vp9"},
    "avi": {"container": "avi"},
    "mpeg4": {"container": "avi", "codec": "mpeg4"},
    "mpegts": {"container": "mpegts"},
    "mpeg2": {"container": "mpegts", "codec": "mpeg2video"},
    "flv": {"container": "flv"},
}


@pytest.fixture(params=CONTAINERS)
def whole(request) -> bytes:
    return film(**CONTAINERS[request.param])


def place_of(data: bytes, packet: int) -> int:
    """Where the data of a packet begins."""
    with av.open(io.BytesIO(data)) as container:
        return next(islice(container.demux(video=0), packet, None)).pos


@pytest.mark.parametrize("packet", [13, 24, 37, 49])
def test_a_file_that_is_cut_off_is_refused_or_counted(packet, whole):
    half = whole[: place_of(whole, packet) + 20]
    if b"ftyp" in whole:  # an MP4 has its table at the end
        with pytest.raises(VideoError, match="expected a video of a known container, found "):
            read_clip(half, 50)
        return
    with pytest.raises(VideoError, match=r"frames? (missing|damaged) from frame "):
        read_clip(half, 50)
    info = video_info(half, on_damage="use")
    assert packet - 4 <= info.num_frames <= packet + 1
    assert info.damage.num_missing + info.damage.num_damaged > 0
    with pytest.warns(VideoWarning, match="missing|damaged"):
        clip = read_clip(half, 4, on_damage="warn")
    assert numbers_of(clip)[0] in range(10)


@pytest.mark.parametrize("num_bytes", [100, 900])
@pytest.mark.parametrize("packet", [15, 24, 35])
def test_a_hole_in_the_middle_is_refused_or_counted(packet, num_bytes, whole):
    data = bytearray(whole)
    start = place_of(whole, packet) + 2
    data[start : start + num_bytes] = bytes(num_bytes)
    with pytest.raises(VideoError, match=r"frames? (missing|damaged) from frame "):
        video_info(bytes(data))
    assert video_info(bytes(data), on_damage="use").damage


def test_windows_media_and_gif_know_where_they_end():
    for whole in (_silent_film("asf", "wmv2", "yuv420p"), _silent_film("gif", "gif", "rgb8")):
        assert not video_info(whole).damage
        for share in (0.5, 0.6, 0.7, 0.8, 0.9):
            cut = whole[: int(len(whole) * share)]
            with pytest.raises(
                VideoError, match=r"(missing|damaged) from frame .*: (the file is cut off|the dec)"
            ):
                video_info(cut)
        with pytest.raises(VideoError, match=r"1 frame missing .* the file is cut off, 1 bytes short"):
            video_info(whole[:-1])


def test_a_gif_without_some_of_its_bytes_is_refused():
    whole = _silent_film("gif", "gif", "rgb8")
    middle = len(whole) // 2
    for num_bytes in (1, 20, 100):
        with pytest.raises(VideoError, match=r"do not fill it|the file is cut off"):
            read_clip(whole[:middle] + whole[middle + num_bytes :], 4)
    zeros = whole[:middle] + bytes(20) + whole[middle + 20 :]
    info = video_info(zeros, on_damage="use")
    assert "the codes of its picture do not fill it" in info.damage.describe()
    assert info.damage.first_frame in range(10, 20)


def test_a_y4m_a_nut_and_a_film_of_jpegs_that_are_cut_off_are_refused():
    for whole in (
        _silent_film("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
        _silent_film("yuv4mpegpipe", "wrapped_avframe", "yuv444p"),
        _silent_film("yuv4mpegpipe", "wrapped_avframe", "gray"),
        _silent_film("mjpeg", "mjpeg", "yuvj420p"),
        film(container="nut"),
    ):
        assert not video_info(whole).damage
        for share in (0.31, 0.57, 0.83):
            with pytest.raises(VideoError, match=r"(missing|damaged) from frame "):
                read_clip(whole[: int(len(whole) * share)], 4)


@pytest.mark.parametrize(
    ("header", "num_bytes"),
    [
        (b"YUV4MPEG2 W5 H3 F25:1", 5 * 3 + 2 * 3 * 2),
        (b"YUV4MPEG2 W5 H3 C420jpeg XYSCSS=420JPEG", 5 * 3 + 2 * 3 * 2),
        (b"YUV4MPEG2 W5 H3 C420p10", 2 * (5 * 3 + 2 * 3 * 2)),
        (b"YUV4MPEG2 C422 W5 H3", 5 * 3 + 2 * 3 * 3),
        (b"YUV4MPEG2 W5 H3 C411", 5 * 3 + 2 * 2 * 3),
        (b"YUV4MPEG2 W5 H3 C444alpha", 4 * 5 * 3),
        (b"YUV4MPEG2 W5 H3 C444p16 XYSCSS=444P16", 2 * 3 * 5 * 3),
        (b"YUV4MPEG2 W5 H3 Cmono", 5 * 3),
        (b"YUV4MPEG2 W5 H3 Cmono12", 2 * 5 * 3),
        (b"YUV4MPEG2 W5 H3 C999", 0),
        (b"YUV4MPEG2 W5", 0),
    ],
)
def test_the_length_of_a_frame_of_y4m_follows_from_its_header(header, num_bytes):
    assert structure._bytes_of_y4m_frame(header) == num_bytes


def test_each_changed_byte_of_ogg_and_of_a_matroska_by_ffmpeg_is_found():
    for container, codec in (("ogg", "libvpx"), ("matroska", "libvpx-vp9")):
        whole = film(range(30), container, codec)
        assert not video_info(whole).damage
        for place in range(len(whole) // 4, len(whole) * 3 // 4, 97):
            changed = whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
            with pytest.raises(VideoError, match=r"(missing|damaged) from frame "):
                video_info(changed)


def test_an_ogg_that_lacks_a_page_or_its_end_is_refused():
    whole = film(range(60), "ogg", "libtheora" if "libtheora" in av.codecs_available else "libvpx")
    pages = [b"OggS" + page for page in whole.split(b"OggS")[1:]]
    for less in (pages[:-1], pages[:2] + pages[3:]):
        if len(less) > 2:
            with pytest.raises(VideoError, match=r"(missing|damaged) from frame "):
                read_clip(b"".join(less), 4)
    with pytest.raises(VideoError, match=r"(missing|damaged) from frame .*the file is cut off"):
        read_clip(whole[:-30], 4)


def _silent_film(container, codec, pixel_format):
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE)
        stream.height, stream.width = burn(0).shape[:2]
        stream.pix_fmt = pixel_format
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(burn(number), format="rgb24").reformat(format=pixel_format)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def test_what_is_missing_is_counted_by_what_the_file_promised():
    whole = film(container="matroska", options={"bf": "0"})
    cut = whole[: int(len(whole) * 0.6)]
    info = video_info(cut, on_damage="use")
    assert info.num_frames + info.damage.num_missing == 50
    assert info.damage.first_frame == info.num_frames
    assert info.damage.first_s == pytest.approx(info.num_frames / 25)
    counts = f"{info.damage.num_missing} frames missing from frame {info.num_frames}"
    message = rf"{counts} \(0\.\d\d s\) on: the file is cut off, \d+ bytes short"
    with pytest.raises(VideoError, match=message):
        read_clip(cut, 4)


def test_damage_outside_of_what_is_decoded_does_not_count():
    data = bytearray(film(options={"bf": "0"}))
    start = place_of(bytes(data), 40)
    data[start + 8 : start + 28] = bytes(20)
    assert numbers_of(read_clip(bytes(data), 12, 0, 0.48, index_rule=evenly_spaced)) == list(range(12))
    with pytest.raises(VideoError, match="from frame 40"):
        read_clip(bytes(data), 50)


def test_windows_come_up_to_the_damage():
    whole = film(container="matroska", options={"bf": "0"})
    found: list[int] = []
    with pytest.raises(VideoError, match="the file is cut off"):
        found.extend(n for w in read_windows(whole[: place_of(whole, 33)], 5, 5) for n in numbers_of(w))
    assert found == list(range(30))


def test_a_stream_that_begins_between_key_frames_says_what_it_lacks():
    whole = film(container="mpegts")
    info = video_info(whole[188 * 20 :], on_damage="use")
    assert info.damage.first_frame == 0
    assert info.num_frames + info.damage.num_missing <= 50


def test_whole_files_raise_no_warning(whole):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert numbers_of(read_clip(whole, 50, on_damage="warn")) == list(range(50))


def test_the_earliest_damage_gives_the_reason():
    damage = Damage().add(2, 0, 30, 1.2, "late").add(0, 1, 10, 0.4, "early").add(1, 0, 20, 0.8, "between")
    assert damage.describe() == "3 frames missing and 1 frame damaged from frame 10 (0.40 s) on: early"
    assert not Damage()


def test_another_word_for_damage_is_refused():
    for read in (
        lambda: read_clip("a", 4, on_damage="skip"),
        lambda: next(read_windows("a", 4, 1, on_damage="skip")),
    ):
        with pytest.raises(ValueError, match="on_damage must be one of error, warn, use, found 'skip'"):
            read()
    with pytest.raises(ValueError, match="found 'skip'"):
        video_info("a", on_damage="skip")
