"""Which bits of the shipped codes ever change: the rest cost nothing, and count for nothing.

    python benchmarks/figures/live_bits.py  # some minutes; writes benchmarks/figures/live_bits.json

A codec of 16 bits whose test codes use 5 is a codec of 5 bits: a fixed-rate sender would leave the others
out. `tables.py` and `curve.py` count a packed code by the bits that take both values on the test clips.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from approxbit import zoo
from approxbit.configuration import Configuration
from approxbit.datasets.digits import DigitsInMotion
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format

PATH = Path(__file__).with_name("live_bits.json")
NUM_CLIPS = 2400
BATCH_SIZE = 32


@torch.no_grad()
def find_live_bits(models: Sequence[OffloadedModel]) -> list[list[int]]:
    """For codecs of one cut: the bits of the codebook that are 0 at some positions and 1 at others."""
    form = clip_format(models[0].backbone)
    clips = DigitsInMotion("test", NUM_CLIPS, form.num_frames, form.size)
    seen = [np.zeros((2, model.codec.configuration.codebook_size), dtype=bool) for model in models]
    for start in track(range(0, NUM_CLIPS, BATCH_SIZE)):
        frames = clips.frames[start : start + BATCH_SIZE]
        batch = torch.from_numpy(
            np.stack([form.prepare(np.repeat(each[..., None], 3, axis=-1)) for each in frames])
        )
        feature = models[0].edge_half(batch)  # the same for all codecs of a cut
        for model, found in zip(models, seen, strict=True):
            planes = model.codec.encode(feature).to_planes()
            found |= np.stack([(planes == value).any(dim=2).any(dim=0).numpy() for value in (0, 1)])
    return [np.flatnonzero(found.all(axis=0)).tolist() for found in seen]


def count_live_bits(name: str) -> int:
    """How many bits of each position of a shipped code ever change; nested codes are the first bits."""
    card = zoo.card(name)
    codebook_size = Configuration.parse(name.partition("/")[2]).codebook_size
    return sum(bit < codebook_size for bit in json.loads(PATH.read_text())[card.name])


def main() -> None:
    groups: dict[tuple[str, str], dict[str, OffloadedModel]] = defaultdict(dict)
    for name in zoo.available():
        card = zoo.card(name)
        if card.name == name:
            point = Configuration.parse(name.partition("/")[2]).offload_point
            groups[card.backbone, point][name] = zoo.load(name)
    found: dict[str, list[int]] = {}
    for models in groups.values():
        found |= zip(models, find_live_bits(list(models.values())), strict=True)
    lines = [f"  {json.dumps(name)}: {bits}" for name, bits in sorted(found.items())]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
