"""`approxbit run`: the user's own videos over the whole path."""

import sys
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional

import typer

from approxbit.cli.console import FAMILY, JSON, THREADS, TRUST, Engine, print_json, print_table, say

if TYPE_CHECKING:
    import numpy as np

    from approxbit.edge.answer import EdgeAnswer
    from approxbit.edge.device import Device
    from approxbit.select import LUT, SLA

VIDEO = typer.Option(None, help="A video file; may be repeated, and more files may follow.")
FILES = typer.Argument(None, help="More video files.")
CONFIGURATION = typer.Option("", help="Such as 16-Enc-B5; by default the family's most accurate one.")
SLA_TEXT = typer.Option(
    "", "--sla", help="Let the selector choose: 'latency<=60ms' or 'accuracy>=92'; needs the family's LUT."
)
BANDWIDTH = typer.Option(0.0, min=0.0, help="Shape the uplink to so many Mbps; 0 leaves it as it is.")
RUNNER = typer.Option(
    Engine.ONNXRUNTIME,
    help="What computes the edge side: graphs under ONNX Runtime, as on a device (exported at first use), "
    "or the modules under torch.",
)
TOP = typer.Option(5, min=1, max=255, help="How many classes to print for each file.")
WINDOW_STEP = typer.Option(
    0,
    min=0,
    help="Answer each file window by window, so many frames apart; 0 takes one clip from the whole file.",
)
NUM_TIMED = 4
LOOSE_MS = 1e9


class Window(NamedTuple):
    """What one answer is about."""

    path: Path
    frames: "np.ndarray"
    start: Dict[str, int]
    """`start_frame`, unless the clip is sampled from the whole file."""
    shift_frames: Optional[int]
    """How far it moved since the window before it; None for a clip of its own."""


def run(
    video: Optional[List[Path]] = VIDEO,
    files: Optional[List[Path]] = FILES,
    family: str = FAMILY,
    configuration: str = CONFIGURATION,
    sla: str = SLA_TEXT,
    bandwidth_mbps: float = BANDWIDTH,
    runner: Engine = RUNNER,
    window_step: int = WINDOW_STEP,
    top: int = TOP,
    threads: int = THREADS,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Answer your own video files: edge half and encoder here, the rest in a server process.

    A file that cannot be read is named and left out, or answered up to where it breaks off if it is answered
    window by window; the command then ends with 1.
    """
    paths = [*(video or []), *(files or [])]
    if not paths:
        raise ValueError("expected at least one video: approxbit run --video FILE")
    if configuration and sla:
        raise ValueError("expected --configuration or --sla, found both")
    failures: Dict[str, str] = {}
    arms = [] if sla else [_check_configuration(family, configuration) or _most_accurate(family)]
    prepared = None if runner == Engine.TORCH else _find_prepared(family, arms)
    windows = _read(paths, _num_frames(family, prepared), window_step, failures)
    rows: List[Dict[str, Any]] = []
    first = next(windows, None)
    if first is not None:
        device = _open_device(family, arms, runner, threads, prepared)
        rows = _answer_all(first, windows, device, family, arms, sla, bandwidth_mbps, top)
    if as_json:
        print_json({"answers": rows, "failures": failures})
    elif rows:
        _print(rows)
    if failures:
        raise SystemExit(1)


def _check_configuration(family: str, configuration: str) -> str:
    known = _configurations(family)
    if configuration and configuration not in known:
        raise ValueError(f"expected --configuration to be one of {', '.join(known)}, found {configuration!r}")
    return configuration


def _find_prepared(family: str, arms: List[str]) -> Optional[Path]:
    """The exported graphs, if they are there: the edge side then needs no torch, which takes seconds."""
    from approxbit.engines.finding import find_prepared

    return find_prepared(family, configurations=arms or None)


def _num_frames(family: str, prepared: Optional[Path]) -> int:
    """How many frames a clip has."""
    if prepared is not None:
        from approxbit.engines.artefact import load_card
        from approxbit.engines.prepared import load_prepared

        return load_card(load_prepared(prepared).whole).clip_format.num_frames
    from approxbit.families import card
    from approxbit.zoo import sketch_backbone

    first = card(f"{family}/{_configurations(family)[0]}")
    return sketch_backbone(getattr(first, "backbone", family)).clip_shape[1]


def _read(paths: List[Path], num_frames: int, window_step: int, failures: Dict[str, str]) -> Iterator[Window]:
    """The windows of one file after the other; what is wrong with a file goes into `failures`.

    They are read while they are answered, so that one is held at a time.
    """
    from approxbit.errors import VideoError

    for path in paths:
        try:
            yield from _windows(path, num_frames, window_step)
        except VideoError as error:
            failures[str(path)] = str(error)
            sys.stderr.write(f"approxbit: {error}\n")


def _windows(path: Path, num_frames: int, step: int) -> Iterator[Window]:
    """The windows of a file; without a step, the one clip of the whole file."""
    from approxbit.video.reader import read_clip, read_windows

    if not step:
        yield Window(path, read_clip(path, num_frames), {}, None)
        return
    for number, frames in enumerate(read_windows(path, num_frames, step)):
        yield Window(path, frames, {"start_frame": number * step}, step if number else num_frames)


def _configurations(family: str) -> List[str]:
    from approxbit.families import available

    names = [name.partition("/")[2] for name in available() if name.partition("/")[0] == family]
    if not names:
        raise ValueError(f"there is no family {family!r} with a configuration: see approxbit list")
    return names


def _most_accurate(family: str) -> str:
    """By the family's LUT; without one, the configuration that the family lists first."""
    from approxbit.families import load_lut

    known = _configurations(family)
    try:
        rows = [row for row in load_lut(family).rows if row.arm in known]
    except ValueError:
        rows = []
    return max(rows, key=lambda row: row.accuracy).arm if rows else known[0]


def _open_device(
    family: str, arms: List[str], runner: Engine, threads: int, prepared: Optional[Path]
) -> "Device":
    """A device that can run some configurations of a family, or all of them if none is named."""
    if runner == Engine.TORCH:
        from approxbit.profiling.torch_device import open_torch_device

        return open_torch_device(family, num_threads=threads)
    from approxbit.edge.device import open_device

    if prepared is None:
        from approxbit.exporting.prepare import prepare_family

        prepared = prepare_family(family, configurations=arms or None, announce=say)
    return open_device(prepared, threads)


def _answer_all(
    first: Window,
    others: Iterator[Window],
    device: "Device",
    family: str,
    arms: List[str],
    sla: str,
    bandwidth_mbps: float,
    top: int,
) -> List[Dict[str, Any]]:
    from approxbit.edge.measure import refresh_times
    from approxbit.edge.session import EdgeSession
    from approxbit.edge.transport import GrpcTransport
    from approxbit.families import load_lut
    from approxbit.link import RelayProcess, Trace
    from approxbit.select import LatencySLA, parse_sla
    from approxbit.server.process import ServerProcess
    from approxbit.wire import AnswerKind, Wanted

    chosen: SLA = parse_sla(sla) if sla else LatencySLA(LOOSE_MS)
    lut = load_lut(family) if sla else _single_arm(device, arms[0])
    wanted = Wanted(AnswerKind.TOP_K, top)
    server = ServerProcess(family, num_threads=device.num_threads)
    with ExitStack() as stack:
        say(f"starting a server for {family}; the edge side computes with {device.backend}")
        stack.callback(server.stop)
        server.start()
        address = server.address
        if sla:
            with GrpcTransport(address) as direct:
                frames = [first.frames] * NUM_TIMED
                lut = refresh_times(lut, device, direct, frames, "this machine")
        if bandwidth_mbps:
            relay = stack.enter_context(RelayProcess(address, Trace.constant(bandwidth_mbps)))
            address = relay.address
        transport = stack.enter_context(GrpcTransport(address))
        session = stack.enter_context(
            EdgeSession(device.arms, transport, lut, chosen, device.clip_format, wanted=wanted)
        )
        rows = []
        for window in chain([first], others):
            answer = session.answer(window.frames, shift_frames=window.shift_frames)
            rows.append(_describe(window, answer, device, bool(sla)))
        return rows


def _single_arm(device: "Device", configuration: str) -> "LUT":
    """A LUT that leaves the selector no choice."""
    from approxbit.select import LUT, LUTRow

    row = LUTRow(configuration, 0, 0, 0, 0, 0, 0)
    return LUT((row,), device="", backend=device.backend, date="1970-01-01", num_clips=1)


def _describe(window: Window, answer: "EdgeAnswer", device: "Device", has_sla: bool) -> Dict[str, Any]:
    best = device.rank(answer.answer)
    facts: Dict[str, Any] = {
        **window.start,
        "video": str(window.path),
        "answer": best[0][0],
        "top": [{"label": label, "probability": round(share, 4)} for label, share in best],
        "arm": answer.arm,
        "backend": device.backend,
        "payload_bytes": answer.payload_bytes,
        "packet_bytes": answer.packet_bytes,
        "answer_bytes": answer.answer_bytes,
        "is_key": answer.is_key,
        "latency_ms": round(answer.latency_ms, 3),
        "fell_back": answer.fell_back,
        "reason": answer.reason,
    }
    if has_sla:
        facts["meets_sla"] = answer.meets_sla
    return facts


def _print(rows: List[Dict[str, Any]]) -> None:
    header = ["video", "answer", "arm", "bytes", "latency"]
    cells = []
    for row in rows:
        arm = row["arm"] + (" (fallback)" if row["fell_back"] else "")
        first, *others = (f"{each['label']} {100 * each['probability']:.1f} %" for each in row["top"])
        video = row["video"] + (f" from frame {row['start_frame']}" if "start_frame" in row else "")
        cells.append([video, first, arm, str(row["payload_bytes"]), f"{row['latency_ms']:.1f} ms"])
        cells += [["", other, "", "", ""] for other in others]
    print_table(header, cells, num_text_columns=3)
