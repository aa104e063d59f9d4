"""CPU seconds for one clip of 16 frames: `read_clip` beside torchcodec and decord, on one thread each.

    python benchmarks/speed/video.py FOLDER [--frames 17000] [--rounds 7]

The interpreter needs av, numpy, and whichever of torchcodec and decord are to be compared; torchcodec needs
FFmpeg's shared libraries besides. Films are made in FOLDER once: small pictures that carry their number in
black and white blocks. The readers take turns; a row is the least time of a reader over all rounds, what it
is of torchcodec's, and whether each frame was the one that SlowFast's rule asks for.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from approxbit.video import read_clip
from approxbit.video.sampling import segment_centres

BITS, HEIGHT, RATE, NUM_FRAMES = 15, 144, 25, 16
SHORT_FRAMES = 100
CONTAINERS = ("mp4", "mkv", "ts", "avi")
Reader = Callable[[str, np.ndarray], np.ndarray]


def read_by_approxbit(path: str, wanted: np.ndarray) -> np.ndarray:
    return read_clip(path, len(wanted))


def read_by_torchcodec(path: str, wanted: np.ndarray) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, num_ffmpeg_threads=1, seek_mode="exact", dimension_order="NHWC")
    return decoder.get_frames_at(wanted.tolist()).data.numpy()


def read_by_decord(path: str, wanted: np.ndarray) -> np.ndarray:
    from decord import VideoReader, cpu

    return VideoReader(path, ctx=cpu(0), num_threads=1).get_batch(wanted.tolist()).asnumpy()


READERS: dict[str, Reader] = {
    "approxbit": read_by_approxbit,
    "torchcodec": read_by_torchcodec,
    "decord": read_by_decord,
}


def burn(number: int) -> np.ndarray:
    frame = np.full((HEIGHT, 16 * BITS, 3), 128, np.uint8)
    for bit in range(BITS):
        frame[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    left = 3 * number % (16 * BITS - 30)
    frame[60:100, left : left + 30] = 255, 200, 0
    return frame


def numbers_of(frames: np.ndarray) -> list[int]:
    is_white = frames[:, 4:12].reshape(len(frames), 8, BITS, 16, 3)[:, :, :, 4:12].mean(axis=(1, 3, 4)) > 127
    return (is_white @ (1 << np.arange(BITS))).tolist()


def make_film(path: Path, num_frames: int) -> None:
    """H.264 with x264's own groups of up to 250 pictures and three B-frames."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 16 * BITS, HEIGHT, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.thread_count = 250, 1
        stream.codec_context.options = {"preset": "veryfast"}
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(burn(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as film, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)


def films(folder: Path, num_frames: int) -> list[tuple[Path, int]]:
    found = []
    for name, count in ((f"{num_frames}", num_frames), (f"{SHORT_FRAMES}", SHORT_FRAMES)):
        for container in CONTAINERS:
            path = folder / f"{name}.{container}"
            if not path.exists() and container in ("mp4", "avi"):  # AVI takes no packets of an MP4
                make_film(path, count)
            elif not path.exists():
                remux(folder / f"{name}.mp4", path)
            found.append((path, count))
    return found


def measure(path: Path, wanted: np.ndarray, readers: dict[str, Reader], rounds: int) -> dict[str, str]:
    seconds = {name: float("inf") for name in readers}
    verdicts = {}
    for _ in range(rounds):
        for name, read in readers.items():
            start = time.process_time()
            try:
                frames = read(str(path), wanted)
                verdicts[name] = "exact" if numbers_of(frames) == wanted.tolist() else "OTHER FRAMES"
            except Exception as error:  # each reader has its own
                verdicts[name] = f"FAILS: {str(error).strip().splitlines()[-1]}"
            seconds[name] = min(seconds[name], time.process_time() - start)
    base = seconds.get("torchcodec", seconds["approxbit"])
    return {name: f"{s:.4f} s  {s / base:.2f}  {verdicts[name]}" for name, s in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds for one clip of 16 frames")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=17_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    readers = {name: read for name, read in READERS.items() if importlib.util.find_spec(name)}
    for path, count in films(arguments.folder, arguments.frames):
        print(path.name)
        for name, row in measure(path, segment_centres(count, NUM_FRAMES), readers, arguments.rounds).items():
            print(f"  {name:12} {row}")


if __name__ == "__main__":
    main()
