"""Checkpoints from which an interrupted training goes on."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepLast(ModelCheckpoint):
    """Writes `last.ckpt` into the trainer's `default_root_dir`, every so many steps and at an interruption.

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
        """Put the file beside the logs, where the next run looks for it."""
        self.dirpath = trainer.default_root_dir
        super().setup(trainer, pl_module, stage)
