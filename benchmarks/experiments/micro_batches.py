"""How far gradients are from those of the whole batch when it is computed in parts of unequal size.

    python benchmarks/experiments/micro_batches.py    # 3 minutes on one core

50 clips of Digits-in-Motion, in parts of 16, 16, 16 and 2: once by `MicroBatches`, in float64 and float32,
and once by Lightning's `accumulate_grad_batches`. An error is the length of the difference as a share of the
length of the whole batch's gradient, over all learned weights, before the first step.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from approxbit.codec import CodecOptions, LookupFree, NoisyThreshold, Spherical
from approxbit.datasets.digits import TASK, DigitsClips
from approxbit.training import BackboneModule, CodecModule, MicroBatches, ObjectiveWeights

NUM_CLIPS, SIZE = 50, 16
COLUMNS = ("what is trained", "MicroBatches, float64", "float32", "accumulate_grad_batches, float64")
NESTED = CodecOptions(encoder_attention=True, nested_sizes=(4, 5, 6, 8, 12), whole_share=0.3)
SHIPPED = ObjectiveWeights(distillation=1, temperature=4, rate=18, rate_warmup=0.5)
CODECS: dict[str, dict[str, Any]] = {
    "codec by Eq. 3": {},
    "with distillation and downstream": {"objective": ObjectiveWeights(distillation=1, downstream=1)},
    "LookupFree": {"binarizer": LookupFree()},
    "Spherical": {"binarizer": Spherical()},
    "NoisyThreshold (draws for each clip)": {"binarizer": NoisyThreshold()},
    "nested, as in movinet_codec.yaml (draws)": {
        "options": NESTED, "objective": SHIPPED, "prior_preset": "global",
    },
}  # fmt: skip


class InOrder(L.LightningDataModule):
    """The same clips in batches of some size, the last one of what is left."""

    task = TASK

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        """Training clips as training sees them."""
        clips = DigitsClips(num_train=NUM_CLIPS)
        return DataLoader(clips.clips("train"), self.batch_size, collate_fn=clips.to_batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Not looked at."""
        return self.train_dataloader()


class KeepGradient(L.Callback):
    """What the optimizer is about to see."""

    gradient: Tensor

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
        """Keep it in one row."""
        found = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
        self.gradient = torch.cat(found).double()


def compute_gradient(kind: dict[str, Any], batch_size: int, precision: Any, *callbacks: L.Callback) -> Tensor:
    """Gradient of the first step, from the same weights and the same draws each time."""
    torch.manual_seed(1)
    if "backbone" in kind:
        module: L.LightningModule = BackboneModule(**kind)
    else:
        module = CodecModule("digits-movinet", "16-Enc-B5", "action_digit", statistics_batches=1, **kind)
    keep = KeepGradient()
    trainer = L.Trainer(
        accelerator="cpu", precision=precision, max_steps=1, limit_val_batches=0, logger=False,
        accumulate_grad_batches=-(-NUM_CLIPS // batch_size), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[keep, *callbacks],
    )  # fmt: skip
    torch.manual_seed(7)
    trainer.fit(module, datamodule=InOrder(batch_size))
    return keep.gradient


def measure(kind: dict[str, Any]) -> list[float]:
    """The errors of one row."""
    whole = {precision: compute_gradient(kind, NUM_CLIPS, precision) for precision in ("64-true", "32-true")}
    found = [
        (precision, compute_gradient(kind, NUM_CLIPS, precision, MicroBatches(SIZE))) for precision in whole
    ]
    found.append(("64-true", compute_gradient(kind, SIZE, "64-true")))
    return [float((each - whole[name]).norm() / whole[name].norm()) for name, each in found]


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    table = Table(*COLUMNS)
    backbone = {"backbone": "mvitv2_tiny", "arguments": {"num_classes": TASK.num_classes}}
    for name, kind in {**CODECS, "backbone mvitv2_tiny": backbone}.items():
        ours, ours_single, accumulated = measure(kind)
        table.add_row(name, f"{ours:.0e}", f"{ours_single:.0e}", f"{accumulated:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
