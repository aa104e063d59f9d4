"""What late questions cost in bytes: our codes, compressed video, and what needs no code at all.

    python benchmarks/figures/scenes.py --measure validation   # stored after each method
    python benchmarks/figures/scenes.py --measure test         # and test_b
    python benchmarks/figures/scenes.py --write                # table and picture in RESULTS.md

With APPROXBIT_CHECKPOINTS=FOLDER, `--only code --label "seed 2"` measures codecs that do not ship.

Every method gets the same scenes and the same questions, drawn when its code is already there. Families of
questions that no codec learned from stand apart. Choices are made on validation; test and test B are
reported.

Bytes are means of a clip. The payload is what the method makes; the link adds the header of a session's
packet, and TCP and IP to it and to the answer to one question. Once for each session, nothing crosses but the
tables of a codec's prior, in the last column. *Of video* is the share of the link bytes that the cheapest
H.264 or H.265 of equal score on seen families needs, between two measured rates on a logarithmic scale. Video
is the elementary stream without messages (SEI), in which
encoders write their settings.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from documents import RESULTS, write_between
from PIL import Image
from rich.progress import track

from approxbit import zoo
from approxbit.backbones import VideoQuestionModel
from approxbit.datasets.dense import QuestionTargets
from approxbit.datasets.scenes.clips import TASK, SceneQuestions, Scenes
from approxbit.datasets.scenes.questions import CHOOSING, LEARNED, REPORTED
from approxbit.files import write_whole
from approxbit.offload import OffloadedModel
from approxbit.report.style import COLOURS, INK, make_figure, tidy
from approxbit.training.questions import QuestionFigures
from approxbit.video.h264 import FRAME_RATE, decode_h264, encode_h264

FAMILY = "scenes-vit"
STORED = Path(__file__).parent / "scenes.json"
PICTURE = Path(__file__).parent / "scenes.png"
BEGIN, END = "<!-- scenes: python benchmarks/figures/scenes.py --write -->", "<!-- end of scenes -->"
GROUPS = {"seen": LEARNED, "choosing": CHOOSING, "unseen": REPORTED}
"""Families that codecs learned from; those that chose between codecs; those that did neither."""
NUM_CLIPS, BATCH = 400, 20
TCP_IP = 40
"""Bytes of both headers in front of every segment, without options; an acknowledgement is nothing else."""
SEGMENT_BYTES, HEADER_BYTES, ANSWER_BYTES = 1448, 6, 16
"""Of a full segment; of a packet's header in a session; of a packet with an answer of one or two words."""
OPTIONS = {
    "libx265": {"x265-params": "log-level=none:info=0:ctu=16:pools=none:frame-threads=1"},
    "libsvtav1": {"svtav1-params": "lp=1"},
}
HEVC_MESSAGES = (39, 40)
CODE, MATCH = "code ", "exact_match_"

Frames = np.ndarray
Method = Callable[[Frames], tuple[torch.Tensor, float]]
"""Frames of one clip -> its visual tokens, and the bytes that crossed for them."""


def video_methods(model: VideoQuestionModel) -> Iterator[tuple[str, Method]]:
    """Compressed video that the server decodes and runs the whole model on."""
    for codec, preset, rates in (
        ("libx264", "superfast", (20, 26, 32, 38, 44)),
        ("libx264", "veryslow", (20, 26, 30, 34, 38, 42, 46)),
        ("libx265", "veryslow", (24, 30, 36, 42)),
        ("libsvtav1", "4", (30, 42, 54, 63)),
    ):
        for rate in rates:
            yield f"{codec[3:]} {preset} {rate}", _video(model, codec, preset, rate)
    for size, step, rate in ((48, 1, 26), (48, 1, 34), (32, 1, 22), (64, 2, 26), (64, 2, 34), (48, 2, 26)):
        name = f"x264 veryslow {rate}, {size} px, every {'2nd ' if step == 2 else ''}frame"
        yield name, _video(model, "libx264", "veryslow", rate, size, step)


def _video(
    model: VideoQuestionModel, codec: str, preset: str, rate: int, size: int = 64, step: int = 1
) -> Method:
    def run(frames: Frames) -> tuple[torch.Tensor, float]:
        sent = _resized(frames[::step], size)
        data = encode(sent, codec, preset, rate)
        shown = _resized(decode(data, codec, sent.shape), frames.shape[1])
        return look(model, np.repeat(shown, step, axis=0)[: len(frames)]), float(sum(map(len, data)))

    return run


def _resized(frames: Frames, size: int) -> Frames:
    if frames.shape[1] == size:
        return frames
    resized = [Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC) for frame in frames]
    return np.stack([np.asarray(frame) for frame in resized])


def encode(frames: Frames, codec: str, preset: str, rate: int) -> list[bytes]:
    """A clip as packets of an elementary stream without messages."""
    if codec == "libx264":
        return [encode_h264(frames, preset, rate)]
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
    encoder.framerate, encoder.time_base, encoder.thread_count = FRAME_RATE, 1 / FRAME_RATE, 1
    encoder.options = {"preset": preset, "crf": str(rate), **OPTIONS[codec]}
    packets = []
    for number, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    found = [bytes(packet) for packet in [*packets, *encoder.encode(None)]]
    if codec == "libsvtav1":  # whose packets a container would tell apart
        return found
    units = re.split(rb"\x00*\x00\x00\x01", b"".join(found))
    return [b"".join(b"\0\0\1" + unit for unit in units if unit and unit[0] >> 1 not in HEVC_MESSAGES)]


def decode(data: list[bytes], codec: str, shape: tuple[int, ...]) -> Frames:
    """The frames of `encode`, `[time, height, width, 3]`."""
    num_frames, height, width, _ = shape
    if codec == "libx264":
        return decode_h264(data[0], num_frames, height, width)
    name = {"libx265": "hevc", "libsvtav1": "libdav1d"}[codec]
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.thread_count = 1
    parsed = [*decoder.parse(data[0]), *decoder.parse(None)] if name == "hevc" else map(av.Packet, data)
    frames = [frame for packet in [*parsed, None] for frame in decoder.decode(packet)]
    if len(frames) != num_frames:
        raise RuntimeError(f"expected {num_frames} frames of {codec}, found {len(frames)}")
    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def look(model: VideoQuestionModel, frames: Frames) -> torch.Tensor:
    """Visual tokens of the whole model."""
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255
    tokens: torch.Tensor = model(model.normalise(clip))
    return tokens


def code_methods(models: dict[str, OffloadedModel]) -> Iterator[tuple[str, Method]]:
    """Our codes, entropy coded where their codec has tables, at every nested size."""
    for name, model in models.items():
        yield f"{CODE}{name}", _code(model)


def _code(model: OffloadedModel) -> Method:
    def run(frames: Frames) -> tuple[torch.Tensor, float]:
        clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255
        code = model.encode(clip)
        packet = model.link_format.packet(code.to_planes().numpy()[0], 0)
        return model.answer(code), float(len(packet.payload))

    return run


@torch.inference_mode()
def measure(
    model: VideoQuestionModel, method: Method, questions: SceneQuestions, title: str
) -> dict[str, Any]:
    """Mean bytes, and exact matches in percent for each family of questions."""
    figures, num_bytes = QuestionFigures(), []
    for first in track(range(0, len(questions), BATCH), title):
        indices = range(first, min(first + BATCH, len(questions)))
        found = [method(np.array(questions.scenes.frames[index])) for index in indices]
        asked = [questions.asked(index) for index in indices]
        figures.observe(model, torch.cat([tokens for tokens, _ in found]), QuestionTargets(asked))
        num_bytes += [size for _, size in found]
    scores = figures.collect(TASK)
    families = {name[len(MATCH) :]: value for name, value in scores.items() if name.startswith(MATCH)}
    return {"bytes": round(float(np.mean(num_bytes)), 1), "families": families}


def macro(found: dict[str, Any], group: str) -> float:
    """Mean over the families of a group."""
    return float(np.mean([found["families"][name] for name in GROUPS[group]]))


def measure_all(split: str, num_clips: int, only: str, label: str) -> None:
    """Measure what is not stored yet, and store it after each method; a label tells codecs apart."""
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    backbone = zoo.load_backbone(FAMILY)
    assert isinstance(backbone, VideoQuestionModel)
    models = zoo.load_family(FAMILY)
    methods: list[tuple[str, Method]] = [("edge-only", lambda frames: (look(backbone, frames), 0.0))]
    methods += [*code_methods(models), *video_methods(backbone)]
    questions = SceneQuestions(Scenes(split, num_clips))
    for name, method in methods:
        of = backbone
        if name.startswith(CODE):
            of, name = models[name[len(CODE) :]], f"{name}{label and f', {label}'}"
        fingerprint = f"{of.fingerprint:016x}"
        known = stored.get(split, {}).get(name, {})
        if only not in name or (known.get("clips"), known.get("fingerprint")) == (num_clips, fingerprint):
            continue
        found = measure(backbone, method, questions, f"{split}: {name}")
        prior = getattr(of, "prior", None)
        found["once"] = 0 if prior is None else len(prior.to_bytes())
        found |= {"clips": num_clips, "fingerprint": fingerprint, "date": datetime.date.today().isoformat()}
        stored.setdefault(split, {})[name] = found
        write_whole(STORED, (json.dumps(stored, indent=1) + "\n").encode())
        print(
            name, found["bytes"], {group: round(macro(found, group), 1) for group in GROUPS}, file=sys.stderr
        )


def link_bytes(payload: float) -> float:
    """A payload with its packet's header and the answer to one question, with TCP and IP, both ways."""
    answer = ANSWER_BYTES + 2 * TCP_IP
    if not payload:  # the device finds the answer alone, and tells it
        return answer
    packet = payload + HEADER_BYTES
    return packet + (-(-packet // SEGMENT_BYTES) + 1) * TCP_IP + answer


def video_front(found: dict[str, Any]) -> list[tuple[float, float]]:
    """Score on seen families and link bytes of those rates of H.264 and H.265 that no other one beats."""
    points = sorted(
        (link_bytes(each["bytes"]), macro(each, "seen"))
        for name, each in found.items()
        if name.startswith(("x264", "x265"))
    )
    front: list[tuple[float, float]] = []
    for size, score in points:
        if not front or score > front[-1][0]:
            front.append((score, size))
    return front


def bytes_at(front: list[tuple[float, float]], score: float) -> float | None:
    """Link bytes of a score between two points of a front; None where none of it reaches the score."""
    if not front or score > front[-1][0]:
        return None
    scores, sizes = zip(*front, strict=True)
    return float(np.exp(np.interp(score, scores, np.log(sizes))))


def markdown(stored: dict[str, Any]) -> str:
    """A row for each method, test and test B beside each other."""
    groups = "seen, test | B | choosing, test | B | unseen, test | B"
    head = f"| method | payload B | link B | of video | {groups} | once B |"
    lines = [head, "|---|" + "---:|" * 10]
    front = video_front(stored["test"])
    for name, found in stored["test"].items():
        other = stored.get("test_b", {}).get(name)
        link = link_bytes(found["bytes"])
        needed = bytes_at(front, macro(found, "seen")) if name.startswith(CODE) else None
        share = "" if needed is None else f"{100 * link / needed:.0f} %"
        cells = [name, f"{found['bytes']:.0f}", f"{link:.0f}", share]
        for group in GROUPS:
            cells += [f"{macro(found, group):.1f}", f"{macro(other, group):.1f}" if other else ""]
        lines.append("| " + " | ".join([*cells, f"{found['once']:,}"]) + " |")
    return "\n".join(lines)


def draw(stored: dict[str, Any], path: Path) -> None:
    """Score against bytes on a logarithmic axis, for seen and unseen families."""
    figure = make_figure(10, 4.3)
    kinds = ("code", "x264 superfast", "x264 veryslow", "x265", "svtav1")
    for place, group in enumerate(("seen", "unseen"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for colour, kind in zip(COLOURS, kinds, strict=False):
            points = sorted(
                (found["bytes"], macro(found, group))
                for name, found in stored["test"].items()
                if name.startswith(kind)
            )
            if points:
                axes.plot(
                    *zip(*points, strict=True), "o-", color=colour, markersize=4, linewidth=1, label=kind
                )
        axes.axhline(macro(stored["test"]["edge-only"], group), color=INK, linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_xlabel("payload, bytes per clip", color=INK)
        axes.set_ylabel(f"exact match, {group} families, percent", color=INK)
        tidy(axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(kinds), frameon=False, fontsize=9)
    figure.suptitle("late questions about Scenes, test; dashed: unsplit", x=0.01, ha="left", color=INK)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="*", default=[], choices=("validation", "test", "test_b"))
    parser.add_argument("--only", default="", help="methods whose name holds this")
    parser.add_argument("--label", default="", help="of codecs that do not ship, such as 'seed 2'")
    parser.add_argument("--clips", type=int, default=NUM_CLIPS)
    parser.add_argument("--write", action="store_true", help="put table and picture into RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["SVT_LOG"] = "1"  # only errors of the AV1 encoder
    for split in options.measure:
        measure_all(split, options.clips, options.only, options.label)
    if not STORED.exists():
        parser.error("nothing is measured yet: begin with --measure")
    stored = json.loads(STORED.read_text())
    if options.write:
        draw(stored, PICTURE)
        write_between(RESULTS, BEGIN, END, f"![Scenes](figures/{PICTURE.name})\n\n{markdown(stored)}")
    elif "test" in stored:
        print(markdown(stored))


if __name__ == "__main__":
    main()
