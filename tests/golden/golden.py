"""Recorded outputs of the reference backbones, and the rule that rebuilds the weights they were made with.

A case is two files: `<name>.keys.json` lists the reference's state dict as `[key, shape, dtype]`, and
`<name>.npz` holds what the reference answered. Nobody ships the weights: `filled_tensor` makes each
of them from its key alone, and a digest in the npz says whether the same numbers came out here.

    case = load_case("movinet_a0_base_small")
    model.load_state_dict({renamed(key): torch.from_numpy(value) for key, value in case.weights.items()})
    assert errors(case, {"logits": model(torch.from_numpy(case.clip))})["logits"] < 1e-5

A small array is recorded whole under its name. A large one is recorded as `<name>.shape`, its first 16
values, 64 probed values and five statistics.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class GoldenCase:
    name: str
    weights: dict[str, np.ndarray]
    clip: np.ndarray
    meta: dict
    golden: dict[str, np.ndarray]


def load_case(name: str) -> GoldenCase:
    """The case with its weights and clip rebuilt, after the check that they are the recorded ones."""
    with np.load(FOLDER / f"{name}.npz") as archive:
        golden = {entry: archive[entry] for entry in archive.files}
    meta = json.loads(golden.pop("meta").item())
    entries = json.loads((FOLDER / f"{name}.keys.json").read_text())["keys"]
    weights = {key: filled_tensor(key, tuple(shape)) for key, shape, _ in entries}
    clip = filled_clip(
        tuple(meta["clip"]["shape"]), meta["clip"]["lo"], meta["clip"]["hi"], meta["clip"]["seed"]
    )
    found = digest(weights, clip)
    if not np.allclose(found, golden["digest"], rtol=1e-9):
        raise RuntimeError(
            f"{name} was recorded with the digest {golden['digest']}, found {found} on this machine"
        )
    return GoldenCase(name, weights, clip, meta, golden)


def errors(case: GoldenCase, outputs: dict) -> dict[str, float]:
    """Largest absolute error of each output; `<name>.stats` is added where statistics were recorded."""
    found: dict[str, float] = {}
    for name, output in outputs.items():
        value = np.asarray(output, dtype=np.float32)
        is_whole = name in case.golden
        shape = case.golden[name].shape if is_whole else tuple(case.golden[f"{name}.shape"])
        if value.shape != shape:
            raise ValueError(f"{case.name} has {name} of shape {shape}, found {value.shape}")
        if is_whole:
            found[name] = largest_difference(value, case.golden[name])
            continue
        flat = value.ravel()
        head = largest_difference(flat[:16], case.golden[f"{name}.first16"])
        probed = flat[case.golden[f"{name}.probe_idx"]]
        found[name] = max(head, largest_difference(probed, case.golden[f"{name}.probe_val"]))
        found[f"{name}.stats"] = largest_difference(statistics(value), case.golden[f"{name}.stats"])
    return found


def filled_tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One weight of the reference: noise seeded by its key, scaled by what the last word of the key means."""
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    noise = seeded(key).standard_normal(math.prod(shape)).reshape(shape)
    if kind == "weight" and len(shape) > 1:
        return np.asarray(noise * np.sqrt(1.5 / math.prod(shape[1:])), dtype=np.float32)
    if kind == "running_var":
        return np.asarray(1.0 + 0.2 * np.abs(noise), dtype=np.float32)
    if kind == "cls_token":
        return np.asarray(noise, dtype=np.float32)
    if kind in ("running_mean", "bias") or kind.startswith("rel_pos"):
        return np.asarray(0.1 * noise, dtype=np.float32)
    centre = {"weight": 1.0, "alpha": 0.5}[kind]  # the gain of a norm, and the scale of a ReZero branch
    return np.asarray(centre + 0.1 * noise, dtype=np.float32)


def filled_clip(shape: tuple[int, ...], low: float, high: float, seed: str) -> np.ndarray:
    """Half uniform noise, half a ramp that differs along every axis, so that swaps and flips show."""
    noise = seeded(seed).random_sample(shape)
    powers = (1.0, 1.0, 2.0, 1.0, 3.0)  # batch, channel, time, height, width
    axes = [
        ((np.arange(length) + 0.5) / length) ** power for length, power in zip(shape, powers, strict=True)
    ]
    ramp = sum(np.ix_(*axes)) / len(axes)
    return (low + (high - low) * (0.5 * ramp + 0.5 * noise)).astype(np.float32)


def digest(weights: dict[str, np.ndarray], clip: np.ndarray) -> np.ndarray:
    """Sum of the weights, sum of their magnitudes, sum of the clip, and how many weights there are."""
    total = sum(float(value.sum(dtype=np.float64)) for value in weights.values())
    magnitude = sum(float(np.abs(value).sum(dtype=np.float64)) for value in weights.values())
    return np.array(
        [total, magnitude, clip.sum(dtype=np.float64), sum(value.size for value in weights.values())]
    )


def statistics(value: np.ndarray) -> np.ndarray:
    wide = value.astype(np.float64)
    return np.array([wide.mean(), wide.std(), wide.min(), wide.max(), np.abs(wide).mean()])


def seeded(text: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(text.encode()))


def largest_difference(found: np.ndarray, recorded: np.ndarray) -> float:
    return float(np.abs(found - recorded).max())
