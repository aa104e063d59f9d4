"""A prior for each codec of a family of the zoo, without training the codecs again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from statistics import mean
from typing import Any

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from approxbit import zoo
from approxbit.codec.code import Code
from approxbit.codec.codec import Codec
from approxbit.datasets.check import fit_source
from approxbit.datasets.source import ClipSource
from approxbit.datasets.windows import Windows
from approxbit.families import locate
from approxbit.families.hub import check_is_here
from approxbit.offload import OffloadedModel
from approxbit.training.prior import CodePrior, WindowPairs
from approxbit.wire import (
    Coding,
    PriorTables,
    count_steps,
    entropy,
    packed_bytes,
)
from approxbit.wire.coding import decode_payload, encode_planes
from approxbit.wire.entropy import PRESETS

BATCH_SIZE = 50

NUM_REFERENCE = 7
"""Positions of an earlier code that the tables of updates look at."""

Clip = Float[Tensor, "batch 3 time height width"]


@dataclass(frozen=True)
class FittedPrior:
    """What became of the prior of one codec.

    Attributes:
        name: Of the codec, such as `digits-movinet/16-Enc-B5`.
        raw_bytes: Of a packed code.
        ideal_bytes: Mean over the test codes, by the prior as it was trained; None if only tables are there.
        coded_bytes: Mean over the test codes, of real payloads under the frozen tables.
        tables_bytes: Size of the tables.
        update_bytes: By shift in frames, the mean payload of the updates of test windows; empty if the tables
            have none for updates.
    """

    name: str
    raw_bytes: int
    ideal_bytes: float | None
    coded_bytes: float
    tables_bytes: int
    update_bytes: Mapping[int, float] = field(default_factory=dict)

    @property
    def saved_percent(self) -> float:
        """How many percent of the raw bytes need not be sent."""
        return 100 * (1 - self.coded_bytes / self.raw_bytes)


def load_outermost(
    family: str, checkpoints: str | os.PathLike[str] | None = None
) -> dict[str, OffloadedModel]:
    """The models of a family whose codecs are nested in no other; others use the prior of their holder."""
    root, family = locate(family, checkpoints)
    return {
        configuration: model
        for configuration, model in zoo.load_family(family, root).items()
        if zoo.card(f"{family}/{configuration}", root).name == f"{family}/{configuration}"
    }


@torch.inference_mode()
def compute_codes(models: Mapping[str, OffloadedModel], batches: Iterable[Any], text: str) -> dict[str, Code]:
    """The codes of all clips under each of several models; each edge half computes a clip once.

    Args:
        models: By name; those of one offload point share their edge half's work if they share a backbone.
        batches: `(clip of RGB in [0, 1], labels)`, batch by batch.
        text: What to call this on the progress bar.

    Returns:
        By name: uint8 codes `[clip, ...]`.
    """
    parts: dict[str, list[Code]] = {name: [] for name in models}
    for clip, _ in track(batches, text):
        for name, code in _codes_of(models, clip):
            parts[name].append(code)
    return {
        name: Code(*(torch.cat(column) for column in zip(*codes, strict=True)))
        for name, codes in parts.items()
    }


def fit_prior(
    model: OffloadedModel, codes: Code, preset: str = "small", num_steps: int = 400, seed: int = 0
) -> CodePrior:
    """A prior of a model's codec, trained on codes of training clips."""
    torch.manual_seed(seed)
    prior = CodePrior.for_codec(model.codec, preset)
    prior.fit(codes, num_steps, seed=seed)
    return prior


def fit_update_prior(
    model: OffloadedModel,
    pairs: Sequence[WindowPairs],
    preset: str = "small",
    num_steps: int = 400,
    seed: int = 0,
) -> CodePrior:
    """The prior of a model's codes whose first time steps an earlier code has seen, trained on windows."""
    torch.manual_seed(seed)
    prior = CodePrior.for_codec(model.codec, preset, NUM_REFERENCE)
    prior.fit_updates(pairs, num_steps, seed=seed)
    return prior


def pair_windows(codes: Code, windows: Windows) -> dict[int, WindowPairs]:
    """All pairs of windows of one video that lie a shift apart, by shift in frames.

    Args:
        codes: Of the windows, video by video, as `compute_codes` gives them for `windows.batches`.
        windows: Whose shifts are taken.
    """
    by_video = Code(*(part.unflatten(0, (-1, windows.num_windows)) for part in codes))
    pairs = {}
    for shift in windows.shifts:
        distance = shift // windows.every
        later = Code(*(part[:, distance:].flatten(0, 1) for part in by_video))
        earlier = Code(*(part[:, :-distance].flatten(0, 1) for part in by_video))
        pairs[shift] = WindowPairs(
            later, earlier, count_steps(shift, windows.num_frames, codes.grid.shape[2])
        )
    return pairs


def measure_updates(name: str, tables: PriorTables, pairs: WindowPairs) -> float:
    """Mean payload bytes of the updates of test windows; each is decoded again.

    Raises:
        AssertionError: A code did not come back.
    """
    coded_bytes = 0
    planes, earlier = (codes.to_planes().numpy() for codes in (pairs.code, pairs.earlier))
    for each, other in zip(planes, earlier, strict=True):
        reference = entropy.Reference(other, pairs.steps)
        coding, payload = encode_planes(each, tables, reference=reference)
        used = reference if coding == Coding.UPDATE else None
        decoded = decode_payload(coding, payload, len(each), each.shape[1], tables, used)
        assert (decoded == each).all(), f"a code of {name} did not come back"
        coded_bytes += len(payload)
    return coded_bytes / len(planes)


def measure_prior(
    name: str, prior: PriorTables, codes: Code, trained: CodePrior | None = None
) -> FittedPrior:
    """Code every one of some test codes for real, and check that it comes back.

    Args:
        name: Of the codec.
        prior: Its tables.
        codes: Of test clips.
        trained: What the tables were frozen from, for the bytes before rounding.

    Raises:
        AssertionError: A code did not come back.
    """
    planes = codes.to_planes().numpy()
    raw_bytes, coded_bytes = packed_bytes(*planes.shape[1:]), 0
    for each in planes:
        coding, payload = encode_planes(each, prior)
        decoded = decode_payload(coding, payload, len(each), each.shape[1], prior)
        assert (decoded == each).all(), f"a code of {name} did not come back"
        coded_bytes += len(payload)
    ideal_bytes = None if trained is None else compute_ideal_bytes(trained, codes)
    return FittedPrior(name, raw_bytes, ideal_bytes, coded_bytes / len(planes), len(prior.to_bytes()))


@torch.inference_mode()
def compute_ideal_bytes(trained: CodePrior, codes: Code) -> float:
    """Mean bytes of codes under the probabilities of a prior before they become integers."""
    chunks = zip(codes.grid.split(100), codes.tokens.split(100), strict=True)
    return torch.cat([trained(Code(*chunk)) for chunk in chunks]).mean().item() / 8


def make_metrics(codec: Codec, prior: PriorTables, whole: FittedPrior, codes: Code) -> dict[str, float]:
    """What a card says of a prior: bytes of the codes, those of the nested ones, and those of updates."""
    metrics = {
        "raw_bytes": float(whole.raw_bytes),
        "coded_bytes": round(whole.coded_bytes, 2),
        "coded_bits_per_byte": round(8 * whole.coded_bytes / whole.raw_bytes, 3),
    }
    planes = codes.to_planes().numpy()
    for size in codec.nested_sizes:
        name = replace(codec.configuration, codebook_size=size)
        lengths = [len(encode_planes(each[:size], prior)[1]) for each in planes]
        metrics[f"{name}_coded_bytes"] = round(mean(lengths), 2)
    of_updates = whole.update_bytes.items()
    return metrics | {f"update_bytes_{shift}": round(size, 2) for shift, size in of_updates}


def train_priors(
    family: str,
    source: ClipSource,
    checkpoints: str | os.PathLike[str] | None = None,
    preset: str = "small",
    num_steps: int = 400,
    seed: int = 0,
    windows: Windows | None = None,
    configurations: Sequence[str] = (),
) -> Iterator[FittedPrior]:
    """Give codecs of a family a prior: file and card are written again, with another fingerprint.

    Args:
        family: Such as `digits-movinet`.
        source: Of clips; priors learn from those of `train` and are measured on those of `test`.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.
        preset: `fast`, `small` or `global`.
        num_steps: Steps of training for each prior.
        seed: For all random numbers.
        windows: For tables of updates; by default there are none.
        configurations: Whose codecs get one, such as `16-Enc-B5`; by default all. One that is nested in
            another shares its prior, and cannot be named.

    Yields:
        One result for each codec, once it is saved.

    Raises:
        ValueError: There is no such family, preset or codec, the family is one of the hub, or the clips are
            not for its backbone.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, found {preset!r}")
    check_is_here(family)
    root = zoo.find_checkpoints(checkpoints, family)
    models = load_outermost(family, root)
    if unknown := set(configurations) - set(models):
        expected, found = ", ".join(models), ", ".join(sorted(unknown))
        raise ValueError(f"expected configurations of {family} among {expected}, found {found}")
    models = {each: models[each] for each in configurations or models}
    source = fit_source(source, "train", next(iter(models.values())).backbone)
    train = compute_codes(models, source.loader("train", BATCH_SIZE), "codes of training clips")
    test = compute_codes(models, source.loader("test", BATCH_SIZE), "codes of test clips")
    of_windows = {} if windows is None else _codes_of_windows(models, windows)
    for configuration, model in models.items():
        name = f"{family}/{configuration}"
        trained = fit_prior(model, train[configuration], preset, num_steps, seed)
        prior = trained.freeze()
        update_bytes = {}
        if windows is not None:
            train_pairs, test_pairs = (pair_windows(each[configuration], windows) for each in of_windows)
            update = fit_update_prior(model, list(train_pairs.values()), preset, num_steps, seed)
            prior = replace(prior, update=update.freeze())
            update_bytes = {shift: measure_updates(name, prior, pairs) for shift, pairs in test_pairs.items()}
        result = replace(measure_prior(name, prior, test[configuration], trained), update_bytes=update_bytes)
        metrics = make_metrics(model.codec, prior, result, test[configuration])
        zoo.save_prior(name, prior, metrics, root, split="test")
        yield result


def _codes_of_windows(
    models: Mapping[str, OffloadedModel], windows: Windows
) -> tuple[dict[str, Code], dict[str, Code]]:
    """Of training and of test windows."""
    train = compute_codes(models, windows.batches("train"), "codes of training windows")
    return train, compute_codes(models, windows.batches("test"), "codes of test windows")


def _codes_of(models: Mapping[str, OffloadedModel], clip: Clip) -> Iterator[tuple[str, Code]]:
    def point_of(name: str) -> tuple[int, str]:
        return id(models[name].backbone), models[name].codec.configuration.offload_point

    for _, names in groupby(sorted(models, key=point_of), key=point_of):
        feature = None
        for name in names:
            model = models[name]
            if feature is None:
                feature = model.edge_half(model.backbone.normalise(clip))
            yield name, model.codec.encode(feature)
