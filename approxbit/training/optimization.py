"""How a codec's weights move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from approxbit.training.schedule import constant, warmup_cosine

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
_SCHEDULES = ("constant", "cosine")
_INITIALIZATIONS = ("random", "components")


@dataclass(frozen=True)
class Optimization:
    """Start, optimizer and schedule; the defaults are the paper's for recognition.

    Attributes:
        optimizer: `adam`, or `adamw` as in the paper for question answering.
        learning_rate: Peak rate, above 0.
        schedule: `constant`, or `cosine` down to 0.
        warmup: Share of the steps over which the rate rises, with `cosine`.
        initialization: `random`, or `components`: bits start as `start_from_components` says.

    Raises:
        ValueError: A value is none of these.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup: float = 0.05
    initialization: str = "random"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("optimizer", self.optimizer, tuple(_OPTIMIZERS)),
            ("schedule", self.schedule, _SCHEDULES),
            ("initialization", self.initialization, _INITIALIZATIONS),
        ):
            if value not in known:
                raise ValueError(f"expected {name} to be one of {', '.join(known)}, found {value!r}")
        if not self.learning_rate > 0:
            raise ValueError(f"expected a learning_rate above 0, found {self.learning_rate}")

    def start(self, parameters: Iterable[nn.Parameter], num_steps: int) -> dict[str, Any]:
        """Optimizer and scheduler in the form that Lightning takes.

        Args:
            parameters: What is trained.
            num_steps: Optimizer steps of the whole training.
        """
        optimizer = _OPTIMIZERS[self.optimizer](parameters, lr=self.learning_rate)
        factor = warmup_cosine(num_steps, self.warmup) if self.schedule == "cosine" else constant
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }


class Muon(NamedTuple):
    """What Muon moves, which makes the momentum of a matrix orthogonal: all directions learn at one speed.

    Attributes:
        matrices: Of the layers, each of two dimensions.
        rate: At its peak.
    """

    matrices: Sequence[nn.Parameter]
    rate: float


def adamw_cosine(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    num_steps: int,
    muon: Muon | None = None,
) -> dict[str, Any]:
    """AdamW with a warm-up and a cosine over the whole training, in the form that Lightning takes.

    Args:
        parameters: What is trained.
        learning_rate: At its peak.
        weight_decay: Of matrices and convolutions; norms, biases and scalars have none.
        warmup: Share of the steps over which the rate rises.
        num_steps: Optimizer steps of the whole training.
        muon: What moves some matrices instead; by default nothing.
    """
    moved = [] if muon is None else list(muon.matrices)
    learned = [each for each in parameters if not any(each is matrix for matrix in moved)]
    groups = [
        {"params": [each for each in learned if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in learned if each.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    if muon is not None:
        optimizer = BothOptimizers(
            torch.optim.Muon(moved, lr=muon.rate, weight_decay=weight_decay), optimizer
        )
    schedule = LambdaLR(optimizer, warmup_cosine(num_steps, warmup))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class BothOptimizers(torch.optim.Optimizer):
    """Several optimizers, each of its own weights, as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        """A schedule changes the rates in the groups of the whole, which the parts must see."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """Move all weights once."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of all parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
