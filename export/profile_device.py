#!/usr/bin/env python3
"""Measures the edge side of a LUT on the device: what `approxbit.select` reads to choose a configuration.

    python3 profile_device.py FOLDER [FOLDER ...] --lut FILE --out FILE

FOLDERs are exported artefacts of one family, `--lut` is a LUT of the same family that was measured elsewhere:
the server's times and the accuracies come from it. It needs `pip install approxbit` and either TensorRT, with
engines that build_engine.py built here (`--graph all` where whole.onnx was exported), or ONNX Runtime.

Beside the LUT it writes `.record.json`: percentiles, power by rail, clocks, and the time of each layer.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
if (CHECKOUT / "approxbit" / "engines").is_dir():  # in a clone nothing needs to be installed
    sys.path.insert(0, str(CHECKOUT))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from device_facts import describe, device_facts  # noqa: E402
from power import find_meter  # noqa: E402

from approxbit.engines.agreement import measure_agreement  # noqa: E402
from approxbit.engines.artefact import Card, Reference, load_artefact, load_reference  # noqa: E402
from approxbit.engines.opening import ENGINES, open_edge, open_whole  # noqa: E402
from approxbit.errors import ApproxBitError, EngineError  # noqa: E402
from approxbit.files import format_json, write_whole  # noqa: E402
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, LUTRow  # noqa: E402
from approxbit.wire import CodeFormat, warm_up  # noqa: E402

PERCENTILES = (50, 90, 99)


def main(arguments: list[str] | None = None) -> int:
    """Run the script; 0 if the LUT was written."""
    options = parse_arguments(arguments)
    try:
        base, facts = LUT.load(options.lut), device_facts()
        say(describe(facts))
        with ExitStack() as stack:
            found = [open_arms(folder, base, options, stack) for folder in options.folders]
            arms = list({arm.row.arm: arm for folder in found for arm in folder}.values())
            measure(arms, options)
        lut = make_lut(arms, base, describe(facts), options)
        lut.save(options.out)
        record = {"device": facts, "arms": {arm.row.arm: arm.record for arm in arms}}
        path = options.out.with_suffix(".record.json")
        write_whole(path, format_json(record))
    except (ApproxBitError, ImportError, ValueError) as error:
        print(f"profile_device: {error}", file=sys.stderr)
        return 1
    say(f"LUT: {options.out}, the details: {path}")
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    command_line = argparse.ArgumentParser(
        prog="profile_device", description=(__doc__ or "").split("\n", 1)[0]
    )
    add = command_line.add_argument
    add("folders", type=Path, nargs="+", metavar="FOLDER", help="what `approxbit export` wrote")
    add("--lut", type=Path, required=True, help="a LUT of the family: server times and accuracies")
    add("--out", type=Path, required=True, help="where to write the LUT of this device")
    add("--backend", choices=ENGINES, default="tensorrt", help="default: tensorrt")
    add("--threads", type=int, default=1, help="of ONNX Runtime (default: 1)")
    add("--runs", type=int, default=100, help="timed inferences of each configuration (default: 100)")
    add("--warm-up", type=int, default=10, help="inferences before them (default: 10)")
    add("--power", choices=("auto", "hwmon", "tegrastats", "none"), default="auto", help="default: auto")
    add("--power-seconds", type=float, default=5.0, help="how long each configuration's power is measured")
    add("--layers", action="store_true", help="also the time of each layer (tensorrt)")
    options = command_line.parse_args(arguments)
    if min(options.runs, options.threads) < 1 or options.warm_up < 0 or options.power_seconds <= 0:
        command_line.error("--runs and --threads must be at least 1, --warm-up 0, --power-seconds above 0")
    if options.layers and options.backend != "tensorrt":
        command_line.error("--layers needs --backend tensorrt")
    return options


@dataclass
class Arm:
    """One arm of the selector on this device.

    Attributes:
        row: What the base LUT says of it.
        runner: Takes a clip.
        backend: The runner in words.
        clips: What it runs on, float32 `[n, 3, time, height, width]`.
        code_format: Of its codes; None for the whole model.
        samples: Milliseconds of each inference.
        encode_samples: Milliseconds from each packed code to its packet.
        record: What was measured, for the file beside the LUT.
    """

    row: LUTRow
    runner: Any
    backend: str
    clips: np.ndarray
    code_format: CodeFormat | None = None
    samples: list[float] = field(default_factory=list)
    encode_samples: list[float] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)

    def run(self, number: int) -> float:
        """Milliseconds of one inference, from the clip in memory to its code or answer in memory."""
        clip = self.clips[number % len(self.clips)]
        start = time.perf_counter()
        self.runner.run(clip)
        return 1000 * (time.perf_counter() - start)

    def encode(self, payload: bytes) -> float:
        """Milliseconds from a packed code to its packet: the entropy coding."""
        assert self.code_format is not None
        start = time.perf_counter()
        self.code_format.packet(payload)
        return 1000 * (time.perf_counter() - start)


def open_arms(folder: Path, base: LUT, options: argparse.Namespace, stack: ExitStack) -> list[Arm]:
    """The arms that a folder holds: its configuration, and the whole model if it was exported as well.

    Raises:
        ValueError: The LUT has no such arm, or is of another family or for codes of another size, or an
            engine's codes or answers are not those of the reference.
    """
    artefact = load_artefact(folder)
    card, reference = artefact.card, load_reference(artefact)
    family = card.name.split("/")[0]
    if base.family and base.family != family:
        raise ValueError(f"{folder} is of the family {family}, the LUT of {base.family}")
    row = base.row(str(card.code_format.configuration))
    packed_bytes = row.payload_bytes if row.raw_bytes is None else row.raw_bytes
    if packed_bytes != card.code_format.payload_bytes:
        raise ValueError(
            f"{folder} packs its codes into {card.code_format.payload_bytes} bytes, "
            f"those of {row.arm} in the LUT have {packed_bytes:g}"
        )
    how = (options.backend, options.threads)
    runner = stack.enter_context(open_edge(folder, *how))
    # TensorRT's engines differ in their precision; ONNX Runtime takes the graphs as they are
    backend = runner.backend + (f", {card.precision}" if options.backend == "tensorrt" else "")
    arm = Arm(row, runner, backend, reference.clip, card.code_format)
    check(arm, reference, card)
    if not card.has_whole or EDGE_ONLY not in base.arms:
        return [arm]
    try:
        unsplit = stack.enter_context(open_whole(folder, *how))
    except EngineError as error:  # its engine takes minutes to build, and the rest can do without
        say(f"{EDGE_ONLY}: {error}")
        return [arm]
    whole = Arm(base.row(EDGE_ONLY), unsplit, backend, reference.clip)
    check(whole, reference, card)
    return [whole, arm]


def check(arm: Arm, reference: Reference, card: Card) -> None:
    """Let only runners pass whose codes or answers are those of the reference.

    Raises:
        ValueError: They are too far from them.
    """
    role, what = ("whole", "answers") if arm.code_format is None else ("edge", "codes")
    found = measure_agreement(arm.runner.graphs[0], role, reference)
    if not found.is_within(card.tolerance):
        raise ValueError(f"{arm.row.arm}: not the reference's {what}, nothing is measured: {found}")


def measure(arms: list[Arm], options: argparse.Namespace) -> None:
    """Times first, all arms in turn, so that a busy spell falls on all alike; then power; then layers."""
    codes = {
        arm.row.arm: [arm.runner.run(clip).payload for clip in arm.clips] for arm in arms if arm.code_format
    }
    if codes:
        warm_up()
    for number in range(-options.warm_up, options.runs):
        for arm in arms:
            milliseconds = arm.run(number)
            if number >= 0:
                arm.samples.append(milliseconds)
            if number >= 0 and arm.row.arm in codes:
                own = codes[arm.row.arm]
                arm.encode_samples.append(arm.encode(own[number % len(own)]))
    for arm in arms:
        times = arm.record["times_ms"] = summary(arm.samples)
        say(f"{arm.row.arm}: " + ", ".join(f"{name} {value:.2f} ms" for name, value in times.items()))
        if arm.encode_samples:
            arm.record["encode_ms"] = summary(arm.encode_samples)
        measure_power(arm, options)
        if options.layers:
            measure_layers(arm, min(options.runs, 20))


def summary(samples: list[float]) -> dict[str, float]:
    """Percentiles, smallest and mean."""
    values = {f"p{percent}": float(np.percentile(samples, percent)) for percent in PERCENTILES}
    values.update(min=min(samples), mean=float(np.mean(samples)))
    return {name: round(value, 3) for name, value in values.items()}


def measure_power(arm: Arm, options: argparse.Namespace) -> None:
    """Mean power while the arm runs without a pause, and the energy of one inference, idle power included."""
    meter = find_meter(options.power)
    if meter is None:
        return
    count, start = 0, time.perf_counter()
    with meter:
        while time.perf_counter() - start < options.power_seconds:
            arm.run(count)
            count += 1
        seconds = time.perf_counter() - start
    if not meter.rails_mw:
        return
    energy_mj = round(meter.total_mw * seconds / count, 3)
    arm.record["power"] = {
        "source": meter.source,
        "rails_mw": meter.rails_mw,
        "total_mw": meter.total_mw,
        "energy_mj": energy_mj,
        "inferences": count,
    }


def measure_layers(arm: Arm, num_runs: int) -> None:
    """The mean time of each layer, in runs of their own, because measuring it takes time."""
    from approxbit.engines.tensorrt.layers import layer_times

    arm.record["layers_ms"] = layer_times(arm.runner.graphs[0], lambda: arm.run(0), num_runs)


def make_lut(arms: list[Arm], base: LUT, device: str, options: argparse.Namespace) -> LUT:
    """The edge's columns as measured here, all others as in the base; bytes are means over its clips."""
    rows: list[LUTRow] = [row for row in base.rows if row.arm == SERVER_ONLY]  # no work for the device
    for arm in arms:
        power = arm.record.get("power", {})
        rows.append(
            replace(
                arm.row,
                edge_ms=arm.record["times_ms"]["p50"],
                # the encoder is in the same graph as the edge half, so this is the entropy coding alone
                encode_ms=arm.record["encode_ms"]["p50"] if arm.encode_samples else 0.0,
                energy_mj=power.get("energy_mj"),
                memory_mb=None,
            )
        )
    left_out = [arm for arm in base.arms if arm not in {row.arm for row in rows}]
    if left_out:
        say(f"not measured here, so not in the LUT: {', '.join(left_out)}")
    today = datetime.date.today().isoformat()
    backend = ", ".join(sorted({arm.backend for arm in arms}))
    return replace(
        base, rows=tuple(rows), device=device, backend=backend, date=today, threads=options.threads
    )


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
