"""Sliding windows: payload bytes with and without the code of the window before, at 75 % and 50 % overlap.

    python benchmarks/experiments/temporal_reuse.py [--codecs FAMILY/CONFIGURATION ...] [--steps 200]

Windows of 16 frames slide over videos of 32 frames. All priors are trained on windows of other videos than
those that are measured, so that no column has an advantage:

    key       the code alone, as a key packet carries it
    update    the code, with the code of the window before for a reference (coding 2)
    XOR       what differs from the code of the window before where they overlap, and the rest of the code as
              it is, under a prior trained on just that
    packets   mean bytes of whole packets of a session, header and all: all of them key packets, and one in
              30: small codes may lose more with the longer header of an update than updates save

Payloads are real and every one is decoded again. Codes and rows are kept in FOLDER, so that a run that was
broken off goes on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from approxbit import zoo
from approxbit.codec.code import Code
from approxbit.datasets.digits import DigitsClips
from approxbit.datasets.windows import Windows
from approxbit.edge import SessionPolicy
from approxbit.training.prior import WindowPairs
from approxbit.training.prior_family import (
    compute_codes,
    fit_prior,
    fit_update_prior,
    measure_prior,
    measure_updates,
    pair_windows,
)
from approxbit.wire import SHORT_HEADER_BYTES, entropy
from approxbit.wire.window import PLACE_BYTES

CODECS = ("digits-movinet/16-Enc-B5", "digits-movinet/32-NoEnc-B5", "digits-mvitv2/16-Enc-B6")
NUM_TRAIN, NUM_TEST = 320, 80
KEY_EVERY = SessionPolicy().key_every


@dataclass
class Row:
    """One codec at one shift; all sizes are mean payload bytes.

    Attributes:
        name: Family and configuration.
        shift: Frames from one window to the next, of 16.
        num_windows: Test windows that have one before them.
        raw: Packed.
        key: Coded alone.
        update: Coded with the window before.
        xor: Its difference, coded.
        changed_percent: Bits that differ from the window before, of those that both have.
        key_tables: Size of the key tables.
        tables: Size of all tables.
        fit_s: Time to train all three priors.
    """

    name: str
    shift: int
    num_windows: int
    raw: int
    key: float
    update: float
    xor: float
    changed_percent: float
    key_tables: int
    tables: int
    fit_s: float

    @property
    def packet_bytes(self) -> tuple[float, float]:
        """Of a key packet, and the mean with updates."""
        key, update = SHORT_HEADER_BYTES + self.key, SHORT_HEADER_BYTES + PLACE_BYTES + self.update
        return key, (key + (KEY_EVERY - 1) * update) / KEY_EVERY


def codes_of(name: str, split: str, windows: Windows, folder: Path) -> Code:
    """Codes of all windows of a split, from the folder or computed into it."""
    family, _, configuration = name.partition("/")
    path = folder / f"{family}-{configuration}-{split}-{windows.source.num_clips[split]}.npz"
    if not path.exists():
        model = zoo.load(name)
        codes = compute_codes({name: model}, windows.batches(split), f"{name} {split}")[name]
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, grid=codes.grid.numpy(), tokens=codes.tokens.numpy())
    stored = np.load(path)
    return Code(torch.from_numpy(stored["grid"]), torch.from_numpy(stored["tokens"]))


def differences(pairs: WindowPairs) -> Code:
    """The later code, XORed with the earlier one where they overlap."""
    grid, num_known = pairs.code.grid.clone(), pairs.code.grid.shape[2] - pairs.steps
    grid[:, :, :num_known] ^= pairs.earlier.grid[:, :, pairs.steps :]
    return Code(grid, pairs.code.tokens)


def joined(codes: list[Code]) -> Code:
    return Code(*(torch.cat(parts) for parts in zip(*codes, strict=True)))


def changed_percent(pairs: WindowPairs) -> float:
    num_known = pairs.code.grid.shape[2] - pairs.steps
    return 100 * differences(pairs).grid[:, :, :num_known].float().mean().item()


def measure_codec(name: str, folder: Path, num_steps: int) -> list[Row]:
    windows = Windows(DigitsClips(NUM_TRAIN, num_test=NUM_TEST, num_frames=32))
    train, test = (codes_of(name, split, windows, folder) for split in ("train", "test"))
    of_train, of_test = pair_windows(train, windows), pair_windows(test, windows)
    model, start = zoo.load(name), time.thread_time()
    key = fit_prior(model, train, num_steps=num_steps)
    update = fit_update_prior(model, list(of_train.values()), num_steps=num_steps)
    deltas = {shift: differences(pairs) for shift, pairs in of_train.items()}
    xor = fit_prior(model, joined(list(deltas.values())), num_steps=num_steps)
    fit_s = time.thread_time() - start
    tables = replace(key.freeze(), update=update.freeze())
    rows = []
    for shift, pairs in of_test.items():
        alone = measure_prior(name, key, replace(tables, update=None), pairs.code)
        row = Row(
            name,
            shift,
            num_windows=len(pairs.code.grid),
            raw=alone.raw_bytes,
            key=alone.coded_bytes,
            update=measure_updates(name, tables, pairs),
            xor=measure_prior(name, xor, xor.freeze(), differences(pairs)).coded_bytes,
            changed_percent=changed_percent(pairs),
            key_tables=alone.tables_bytes,
            tables=len(tables.to_bytes()),
            fit_s=fit_s,
        )
        print(f"{name}, moved by {shift}: {row.raw} -> {row.key:.1f} -> {row.update:.1f}", file=sys.stderr)
        rows.append(row)
    return rows


def rows_of(name: str, folder: Path, num_steps: int) -> list[Row]:
    path = folder / f"{name.replace('/', '-')}-{num_steps}-rows.json"
    if not path.exists():
        rows = measure_codec(name, folder, num_steps)
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return [Row(**each) for each in json.loads(path.read_text())]


def print_rows(rows: list[Row]) -> None:
    names = "raw | key | update | update / key | XOR | packets | bits changed %"
    print(f"| codec | overlap % | {names} | windows | tables B |\n" + "|---" * 11 + "|")
    for row in rows:
        sizes = f"{row.raw} | {row.key:.1f} | {row.update:.1f} | {row.update / row.key:.2f}"
        packets = "{:.1f} -> {:.1f}".format(*row.packet_bytes)
        others = f"{row.xor:.1f} | {packets} | {row.changed_percent:.1f} | {row.num_windows}"
        tables = f"{row.key_tables} + {row.tables - row.key_tables}"
        print(f"| {row.name} | {100 - 100 * row.shift // 16} | {sizes} | {others} | {tables} |")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure temporal reuse for sliding windows.")
    parser.add_argument("--codecs", nargs="*", default=CODECS)
    parser.add_argument("--codes", type=Path, default=Path("runs/temporal-reuse"))
    parser.add_argument("--steps", type=int, default=200, help="steps of training for each prior")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    entropy.warm_up()
    rows = [row for name in arguments.codecs for row in rows_of(name, arguments.codes, arguments.steps)]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{datetime.date.today()}, {machine}; payload bytes per window, header apart\n")
    print_rows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
