from __future__ import annotations

import re
import struct

import av
import numpy as np
import pytest

from approxbit.errors import VideoError
from approxbit.video.reader import read_clip, read_windows, video_info
from approxbit.video.sampling import evenly_spaced
from approxbit.video.writer import encode_video, write_video

RAMP = np.stack(
    np.broadcast_arrays(
        np.linspace(0, 255, 32)[None, None, :],
        np.linspace(0, 255, 32)[None, :, None],
        np.full((16, 1, 1), 90.0),
    ),
    axis=-1,
).astype(np.uint8)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.avi"])
def test_written_frames_come_back_in_order(name, make_video, read_numbers):
    path = make_video(name)
    frames = read_clip(path, 16)
    assert (frames.shape, frames.dtype) == ((16, 32, 32, 3), np.uint8)
    assert read_numbers(frames) == list(range(16))
    assert read_numbers(read_clip(path, 4)) == [2, 6, 9, 13]  # segments start at 0, 4, 8, 11 and end at 15


@pytest.mark.parametrize(("codec", "container"), [("libx264", "mp4"), ("libvpx-vp9", "webm")])
def test_colours_survive_within_a_few_grey_levels(codec, container, tmp_path):
    path = tmp_path / "ramp"
    path.write_bytes(encode_video(RAMP, 10, crf=5, codec=codec, container=container))
    error = np.abs(read_clip(path, 16).astype(int) - RAMP)
    assert error.mean(axis=(0, 1, 2)).max() < 4  # chroma is subsampled


def test_a_short_video_repeats_frames(make_video, read_numbers):
    assert read_numbers(read_clip(make_video("short.mp4", num_frames=3), 4)) == [0, 0, 1, 2]


def test_a_single_frame_fills_a_clip(make_video, read_numbers):
    assert read_numbers(read_clip(make_video("one.mp4", num_frames=1), 8)) == [0] * 8


def test_min_frames_refuses_a_video_that_is_too_short(make_video):
    path = make_video("short.mp4", num_frames=3)
    assert len(read_clip(path, 8, min_frames=3)) == 8
    with pytest.raises(VideoError, match=rf"{re.escape(str(path))}: expected at least 4 frames, found 3"):
        read_clip(path, 8, min_frames=4)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.avi"])
def test_a_window_holds_the_frames_from_its_start_to_before_its_end(name, make_video, read_numbers):
    path = make_video(name)
    assert read_numbers(read_clip(path, 3, 0.3, 0.6, index_rule=evenly_spaced)) == [3, 4, 5]
    assert read_numbers(read_clip(path, 4, 1.2, index_rule=evenly_spaced)) == [12, 13, 14, 15]


def test_a_window_outside_the_video_is_an_error(make_video):
    path = make_video("clip.mp4")
    with pytest.raises(VideoError, match=r"clip.mp4: expected at least 1 frames from 5 s to 6 s, found 0"):
        read_clip(path, 4, 5, 6)
    with pytest.raises(VideoError, match=r"at least 1 frames from 5 s to the end, found 0"):
        read_clip(path, 4, 5)


def test_the_frame_count_of_a_lying_header_is_not_believed(make_video, read_numbers):
    path = make_video("liar.mp4")
    data = bytearray(path.read_bytes())
    for box in (b"mdhd", b"mvhd"):  # claim half the duration
        at = data.index(box) + 20
        data[at : at + 4] = struct.pack(">I", struct.unpack(">I", data[at : at + 4])[0] // 2)
    path.write_bytes(bytes(data))
    assert video_info(path).num_frames == 16
    assert read_numbers(read_clip(path, 16, index_rule=evenly_spaced)) == list(range(16))


@pytest.mark.parametrize(
    ("step", "starts"),
    [(1, range(0, 9)), (4, (0, 4, 8)), (3, (0, 3, 6)), (8, (0, 8)), (9, (0,)), (100, (0,))],
)
def test_windows_slide_over_the_whole_video(step, starts, make_video, read_numbers):
    windows = list(read_windows(make_video("clip.mp4"), 8, step))
    assert {window.shape for window in windows} == {(8, 32, 32, 3)}
    assert [read_numbers(window) for window in windows] == [list(range(start, start + 8)) for start in starts]


def test_a_video_shorter_than_a_window_is_an_error(make_video):
    path = make_video("short.mp4", num_frames=3)
    with pytest.raises(VideoError, match=rf"{re.escape(str(path))}: expected at least 4 frames, found 3"):
        list(read_windows(path, 4, 1))
    assert len(list(read_windows(path, 3, 1))) == 1
    for num_frames, step in [(0, 1), (1, 0)]:
        with pytest.raises(ValueError, match="num_frames and step must be at least 1, found"):
            list(read_windows(path, num_frames, step))


def test_info_is_measured_on_the_frames(make_video):
    info = video_info(make_video("clip.mp4", height=32, width=48, frame_rate=25))
    assert (info.num_frames, info.width, info.height, info.codec) == (16, 48, 32, "h264")
    assert info.frame_rate == pytest.approx(25)
    assert info.duration_s == pytest.approx(16 / 25)


def test_info_of_a_single_frame_uses_the_rate_of_the_header(make_video):
    info = video_info(make_video("one.mp4", num_frames=1, frame_rate=20))
    assert (info.num_frames, info.frame_rate, info.duration_s) == (1, 20, pytest.approx(0.05))


def test_a_stream_without_times_is_timed_by_its_rate(numbered, tmp_path, read_numbers):
    path = tmp_path / "raw.h264"
    path.write_bytes(encode_video(numbered(16), 25, crf=15, container="h264"))
    assert video_info(path).num_frames == 16
    assert len(read_clip(path, 4)) == 4


def test_an_odd_size_is_padded_to_even(tmp_path):
    path = tmp_path / "odd.mp4"
    write_video(path, RAMP[:, :31, :29], 10, crf=5)
    assert read_clip(path, 2).shape == (2, 32, 30, 3)


@pytest.mark.skipif(not hasattr(av.VideoFrame, "rotation"), reason="this PyAV does not report rotation")
def test_a_video_of_a_rotated_phone_stands_upright(tmp_path):
    path = tmp_path / "phone.mp4"
    write_video(path, RAMP[:, :, :24], 10, crf=5)
    upright = read_clip(path, 1)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    one = 1 << 16
    # [a b u c d v x y w] of a quarter turn clockwise: x' = -y, y' = x
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 32 * one, 0, 1 << 30)
    path.write_bytes(bytes(data))
    assert np.array_equal(read_clip(path, 1), np.rot90(upright, -1, axes=(1, 2)))
    assert video_info(path)[1:3] == (32, 24)


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path):
    small = encode_video(RAMP[:4, :16, :16], 10, container="h264")
    path = tmp_path / "grows.h264"
    path.write_bytes(encode_video(RAMP[:4], 10, container="h264") + small)
    assert read_clip(path, 8, index_rule=evenly_spaced).shape == (8, 32, 32, 3)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("libx264", "matroska")],
)
def test_same_frames_give_same_bytes(codec, container):
    def encode():
        dirt = [np.random.default_rng(i).bytes(4096) for i in range(200)]  # what x264's mbtree would read
        del dirt
        return encode_video(RAMP, 10, codec=codec, container=container)

    assert len({encode() for _ in range(6)}) == 1


def test_a_lower_crf_takes_more_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    for codec, container in (("libx264", "mp4"), ("libvpx-vp9", "webm")):
        sizes = [len(encode_video(noise, 10, crf, codec, container)) for crf in (5, 25, 45)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 1.5 * sizes[2]


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="frame_rate must be above 0, found 0"):
        write_video(tmp_path / "clip.mp4", RAMP, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found an empty one"),
        (b"\0" * 1000, "found .*Invalid data"),
        (b"<html>404</html>", "found a text"),
        (b"#EXTM3U\n#EXTINF:4,\nclip.mp4\n", "found a list of other files, which is not followed"),
        (b"ffconcat version 1.0\nfile clip.mp4\n", "found a list of other files"),
    ],
)
def test_a_file_that_is_no_video_is_named(content, found, tmp_path):
    path = tmp_path / "page.mp4"
    path.write_bytes(content)
    for read in (video_info, lambda path: read_clip(path, 4)):
        with pytest.raises(VideoError, match=rf"{re.escape(str(path))}: expected a video .*{found}"):
            read(path)


def test_a_truncated_video_is_named(make_video):
    path = make_video("half.mp4")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(VideoError, match=r"half.mp4: expected a video of a known container, found"):
        read_clip(path, 4)


def test_a_damaged_video_is_named_without_noise(damaged_video, capfd):
    with pytest.raises(
        VideoError, match=r"damaged.mp4: expected a whole video, found 16 frames missing from"
    ):
        read_clip(damaged_video, 4)
    assert capfd.readouterr() == ("", "")


def test_a_video_of_an_unknown_codec_is_named(make_video):
    path = make_video("exotic.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"free"))
    with pytest.raises(
        VideoError, match=r"exotic.mp4: expected a codec that this FFmpeg decodes, found an unknown"
    ):
        read_clip(path, 4)


def test_sound_alone_is_no_video(audio_file):
    with pytest.raises(VideoError, match=r"sound.wav: expected a video stream, found sound only"):
        video_info(audio_file)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(VideoError, match=r"absent.mp4: expected a video file, found none"):
        read_clip(tmp_path / "absent.mp4", 4)
    with pytest.raises(VideoError, match=r"expected a video file, found a folder"):
        read_clip(tmp_path, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0}, "num_frames and min_frames must be at least 1, found 0 and 1"),
        ({"num_frames": 4, "min_frames": 0}, "found 4 and 0"),
        (
            {"num_frames": 4, "start_s": 2, "end_s": 1},
            "0 <= start_s < end_s must hold, found start_s=2 and end_s=1",
        ),
        ({"num_frames": 4, "start_s": -1}, "found start_s=-1 and end_s=None"),
    ],
)
def test_arguments_of_reading_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_clip("any.mp4", **arguments)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (RAMP.astype(np.float32), {}, "uint8 of shape .* found float32 of shape"),
        (RAMP[..., :2], {}, r"found uint8 of shape \[16, 32, 32, 2\]"),
        (RAMP[:0], {}, r"at least one frame, found uint8 of shape \[0, 32, 32, 3\]"),
        (RAMP, {"codec": "h2645"}, "codec must be an encoder of this PyAV, found 'h2645'"),
    ],
)
def test_arguments_of_encoding_are_checked(frames, options, message):
    with pytest.raises(ValueError, match=message):
        encode_video(frames, 10, **options)


def test_an_unknown_extension_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"clip.gifv: the extension must be one of .mp4, .webm, .avi, .mkv"):
        write_video(tmp_path / "clip.gifv", RAMP, 10)
