"""The checkpoints that the authors of the backbones published, as data.

Addresses and accuracies are those that the publishers' pages name. None of these files was opened when this
table was written: whether each loads is for `load_official` to say, which checks every key and shape. Where
a publisher puts the first 8 digits of the SHA-256 into the name of a file, they are checked; no other hash
is known.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWFAST_URL = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/mvitv2/pysf_video_models/"
MMACTION2_URL = "https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/converted/"
TORCHVISION_URL = "https://download.pytorch.org/models/"
ATZE00_URL = "https://github.com/Atze00/MoViNet-pytorch/blob/main/weights/"


@dataclass(frozen=True)
class KnownCheckpoint:
    """A published checkpoint.

    Attributes:
        url: Where it lies.
        origin: Whose names its keys follow, as in `LoadReport.origin`.
        builder: The backbone that it is for, as recipes and cards name it.
        num_classes: Length of the logits that the backbone must have.
        top1_percent: Accuracy that its publisher reports, in the publisher's own test protocol. Atze00's
            files are conversions; theirs is that of the original.
    """

    url: str
    origin: str
    builder: str
    num_classes: int
    top1_percent: float


def _mvitv2() -> dict[str, KnownCheckpoint]:
    rows = (
        ("b-ssv2", "slowfast", "MViTv2_B_32x3_ssv2_f305803282.pyth", 70.5),
        ("b-k400", "slowfast", "MViTv2_B_32x3_k400_f304025456.pyth", 82.9),
        ("s-ssv2", "slowfast", "MViTv2_S_16x4_ssv2_f308341823.pyth", 68.2),
        ("s-k400", "slowfast", "MViTv2_S_16x4_k400_f302660347.pyth", 81.0),
        ("b-ssv2-mmaction2", "mmaction2", "mvit-base-p244_u32_sthv2-rgb_20221021-d5de5da6.pth", 70.8),
        (
            "b-k400-mmaction2",
            "mmaction2",
            "mvit-base-p244_32x3x1_kinetics400-rgb_20221021-f392cd2d.pth",
            82.6,
        ),
        ("s-ssv2-mmaction2", "mmaction2", "mvit-small-p244_u16_sthv2-rgb_20221021-65ecae7d.pth", 68.1),
        (
            "s-k400-mmaction2",
            "mmaction2",
            "mvit-small-p244_16x4x1_kinetics400-rgb_20221021-9ebaaeed.pth",
            81.1,
        ),
        ("s-k400-torchvision", "torchvision", "mvit_v2_s-ae3be167.pth", 80.757),
    )
    folders = {"slowfast": SLOWFAST_URL, "mmaction2": MMACTION2_URL, "torchvision": TORCHVISION_URL}
    classes = {"ssv2": 174, "k400": 400}
    return {
        f"mvitv2-{name}": KnownCheckpoint(
            folders[origin] + file, origin, f"mvitv2_{name[0]}", classes[name.split("-")[1]], top1_percent
        )
        for name, origin, file, top1_percent in rows
    }


def _movinet() -> dict[str, KnownCheckpoint]:
    base = {"a0": 72.28, "a1": 76.69, "a2": 78.62, "a3": 81.79, "a4": 83.48, "a5": 84.27}
    # Stream weights of A3 to A5 are for a model that encodes the position of a frame; ours does not.
    stream = {"a0_stream": 72.05, "a1_stream": 76.45, "a2_stream": 78.40}
    return {
        f"movinet-{variant.replace('_', '-')}-k600": KnownCheckpoint(
            f"{ATZE00_URL}model{variant.replace('a', 'A', 1)}_statedict_v3?raw=true",
            "atze00",
            f"movinet_{variant}",
            600,
            top1_percent,
        )
        for variant, top1_percent in {**base, **stream}.items()
    }


KNOWN_CHECKPOINTS: dict[str, KnownCheckpoint] = _mvitv2() | _movinet()
"""Short name -> checkpoint, such as `mvitv2-b-ssv2` or `movinet-a2-stream-k600`."""
