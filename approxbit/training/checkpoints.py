"""Checkpoints from which an interrupted training goes on."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepLast(ModelCheckpoint):
    """Writes the training's state every so many steps, at an interruption and at the end.

    Args:
        every_n_steps: How much can be lost when the machine itself dies.
    """

    def __init__(self, every_n_steps: int = 100) -> None:
        super().__init__(
            filename="last",
            every_n_train_steps=every_n_steps,
            save_top_k=1,
            enable_version_counter=False,
            save_on_exception=True,
        )

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Put the file where the next run looks for it."""
        self.dirpath = str(last_checkpoint(trainer.default_root_dir).parent)
        with warnings.catch_warnings():
            # When a training is resumed, that is the point.
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the very last step too, whatever the interval."""
        super().on_train_end(trainer, pl_module)
        trainer.save_checkpoint(last_checkpoint(trainer.default_root_dir))


def last_checkpoint(root: str | Path) -> Path:
    """Where a training with this `default_root_dir` keeps its state.

    Example:
        >>> last_checkpoint("runs/codec").as_posix()
        'runs/codec/checkpoint/last.ckpt'
    """
    return Path(root) / "checkpoint" / "last.ckpt"
