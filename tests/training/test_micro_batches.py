"""A batch in micro-batches: its gradients, its size, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning as L
import pytest
import torch
from acts import ACTS, ARGUMENTS
from random_clips import RandomClips
from torch import Tensor
from torch.utils.data import DataLoader

from approxbit.backbones.feature import Feature
from approxbit.baselines.vq_module import VQModule
from approxbit.codec import WHOLE, CodecOptions, LookupFree, NoisyThreshold, Part, Spherical, Threshold
from approxbit.training import (
    BackboneModule,
    ClipData,
    CodecModule,
    MicroBatches,
    ObjectiveWeights,
    micro_batches,
)
from approxbit.training.memory import free_bytes, peak_bytes
from approxbit.training.parts import BatchInParts, send_ahead

ON_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
NUM_CLIPS = 7  # of a batch: micro-batches of 3, 3 and 1


class Gradients(L.Callback):
    """Keeps the gradients of each step, and what is logged."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        named = pl_module.named_parameters()
        self.steps.append({name: each.grad.clone() for name, each in named if each.grad is not None})


def train(
    module: L.LightningModule,
    *callbacks: L.Callback,
    steps: int = 2,
    data: L.LightningDataModule | None = None,
    **options: Any,
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Gradients of each step in float64, and what the last one logged."""
    gradients = Gradients()
    trainer = L.Trainer(
        accelerator="cpu",
        precision="64-true",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[gradients, *callbacks],
        **options,
    )
    torch.manual_seed(7)
    data = data or ClipData(RandomClips(ACTS, num_clips=2 * NUM_CLIPS), batch_size=NUM_CLIPS)
    trainer.fit(module, datamodule=data)
    logged = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
    return gradients.steps, logged


def codec(family: str, **options: Any) -> CodecModule:
    torch.manual_seed(1)
    return CodecModule(family, "8-Enc-B3", statistics_batches=1, **options)


def error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest distance of a weight's gradient as a share of its length; mere rounding counts as 0."""
    assert found.keys() == expected.keys()
    return max(
        float((found[name] - right).norm() / right.norm().clamp_min(1e-9)) for name, right in expected.items()
    )


NESTED = CodecOptions(nested_sizes=(2, 4), whole_share=0.3)
EVERYTHING = ObjectiveWeights(distillation=0.7, downstream=1.1, rate=3.0, temperature=4.0, rate_warmup=0.5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"options": NESTED, "objective": EVERYTHING, "prior_preset": "global", "binarizer": NoisyThreshold()},
        {"binarizer": LookupFree()},
        {"binarizer": Spherical(), "options": NESTED},
    ],
    ids=["plain", "everything", "lookup-free", "spherical"],
)
def test_gradients_are_those_of_the_whole_batch(options: dict[str, Any], family: str) -> None:
    expected, logged = train(codec(family, **options))
    found, logged_too = train(codec(family, **options), MicroBatches(3))
    assert len(found) == len(expected) == 2
    assert max(error(*pair) for pair in zip(found, expected, strict=True)) < 1e-6
    assert logged.keys() == logged_too.keys()
    for name, value in logged.items():
        torch.testing.assert_close(logged_too[name], value, msg=name)


def test_a_backbone_without_batch_norms_is_trained_in_micro_batches() -> None:
    arguments = {"num_classes": 6, "clip_shape": (3, 4, 32, 32)}

    def backbone() -> BackboneModule:
        torch.manual_seed(1)
        return BackboneModule("mvitv2_tiny", arguments)

    expected, _ = train(backbone(), gradient_clip_val=1.0)
    found, _ = train(backbone(), MicroBatches(3), gradient_clip_val=1.0)
    assert max(error(*pair) for pair in zip(found, expected, strict=True)) < 1e-6


class InOrder(L.LightningDataModule):
    """One batch of clips after another, the last one of what is left."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(RandomClips(ACTS, num_clips=NUM_CLIPS).clips("train"), self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.train_dataloader()


def test_lightnings_own_accumulation_is_wrong_for_unequal_parts(family: str) -> None:
    """What `MicroBatches` is for."""
    expected, _ = train(codec(family), steps=1, data=InOrder(NUM_CLIPS))
    ours, _ = train(codec(family), MicroBatches(3), steps=1, data=InOrder(NUM_CLIPS))
    theirs, _ = train(codec(family), steps=1, data=InOrder(3), accumulate_grad_batches=3)
    whole, in_parts, accumulated = (
        torch.cat([*map(torch.flatten, g[0].values())]) for g in (expected, ours, theirs)
    )
    assert (in_parts - whole).norm() < 1e-12 * whole.norm()
    assert (accumulated - whole).norm() > 0.05 * whole.norm()


def test_a_size_is_found_by_the_memory_that_clips_take(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = codec(family).double().train()
    learned = [weight for weight in module.parameters() if weight.requires_grad]

    def step(count: int) -> None:
        batch = torch.rand(count, 3, 4, 32, 32).double(), torch.arange(count)
        torch.autograd.grad(module.compute_objective(batch)[0].total, learned)

    one, two = (peak_bytes(partial(step, count)) for count in (1, 2))
    clip_bytes = 8 * 3 * 4 * 32 * 32  # the clips themselves, which are here before the search begins
    states = 3 * sum(weight.nbytes for weight in learned)
    for enough_for, size in ((1.5, 1), (3.5, 3), (5.5, 4), (1000, 7)):  # 4 and 3 instead of 5 and 2
        free = states + one - clip_bytes + (enough_for - 1) * (two - one - clip_bytes)
        monkeypatch.setattr(micro_batches, "free_bytes", lambda device, free=free: int(free))
        callback = MicroBatches(memory_share=1.0)
        train(codec(family), callback, steps=1)
        assert callback.size == size


class Greedy(Threshold):
    """Asks for a petabyte where it sees more than two clips."""

    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        torch.empty(1 if len(logits.grid) <= 2 else 1 << 50, dtype=torch.uint8)
        return super().forward(logits, part)


def test_a_batch_that_does_not_fit_starts_anew_in_smaller_parts(family: str) -> None:
    expected, _ = train(codec(family, options=NESTED))
    callback = MicroBatches(6)
    found, _ = train(codec(family, options=NESTED, binarizer=Greedy()), callback)
    assert callback.size == 2  # by way of 3
    assert max(error(*pair) for pair in zip(found, expected, strict=True)) < 1e-6


class Insatiable(Threshold):
    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        torch.empty(1 << 50, dtype=torch.uint8)
        return super().forward(logits, part)


def test_a_clip_that_does_not_fit_is_an_error(family: str) -> None:
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        train(codec(family, binarizer=Insatiable()), MicroBatches(3))


def test_the_peak_is_what_tensors_hold_at_one_time() -> None:
    given = torch.ones(1000, requires_grad=True)  # 4,000 bytes each, this one apart

    def chain() -> Tensor:
        first = given * 2
        second = first + 1
        del first
        return (second[:10] + second[10:20]).sum()

    assert peak_bytes(chain) == 8000
    assert peak_bytes(lambda: given.view(10, 100).t()) == 0
    assert peak_bytes(lambda: (given.exp() ** 2).sum().backward()) >= 12000
    assert 0 < free_bytes(torch.device("cpu")) < 2**50


def test_the_memory_of_an_unknown_device_is_not_known() -> None:
    with pytest.raises(
        ValueError, match="the free memory of meta cannot be known here: give MicroBatches a size"
    ):
        free_bytes(torch.device("meta"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_CUDA)])
def test_parts_arrive_in_order_and_as_they_were(device: str) -> None:
    whole = BatchInParts(7, 3)
    batch = (Feature(torch.rand(7, 2, 1, 1, 1), torch.rand(7, 0, 2)), torch.arange(7))
    arrived = list(send_ahead((part.take(batch) for part in whole.parts()), torch.device(device)))
    assert [len(labels) for _, labels in arrived] == [3, 3, 1]
    assert all(labels.device.type == device for _, labels in arrived)
    assert torch.equal(torch.cat([feature.grid.cpu() for feature, _ in arrived]), batch[0].grid)
    assert sum(part.share for part in whole.parts()) == pytest.approx(1)


def test_what_is_drawn_for_each_clip_is_that_of_the_whole_batch() -> None:
    whole = BatchInParts(5, 2)
    torch.manual_seed(3)
    drawn = [(part.draw(torch.rand, 2), part.draw(torch.randperm, 2)) for part in whole.parts()]
    torch.manual_seed(3)
    expected = torch.rand(5), torch.randperm(5)
    assert all(
        torch.equal(torch.cat(found), one)
        for found, one in zip(zip(*drawn, strict=True), expected, strict=True)
    )


def test_what_cannot_be_computed_in_parts_is_refused(family: str) -> None:
    with pytest.raises(ValueError, match=r"expected a StreamedModule to train .*, found LightningModule"):
        MicroBatches(3).setup(L.Trainer(accelerator="cpu", logger=False), L.LightningModule(), "fit")
    with pytest.raises(
        ValueError, match="accumulate_grad_batches of 1 beside MicroBatches, found 2: set batch"
    ):
        train(codec(family), MicroBatches(3), accumulate_grad_batches=2)
    with pytest.raises(ValueError, match=r"backbone.conv1.* is a BatchNorm3d and normalises by the clips"):
        train(BackboneModule("movinet_small", ARGUMENTS), MicroBatches(3))
    with pytest.raises(
        ValueError, match="the entries of a vector quantiser follow the vectors of whole batches"
    ):
        train(VQModule(family, "4-Enc-B3"), MicroBatches(3))


def test_a_wrong_size_or_share_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a size of at least 1, found 0"):
        MicroBatches(0)
    with pytest.raises(ValueError, match=r"a memory_share above 0 and at most 1, found 1\.5"):
        MicroBatches(memory_share=1.5)
