"""Peak memory of one clip of 16 frames at 224 from 4K at 10 bits, above what the interpreter takes.

    python benchmarks/speed/video_memory.py FOLDER

Films of 26 frames, with up to three B-frames and three references, are made in FOLDER once, which takes
minutes. Each is read in a process of its own by `read_clip`, and decoded in another from start to end with
nothing kept, which is what FFmpeg's decoder alone takes. Linux only: the peak is that of /proc.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from approxbit.video import read_clip

WIDTH, HEIGHT, NUM_FRAMES = 3840, 2160, 26
CODECS = {
    "libx264": {"preset": "ultrafast", "x264-params": "bframes=3:b-adapt=0:ref=3"},
    "libx265": {"preset": "ultrafast", "x265-params": "bframes=3:b-adapt=0:ref=3:log-level=none"},
}
FRAME_MB = {"yuv420p10le": WIDTH * HEIGHT * 3 / 1e6, "yuv444p10le": WIDTH * HEIGHT * 6 / 1e6}
WAYS = {
    "read_clip": lambda path: read_clip(path, 16, short_side=224),
    "decoder alone": lambda path: decode(path),
}


def make_film(path: Path, codec: str, pixel_format: str) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3), np.uint8)
    picture = np.kron(blocks, np.ones((40, 40, 1), np.uint8))
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        stream.codec_context.gop_size, stream.codec_context.thread_count = 12, 1
        stream.codec_context.options = CODECS[codec]
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 8 * number, axis=1), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame.reformat(format=pixel_format)))
        output.mux(stream.encode(None))


def decode(path: str) -> None:
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in film.demux(stream):
            frames = stream.codec_context.decode(packet)
            while frames:
                frames.pop(0)


def megabytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name + ":"))


def measure(way: str, path: str) -> None:
    before = megabytes("VmRSS")
    WAYS[way](path)
    print(f"{megabytes('VmHWM') - before:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="peak memory of a clip from 4K")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for codec in CODECS:
        for pixel_format, frame_mb in FRAME_MB.items():
            path = arguments.folder / f"{codec}-{pixel_format}.mp4"
            if not path.exists():
                make_film(path, codec, pixel_format)
            command = [sys.executable, __file__, str(arguments.folder), "--measure"]
            peaks = {
                way: subprocess.run(
                    [*command, way, str(path)], check=True, capture_output=True, text=True
                ).stdout.strip()
                for way in WAYS
            }
            print(f"{path.name}: a frame is {frame_mb:.0f} MB; peaks in MB: {peaks}")


if __name__ == "__main__":
    main()
