"""What each of several training processes has at the end, for a test to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch


class KeepStates(L.Callback):
    """Writes what a process has learned into the folder of the run: `rank0.pt`, `rank1.pt` and so on."""

    def __init__(self) -> None:
        self.gradients: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
        """Keep the gradients of this step."""
        found = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
        self.gradients.append(torch.cat(found).clone())

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write weights, figures and gradients."""
        state = {"weights": module.state_dict(), "figures": dict(trainer.callback_metrics)}
        path = Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.pt"
        torch.save({**state, "gradients": self.gradients}, path)
