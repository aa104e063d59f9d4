"""`approxbit run`: the user's own videos over the whole path, which is that of `approxbit.Edge`."""

import signal
import sys
import warnings
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import typer

from approxbit.cli.console import (
    INTERRUPTED,
    JSON,
    THREADS,
    TRUST,
    Engine,
    fail,
    print_json,
    print_text,
    say,
)
from approxbit.cli.questions import ask_all, check_questions, describe_words, show_words

if TYPE_CHECKING:
    import numpy as np

    from approxbit.edge.answer import EdgeAnswer
    from approxbit.edge.client import Clip, Edge
    from approxbit.edge.device import Device

FILES = typer.Argument(None, help="Video files.")
FAMILY = typer.Option(
    "digits-movinet",
    help="A family, whose most accurate codes are sent unless there is an SLA, or one model of it, such as "
    "digits-movinet/16-Enc-B5; of the hub: hf://owner/name[@revision][/configuration].",
)
SERVER = typer.Option(
    "", help="HOST:PORT of an `approxbit serve` of the same family; by default one is started here."
)
SLA_TEXT = typer.Option(
    "", "--sla", help="Let the selector choose: 'latency<=60ms' or 'accuracy>=92'; needs the family's LUT."
)
BANDWIDTH = typer.Option(0.0, min=0.0, help="Shape the uplink to so many Mbps; 0 leaves it as it is.")
RUNNER = typer.Option(
    Engine.ONNXRUNTIME,
    help="What computes the edge side: graphs under ONNX Runtime, as on a device (exported at first use), "
    "or the modules under torch.",
)
ASK = typer.Option(
    [],
    "--ask",
    metavar="QUESTION",
    help="Of a family that answers questions, one to ask about each clip, such as 'what is red'; can be "
    "repeated: the clip crosses once.",
)
TOP = typer.Option(5, min=1, max=255, help="How many classes to print for each clip.")
WINDOW_STEP = typer.Option(
    0,
    min=0,
    help="Answer each file window by window, so many frames apart; 0 takes one clip from the whole file.",
)
STREAM = typer.Option(
    None,
    min=0,
    help="Which stream of the files, as ffprobe counts them; by default the one that players show.",
)
ON_DAMAGE = typer.Option(
    "warn",
    help="Refuse damaged files (error), or answer what is there, with a warning (warn) or not (use).",
)


class Reading(NamedTuple):
    """How files are read."""

    step: int
    stream: Optional[int]
    on_damage: str


class _Clip(NamedTuple):
    path: Path
    clip: "Clip"


def run(
    files: Optional[List[Path]] = FILES,
    family: str = FAMILY,
    server: str = SERVER,
    sla: str = SLA_TEXT,
    bandwidth_mbps: float = BANDWIDTH,
    runner: Engine = RUNNER,
    ask: List[str] = ASK,
    window_step: int = WINDOW_STEP,
    stream: Optional[int] = STREAM,
    on_damage: str = ON_DAMAGE,
    top: int = TOP,
    threads: int = THREADS,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Answer your own video files: edge half and encoder here, the rest in a server process.

    Each answer is printed as it comes, with --json as a line of JSON. A file that cannot be read is named and
    left out, or answered up to where it breaks off if it is answered window by window; the command then ends
    with 1, as it does where the model does not take a question. Ctrl-C ends it with 130.
    """
    from approxbit.edge.client import check_address, choose_model

    if not files:
        raise ValueError("expected at least one video: approxbit run FILE")
    if server:
        check_address(server)
    unreadable: List[Path] = []
    refused: List[str] = []
    answered = 0
    try:
        name = choose_model(family, sla)
        check_questions(name, ask)
        device = _open_device(name, runner, threads)
        clips = _read(files, device, Reading(window_step, stream, on_damage), unreadable)
        first = next(clips, None)
        with ExitStack() as stack:
            if first is not None:
                address = server or _start_server(stack, name, device)
                frames = first.clip.frames if sla else None
                edge = _open_edge(stack, name, address, sla, device, top, bandwidth_mbps, frames)
                for each, answer in _answer_all(edge, chain([first], clips), ask, refused):
                    with _without_interrupts():
                        _print(_describe(each, answer, device, bool(sla)), as_json)
                        answered += 1
    except KeyboardInterrupt:
        fail(f"interrupted after {answered} answer{'' if answered == 1 else 's'}", INTERRUPTED)
    if unreadable or refused:
        raise SystemExit(1)


def _open_device(name: str, runner: Engine, threads: int) -> "Device":
    from approxbit.edge.opening import open_family
    from approxbit.families import split_name

    if runner == Engine.TORCH:
        from approxbit.profiling.torch_device import open_torch_device

        return open_torch_device(split_name(name)[0], num_threads=threads)
    return open_family(name, threads)


def _read(paths: List[Path], device: "Device", how: Reading, unreadable: List[Path]) -> Iterator[_Clip]:
    """The clips of one file after the other, read while they are answered, so that one is held at a time."""
    from approxbit.edge.client import read_clips
    from approxbit.errors import VideoError

    for path in paths:
        try:
            for clip in _telling(read_clips(path, device.clip_format, *how)):
                yield _Clip(path, clip)
        except VideoError as error:
            unreadable.append(path)
            sys.stderr.write(f"approxbit: {error}\n")


def _telling(clips: "Iterator[Clip]") -> "Iterator[Clip]":
    """The clips of a file; warnings of damage become lines of the command."""
    while True:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clip = next(clips, None)
        sys.stderr.writelines(f"approxbit: {warning.message}\n" for warning in caught)
        if clip is None:
            return
        yield clip


def _start_server(stack: ExitStack, name: str, device: "Device") -> str:
    """The address of a server of the family on this machine, for as long as the stack lasts."""
    from approxbit.families import split_name
    from approxbit.server.process import ServerProcess

    family = split_name(name)[0]
    say(f"starting a server for {family}; the edge side computes with {device.backend}")
    server = ServerProcess(family, num_threads=device.num_threads)
    stack.callback(server.stop)  # before the start, which an interrupt may hit
    server.start()
    return server.address


def _open_edge(
    stack: ExitStack,
    name: str,
    address: str,
    sla: str,
    device: "Device",
    top: int,
    bandwidth_mbps: float,
    timed: "Optional[np.ndarray]",
) -> "Edge":
    """The device with its server, over a shaped link where one is asked for; timed on the clip, if any."""
    from approxbit.edge.client import Edge
    from approxbit.link import RelayProcess, Trace

    near = address
    if bandwidth_mbps:
        near = stack.enter_context(RelayProcess(address, Trace.constant(bandwidth_mbps))).address
    edge: Edge = stack.enter_context(Edge(name, near, sla, device, top))
    edge.connect()
    if timed is not None:
        edge.calibrate(timed, direct=address)
    return edge


def _answer_all(
    edge: "Edge", clips: Iterator[_Clip], questions: List[str], refused: List[str]
) -> "Iterator[Tuple[_Clip, EdgeAnswer]]":
    """Each clip and its answers; says so when the server goes away, and the device goes on alone."""
    was_alone = False
    for each in clips:
        for answer in _answer_clip(edge, each, questions, refused):
            if answer.fell_back and not was_alone:
                say(f"the device answers alone: {answer.reason}")
            was_alone = answer.fell_back
            yield each, answer


def _answer_clip(
    edge: "Edge", each: _Clip, questions: List[str], refused: List[str]
) -> "Iterator[EdgeAnswer]":
    if questions:
        yield from ask_all(edge, each.path, each.clip, questions, refused)
    else:
        yield edge.answer(each.clip.frames, each.clip.shift_frames)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, so that what is counted is what was printed."""
    came: List[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _describe(each: _Clip, answer: "EdgeAnswer", device: "Device", has_sla: bool) -> Dict[str, Any]:
    start = each.clip.start_frame
    classes = [{"label": label, "probability": round(share, 4)} for label, share in answer.labels]
    return {
        **({} if start is None else {"start_frame": start}),
        "video": str(each.path),
        **(describe_words(answer) if answer.question else {"answer": answer.label, "top": classes}),
        "arm": answer.arm,
        "backend": device.backend,
        "payload_bytes": answer.payload_bytes,
        "packet_bytes": answer.packet_bytes,
        "answer_bytes": answer.answer_bytes,
        "is_key": answer.is_key,
        "latency_ms": round(answer.latency_ms, 3),
        "fell_back": answer.fell_back,
        "reason": answer.reason,
        **({"meets_sla": answer.meets_sla} if has_sla else {}),
    }


def _print(facts: Dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        video = facts["video"] + (f" from frame {facts['start_frame']}" if "start_frame" in facts else "")
        arm = facts["arm"] + (" (fallback)" if facts["fell_back"] else "")
        if "question" in facts:
            print_text(show_words(video, arm, facts))
            sys.stdout.flush()
            return
        shares = [f"{each['label']} {100 * each['probability']:.1f} %" for each in facts["top"]]
        lines = [f"{video}: {shares[0]}, {arm}, {facts['payload_bytes']} bytes, {facts['latency_ms']:.1f} ms"]
        print_text("\n  ".join(lines + shares[1:]))
    sys.stdout.flush()
