"""What codes still hold of a scene, read by linear probes from the decoded feature.

    python benchmarks/experiments/scenes_probes.py  # all codecs of scenes-vit, 10 minutes of one core

From each patch of the feature, a ridge regression reads what the script says of the digit there: which one
it is and its colour (percent right), and where its centre is, its size and its angle (R2). Probes are fitted
on training scenes and scored on test scenes; the first row is the feature itself. None was used in training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial

import torch
from rich.progress import track
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.datasets.scenes.clips import Scenes
from approxbit.datasets.scenes.targets import NUM_CLASSES, dense_targets
from approxbit.offload import OffloadedModel

FAMILY, BATCH = "scenes-vit", 20
CLASSES = ("value", "colour")
VALUES = ("offset", "size", "turn")
RIDGE = 1e-2
See = Callable[[Tensor], Feature]


@torch.inference_mode()
def read(see: See, split: str, num_clips: int, title: str) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Channels of the patches that digits fill, `[patch, channel + 1]`, and what the script says of them."""
    scenes = Scenes(split, num_clips)
    rows: list[Tensor] = []
    said: dict[str, list[Tensor]] = {name: [] for name in (*CLASSES, *VALUES)}
    for first in track(range(0, num_clips, BATCH), title):
        indices = torch.arange(first, min(first + BATCH, num_clips))
        frames = torch.from_numpy(scenes.frames[indices.numpy()])
        feature = see(frames.permute(0, 4, 1, 2, 3).float() / 255).grid
        targets = dense_targets(scenes, indices)
        shown = targets.classes["is_digit"] == 1
        rows.append(feature.flatten(2).transpose(1, 2)[shown])
        for name in CLASSES:
            said[name].append(
                torch.nn.functional.one_hot(targets.classes[name][shown], NUM_CLASSES[name]).float()
            )
        for name in VALUES:
            said[name].append(targets.values[name][shown])
    patches = torch.cat(rows)
    ones = patches.new_ones(len(patches), 1)
    return torch.cat((patches, ones), dim=1), {name: torch.cat(each) for name, each in said.items()}


def probe(see: See, num_train: int, num_test: int, title: str) -> dict[str, float]:
    """Percent right of the classes and R2 of the values, on test scenes."""
    x, wanted = read(see, "train", num_train, f"{title}: train")
    seen, truth = read(see, "test", num_test, f"{title}: test")
    scale = x.std(dim=0).clamp(min=1e-4)
    scale[-1] = 1
    x, seen = (x / scale).double(), (seen / scale).double()
    gram = x.T @ x / len(x) + RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    scores = {}
    for name, target in wanted.items():
        found = seen @ torch.linalg.solve(gram, x.T @ target.double() / len(x))
        right = truth[name].double()
        if name in CLASSES:
            scores[name] = 100 * (found.argmax(dim=1) == right.argmax(dim=1)).double().mean().item()
        else:
            rest = (found - right).square().sum(dim=0) / (right - right.mean(dim=0)).square().sum(dim=0)
            scores[name] = 1 - rest.mean().item()
    return scores


def see_feature(model: OffloadedModel, clip: Tensor) -> Feature:
    feature: Feature = model.edge_half(model.backbone.normalise(clip))
    return feature


def see_decoded(model: OffloadedModel, clip: Tensor) -> Feature:
    return model.codec.decode(model.encode(clip))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=400, help="scenes that probes are fitted on")
    parser.add_argument("--test", type=int, default=200, help="scenes that they are scored on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, See] = {}
    for name, model in zoo.load_family(FAMILY).items():
        point = model.codec.configuration.offload_point
        rows.setdefault(f"feature at {point}", partial(see_feature, model))
        rows[name] = partial(see_decoded, model)
    if not rows:
        parser.error(f"{FAMILY} has no codec yet: train one")
    columns = [*CLASSES, *(f"R2 {name}" for name in VALUES)]
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name, see in sorted(rows.items(), key=lambda row: (row[0][-2:], not row[0].startswith("feature"))):
        scores = probe(see, options.train, options.test, name)
        cells = [f"{scores[each]:.1f}" for each in CLASSES] + [f"{scores[each]:.2f}" for each in VALUES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
