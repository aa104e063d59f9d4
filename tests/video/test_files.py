"""Real files lie about time, order, streams and orientation; their frames carry numbers that do not."""

from __future__ import annotations

import io
import os
import struct
import threading

import av
import numpy as np
import pytest

from approxbit.errors import VideoError
from approxbit.video import decoding, packets, read_clip, read_windows, video_info
from approxbit.video.preprocess import resize_short_side
from approxbit.video.sampling import evenly_spaced, segment_centres

from .films import RATE, burn, film, numbers_of, picture, song, with_streams

FRAMES = list(range(50))
PLAIN = {
    "mp4": {},
    "open groups": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "no key frames but the first": {"options": {"x264-params": "intra-refresh=1"}},
    "interlaced": {"options": {"flags": "+ilme+ildct", "x264-params": "interlaced=1"}},
    "fragments": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mkv before time 0": {"container": "matroska", "time_of": lambda place: place - 7},
    "late": {"container": "mpegts", "time_of": lambda place: place + 300},
    "avi with B-frames": {"container": "avi"},
    "avi": {"container": "avi", "codec": "mpeg4"},
    "mpeg-2": {"container": "mpegts", "codec": "mpeg2video", "options": {"bf": "2"}},
    "program stream": {"container": "mpeg", "codec": "mpeg2video", "options": {"bf": "2"}},
    "hidden frames": {
        "container": "webm",
        "codec": "libvpx",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "9"},
    },
    "33 bits": {
        "container": "mpegts",
        "container_options": {"output_ts_offset": "95442.4", "mpegts_copyts": "1"},
    },
    "flash": {"container": "flv"},
    "raw": {"container": "h264"},
}


@pytest.fixture(params=PLAIN)
def plain(request) -> bytes:
    return film(**PLAIN[request.param])


def test_every_frame_comes_once_at_its_time(plain):
    info = video_info(plain)
    assert (info.num_frames, bool(info.damage)) == (50, False)
    assert (info.frame_rate, info.duration_s) == (pytest.approx(RATE), pytest.approx(2))
    assert numbers_of(read_clip(plain, 50)) == FRAMES
    assert numbers_of(read_clip(plain, 25, 0.4, 1.4, index_rule=evenly_spaced)) == FRAMES[10:35]
    assert [number for window in read_windows(plain, 5, 5) for number in numbers_of(window)] == FRAMES


@pytest.mark.parametrize("held", [2000, 0])
def test_few_frames_are_the_same_as_all_frames(held, plain, monkeypatch):
    monkeypatch.setattr(packets, "_HELD_PACKETS", held)
    every = read_clip(plain, 50)
    for places in ([0, 1], [49], [3, 3, 11, 13, 26, 44], [23, 24, 25], [48, 49]):
        few = read_clip(
            plain, len(places), index_rule=lambda _, count, places=places: np.array(places[:count])
        )
        assert np.array_equal(few, every[places])


def test_only_the_groups_that_hold_wanted_frames_are_decoded(monkeypatch):
    monkeypatch.setattr(decoding.Decoder, "decode_all", lambda self: pytest.fail("decoded all of it"))
    for container in ("mp4", "matroska", "mpegts"):
        assert numbers_of(read_clip(film(container=container), 3)) == [8, 24, 41]


def test_a_clock_that_starts_again_goes_on():
    joined = film(range(20), "mpegts") + film(range(20, 35), "mpegts") + film(range(35, 50), "mpegts")
    info = video_info(joined)
    assert (info.num_frames, info.frame_rate, info.duration_s) == (50, pytest.approx(RATE), pytest.approx(2))
    assert numbers_of(read_clip(joined, 20, 0.4, 1.2, index_rule=evenly_spaced)) == FRAMES[10:30]


def test_an_edit_list_leaves_out_what_it_skips():
    whole = film(time_of=lambda place: place - 10)  # an MP4 says so by an edit list
    assert video_info(whole).num_frames == 40
    assert numbers_of(read_clip(whole, 40)) == FRAMES[10:]
    assert numbers_of(read_clip(whole, 5, 0.4, 0.6, index_rule=evenly_spaced)) == FRAMES[20:25]


def test_frames_are_uniform_by_index_or_in_time():
    slower = film(time_of=lambda place: place if place < 40 else 40 + 40 * (place - 40))
    assert numbers_of(read_clip(slower, 5, index_rule=evenly_spaced)) == [0, 12, 24, 36, 49]
    # From frame 40 on each takes 1.6 s. Shown at 0, 12/49, 24/49, 36/49 and all of the 16 s:
    by_time = read_clip(slower, 5, index_rule=evenly_spaced, uniform_in="time")
    assert numbers_of(by_time) == [0, 41, 43, 46, 49]
    assert video_info(slower).duration_s == pytest.approx((40 + 40 * 9) / 25 + 1.6, abs=1.6)
    with pytest.raises(ValueError, match="uniform_in must be 'index' or 'time', found 'space'"):
        read_clip(slower, 5, uniform_in="space")


def test_a_raw_stream_without_a_rate_has_no_times(monkeypatch):
    raw = film(container="h264")
    monkeypatch.setattr("approxbit.video.recording._codec_rate", lambda stream: None)
    info = video_info(raw)
    assert (info.num_frames, info.frame_rate, info.duration_s) == (50, None, None)
    assert numbers_of(read_clip(raw, 50)) == FRAMES
    with pytest.raises(VideoError, match="expected times, found none: sample the whole video, by index"):
        read_clip(raw, 4, 0.5, 1)


MATRICES = {
    "as it is": ((1, 0, 0, 1), lambda frame: frame),
    "turned right": ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    "turned left": ((0, -1, 1, 0), lambda frame: np.rot90(frame)),
    "upside down": ((-1, 0, 0, -1), lambda frame: frame[::-1, ::-1]),
    "mirrored": ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),
    "flipped": ((1, 0, 0, -1), lambda frame: frame[::-1]),
    "transposed": ((0, 1, 1, 0), lambda frame: frame.swapaxes(0, 1)),
    "transposed and turned": ((0, -1, -1, 0), lambda frame: frame.swapaxes(0, 1)[::-1, ::-1]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_frame_stands_as_its_matrix_says(name):
    (a, b, c, d), lay = MATRICES[name]
    data = bytearray(film(range(10)))
    at, one = data.index(b"tkhd") + 44, 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    stored, shown = read_clip(film(range(10)), 4), read_clip(bytes(data), 4)
    assert np.array_equal(shown, [lay(frame) for frame in stored])
    assert np.array_equal(next(read_windows(bytes(data), 1, 1))[0], lay(read_clip(film(range(10)), 10)[0]))
    assert video_info(bytes(data))[1:3] == shown.shape[2:0:-1]
    assert np.array_equal(read_clip(bytes(data), 4, short_side=24), resize_short_side(shown, 24))


def test_the_video_is_read_that_a_player_would_show():
    thumbnail, main = film(range(100, 105)), film()
    data = with_streams((thumbnail, 0), (main, 1))
    assert numbers_of(read_clip(data, 50)) == FRAMES
    assert numbers_of(read_clip(data, 5, stream=0)) == list(range(100, 105))
    assert video_info(data, stream=1).num_frames == 50
    with pytest.raises(VideoError, match="expected stream 7 to be a video, found videos: 0, 1"):
        read_clip(data, 5, stream=7)


def test_a_song_with_a_cover_is_sound_only():
    for cover in (b"", picture()):
        with pytest.raises(VideoError, match=r"expected a video stream, found sound only$"):
            video_info(song(cover))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("png", "rgb24", "PNG"),
        ("mjpeg", "yuvj420p", "JPEG"),
        ("gif", "rgb8", "GIF"),
        ("bmp", "bgr24", "BMP"),
        ("tiff", "rgb24", "TIFF"),
    ],
)
def test_a_picture_is_no_video_whatever_its_name(codec, pixel_format, name, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(picture(codec, pixel_format))
    with pytest.raises(VideoError, match=rf"found a picture \({name}\)"):
        read_clip(path, 4)


def test_animated_pictures_are_videos():
    for codec, container in (("gif", "gif"), ("apng", "apng")):
        frames = [burn(number) for number in range(5)]
        assert len(read_clip(_animated(frames, codec, container), 5)) == 5


def _animated(frames, codec, container):
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE)
        stream.width, stream.height = frames[0].shape[1::-1]
        stream.pix_fmt = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=stream.pix_fmt)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="this FFmpeg writes no AV1")
def test_a_decoder_that_cannot_change_what_it_skips_leaves_nothing_out():
    data = _animated([np.repeat(burn(number), 2, axis=0) for number in range(30)], "libsvtav1", "mp4")
    whole = read_clip(data, 30)
    assert video_info(data).num_frames == 30
    for num_frames in (3, 8, 16):
        assert np.array_equal(read_clip(data, num_frames), whole[segment_centres(30, num_frames)])


def test_a_file_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(film(range(8)))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(
        VideoError, match=r"clip\.mp4: expected a file that can be read, found Permission denied"
    ):
        read_clip(tmp_path / "clip.mp4", 8)


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4|b.mp4", "file:clip.mp4", "http:clip", "-", "clip%03d.mp4", "playlist.m3u8"):
        with open(name, "wb") as file:
            file.write(film(range(8)))
        assert numbers_of(read_clip(name, 8)) == FRAMES[:8]


def test_bytes_files_and_pipes_are_read(tmp_path):
    data = film()
    path = tmp_path / "clip"
    path.write_bytes(data)
    with open(path, "rb") as file:
        file.seek(100)
        assert numbers_of(read_clip(file, 50)) == FRAMES
    assert numbers_of(read_clip(io.BytesIO(data), 50)) == FRAMES
    reading, writing = os.pipe()
    thread = threading.Thread(target=_write_and_close, args=(writing, data))
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        assert numbers_of(read_clip(pipe, 50)) == FRAMES
    thread.join()
    with pytest.raises(TypeError, match="expected a path, bytes or a binary file, found StringIO"):
        read_clip(io.StringIO(), 4)
    with pytest.raises(VideoError, match="0 bytes: expected a video file, found an empty one"):
        read_clip(b"", 4)


def _write_and_close(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


def test_a_named_pipe_is_read_and_a_device_is_not(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(film(),))
    thread.start()
    assert numbers_of(read_clip(path, 50)) == FRAMES
    thread.join()
    with pytest.raises(VideoError, match="expected a video file, found a device or socket"):
        read_clip("/dev/null", 4)


def test_a_scaled_clip_is_what_preprocessing_would_make_of_the_whole_one():
    for short_side in (32, 40, 48, 100):
        expected = resize_short_side(read_clip(film(), 8), min(short_side, 48))
        assert np.array_equal(read_clip(film(), 8, short_side=short_side), expected)


def test_large_frames_are_scaled_from_their_own_planes(monkeypatch):
    plain = read_clip(film(), 8, short_side=24)
    monkeypatch.setattr("approxbit.video.clip._LARGE_FRAME_BYTES", 1)
    assert (
        np.abs(read_clip(film(), 8, short_side=24).astype(int) - plain).mean() < 4
    )  # chroma has half the size
