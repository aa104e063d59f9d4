"""Training batches that are larger than the memory: computed in parts, with the step of the whole."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from approxbit.codec import WHOLE, Part
from approxbit.datasets.dense import QuestionTargets
from approxbit.training.memory import free_bytes, peak_bytes
from approxbit.training.parts import BatchInParts, MicroBatch, send_ahead

_STATES_OF_ADAM = 3
"""Gradient and two averages: what each trained weight needs beside itself."""


class MicroBatches(L.Callback):
    """Computes each training batch in micro-batches, one after another; the step is that of the whole batch.

    After Micro-Batch Streaming (Piao et al., 2021): the batch stays as large as the recipe says, however
    little memory there is. Each loss is weighed by its share of the clips, so that gradients are those of
    the whole batch up to rounding; Lightning's `accumulate_grad_batches` weighs parts of any size alike.
    What is drawn for each clip is drawn for the batch at once. Means inside a loss (the mean bit of
    `LookupFree` and `Spherical`, the variances of the downstream term) couple the clips of a batch: they are
    counted in a first pass without gradients. Dropout, which only backbones have, draws for each micro-batch.

    While one micro-batch is computed, the next one is on its way to the GPU.

    Args:
        size: Clips of a micro-batch at most; by default as many as fit, by the memory that one and two clips
            take and the memory that is free. It is halved whenever memory runs out nevertheless.
        memory_share: Of the free memory, above 0 and at most 1; the rest is for what operators use inside.

    Raises:
        ValueError: An argument is out of range, or `setup` finds a module that needs whole batches.
    """

    def __init__(self, size: int | None = None, memory_share: float = 0.8) -> None:
        if size is not None and size < 1:
            raise ValueError(f"expected a size of at least 1, found {size}")
        if not 0 < memory_share <= 1:
            raise ValueError(f"expected a memory_share above 0 and at most 1, found {memory_share}")
        self.size, self.memory_share = size, memory_share
        self._batch: Any = None
        self._has_means: bool | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make sure that the module's batches can be computed in parts."""
        if not isinstance(pl_module, StreamedModule):
            raise ValueError(
                f"expected a StreamedModule to train in micro-batches, found {type(pl_module).__name__}"
            )
        if trainer.accumulate_grad_batches != 1:
            raise ValueError(
                "expected accumulate_grad_batches of 1 beside MicroBatches, found "
                f"{trainer.accumulate_grad_batches}: set batch_size to the batch of one step"
            )
        reason = pl_module.needs_whole_batches()
        if reason:
            raise ValueError(f"expected a batch that can be computed in parts: {reason}")
        pl_module.micro_batches = self
        # Lightning asks for this hook in the data too, and warns that it found it in the module.
        warnings.filterwarnings("ignore", message="You have overridden `transfer_batch_to_device`")
        pl_module.transfer_batch_to_device = pl_module.leave_batch  # type: ignore[method-assign]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch; choose a size before the first one."""
        assert isinstance(pl_module, StreamedModule)
        self._batch = batch
        if self.size is None:
            found = torch.tensor(self._find_size(trainer, pl_module), device=pl_module.device)
            self.size = int(trainer.strategy.reduce(found, reduce_op="min"))

    def _find_size(self, trainer: L.Trainer, module: StreamedModule) -> int:
        """As many clips as fit into the free memory, in micro-batches of nearly one size."""
        num_clips, device = count_clips(self._batch), module.device
        learned = [weight for weight in module.parameters() if weight.requires_grad]
        free = free_bytes(device) // (trainer.num_devices if device.type == "cpu" else 1)
        free -= _STATES_OF_ADAM * sum(weight.nbytes for weight in learned)

        def compute(count: int) -> None:
            (part,) = BatchInParts(count, count).parts()
            clips = move_data_to_device(part.take(self._batch), device)
            with torch.enable_grad(), trainer.precision_plugin.train_step_context():
                loss = module.compute_terms(clips, WHOLE)["loss"]
            torch.autograd.grad(loss, learned, allow_unused=True)

        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            one, two = (peak_bytes(partial(compute, min(count, num_clips))) for count in (1, 2))
        fitting = 1 + (self.memory_share * free - one) / max(two - one, 1)
        size = min(max(int(fitting), 1), num_clips)
        return -(-num_clips // -(-num_clips // size))

    def compute(self, module: StreamedModule, closure: Callable[[], Any]) -> Any:
        """Let Lightning's closure (training step, backward pass) run once for each micro-batch.

        Raises:
            RuntimeError: A single clip does not fit into memory; or a micro-batch does not, and the other
                processes that train along cannot start the batch anew.
        """
        while True:
            try:
                loss = self._stream(module, closure)
                del self._batch, module.at_hand
                return loss
            except RuntimeError as error:
                assert self.size is not None
                if not is_oom_error(error) or self.size == 1:
                    raise
                if module.trainer.world_size > 1:
                    raise RuntimeError(
                        f"a micro-batch of {self.size} clips does not fit: give MicroBatches a smaller size"
                    ) from error
            garbage_collection_cuda()
            self.size = (min(self.size, count_clips(self._batch)) + 1) // 2

    def _stream(self, module: StreamedModule, closure: Callable[[], Any]) -> Any:
        assert self.size is not None
        whole = BatchInParts(count_clips(self._batch), self.size)
        self._count_means(module, whole)
        parts, loss = whole.parts(), None
        clips = send_ahead((part.take(self._batch) for part in parts), module.device)
        for part, its_clips in zip(parts, clips, strict=True):
            module.at_hand = part, its_clips
            with nullcontext() if part.is_last else _unsynchronized(module):
                loss = closure()
        return loss

    @torch.no_grad()
    def _count_means(self, module: StreamedModule, whole: BatchInParts) -> None:
        if self._has_means is False:
            return
        parts = whole.parts(is_counting=True)
        for part, clips in zip(
            parts, send_ahead((part.take(self._batch) for part in parts), module.device), strict=False
        ):
            with module.trainer.precision_plugin.train_step_context():
                module.compute_terms(clips, part)
            self._has_means = bool(whole.means)
            if not self._has_means:  # the first batch shows it
                return


class StreamedModule(L.LightningModule, ABC):
    """A module whose training batches can be computed in parts; the first sight of it is `compute_terms`.

    Attributes:
        micro_batches: The callback, where there is one.
        at_hand: The micro-batch that is computed, and its clips on the device.
    """

    micro_batches: MicroBatches | None = None
    at_hand: tuple[MicroBatch, Any]
    _terms_before: dict[str, Any]

    @abstractmethod
    def compute_terms(self, batch: Any, part: Part) -> dict[str, Float[Tensor, ""]]:
        """The terms of the objective, each a mean over the clips of `batch`; `loss` is what is minimised.

        Args:
            batch: Clips or features, targets, and what else there is of each clip.
            part: Gives what is drawn for each clip, and means inside a term.
        """

    def needs_whole_batches(self) -> str:
        """Why training batches cannot be computed in parts; empty where they can."""
        for name, layer in self.named_modules():
            if isinstance(layer, _BatchNorm) and layer.training:
                return (
                    f"{name} is a {type(layer).__name__} and normalises by the clips that it sees at once; "
                    "train without MicroBatches, or with a GroupNorm or LayerNorm in its place"
                )
        return ""

    def training_step(self, batch: Any, batch_index: int) -> Float[Tensor, ""]:
        """The loss of a batch, or of the micro-batch at hand by its share; logged is the whole batch."""
        if self.micro_batches is None:
            terms = self.compute_terms(batch, WHOLE)
            self._log_terms(terms)
            return terms["loss"]
        part, clips = self.at_hand
        terms = {name: part.share * term for name, term in self.compute_terms(clips, part).items()}
        before = {} if part.first == 0 else self._terms_before
        self._terms_before = {name: before.get(name, 0) + term.detach() for name, term in terms.items()}
        if part.is_last:
            self._log_terms(self._terms_before)
        return terms["loss"]

    def _log_terms(self, terms: dict[str, Any]) -> None:
        for name, term in terms.items():
            self.log(f"train/{name}", term.detach(), prog_bar=name == "loss")

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """As Lightning's, after all micro-batches of the batch."""
        if self.micro_batches is not None and optimizer_closure is not None:
            optimizer_closure = partial(self.micro_batches.compute, self, optimizer_closure)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Before the first backward pass of a batch."""
        if self.micro_batches is None or self.at_hand[0].first == 0:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def leave_batch(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """`transfer_batch_to_device` of a module whose micro-batches go to the device one by one."""
        if self.trainer.training:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)


def count_clips(batch: Any) -> int:
    """Clips of a batch: of its targets, which stand second."""
    targets = batch[1]
    return len(targets.asked if isinstance(targets, QuestionTargets) else targets)


def _unsynchronized(module: L.LightningModule) -> AbstractContextManager[None]:
    """Keeps gradients in this process, where several train together."""
    strategy = module.trainer.strategy
    return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()
