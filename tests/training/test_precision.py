"""Trainings in half precision: steps close to those in float32, and releases in float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import pytest
import torch
from acts import ACTS, ARGUMENTS
from lightning.pytorch.plugins import MixedPrecision
from random_clips import RandomClips
from safetensors.torch import load_file
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.codec import Binarizer, CodecOptions, LookupFree, NoisyThreshold, Spherical, Threshold
from approxbit.training import (
    BackboneModule,
    ClipData,
    CodecModule,
    MicroBatches,
    ObjectiveWeights,
    Optimization,
    Release,
)
from approxbit.training.features import FeatureData

pytestmark = [
    # The first scale of float16 gradients may be too large: that step is left out, and the scale halved.
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step..` before `optimizer.step"),
]
EVERYTHING = ObjectiveWeights(distillation=0.7, downstream=1.1, rate=3.0, temperature=4.0)
NESTED = CodecOptions(encoder_attention=True, nested_sizes=(2, 4), whole_share=0.3)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, small: ModuleType) -> Iterator[Path]:
    """A folder with two backbones of random weights, every one of which shows in their answers."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for family, name in (("movinet", "movinet_small"), ("mvitv2", "mvitv2_tiny")):
        backbone = small.shake(zoo.build_backbone(name, ARGUMENTS))
        zoo.save_backbone(root / family, backbone, name, ARGUMENTS, ACTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROXBIT_CHECKPOINTS", str(root))
        yield root


def train(
    module: L.LightningModule,
    precision: Any,
    *callbacks: L.Callback,
    data: L.LightningDataModule | None = None,
) -> dict[str, float]:
    """The terms of a single step."""
    is_half = precision == "16-mixed"  # Lightning lets it be bfloat16 on a CPU, unless it is given the plugin
    trainer = L.Trainer(
        accelerator="cpu",
        precision=None if is_half else precision,
        plugins=[MixedPrecision("16-mixed", "cpu")] if is_half else [],
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks],
    )
    torch.manual_seed(7)
    trainer.fit(module, datamodule=data or ClipData(RandomClips(ACTS), batch_size=6))
    return {name: float(each) for name, each in trainer.callback_metrics.items() if "train/" in name}


def codec(family: str, **options: Any) -> CodecModule:
    torch.manual_seed(1)
    return CodecModule(family, "8-Enc-B3", objective=EVERYTHING, statistics_batches=1, **options)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("family", ["movinet", "mvitv2"])
def test_a_codec_learns_in_half_precision_what_it_learns_in_float32(
    family: str, precision: str, checkpoints: Path
) -> None:
    options = {
        "options": NESTED,
        "binarizer": NoisyThreshold(),
        "prior_preset": "global",
        "optimization": Optimization(initialization="components"),
    }
    expected = train(codec(family, **options), 32)
    release = Release(family, "recipe.yaml", str(checkpoints))
    found = train(codec(family, **options), precision, MicroBatches(4), release)
    assert found == pytest.approx(expected, rel=0.1, abs=0.1)  # of the temperature squared, 16
    stored = load_file(checkpoints / family / "8-Enc-B3.safetensors")
    assert {values.dtype for values in stored.values()} == {torch.float32}
    model = zoo.load(f"{family}/8-Enc-B3")
    clips, labels = RandomClips(ACTS).clips("test").tensors
    scores = ACTS.score(model(clips).detach().numpy(), labels.numpy())
    metrics = zoo.card(f"{family}/8-Enc-B3").provenance.metrics
    assert {name: metrics[name] for name in scores} == scores


@pytest.mark.parametrize("precision", ["bf16-true", "16-mixed"])
def test_a_codec_learns_from_cached_features_in_half_precision(precision: str, checkpoints: Path) -> None:
    terms = []
    for each in (32, precision):
        module = codec("mvitv2", optimization=Optimization(initialization="components"))
        clips = ClipData(RandomClips(ACTS), batch_size=6)
        data = FeatureData(clips, module.model, module.compute_feature, batch_size=6)
        terms.append(train(module, each, data=data))
    assert terms[1] == pytest.approx(terms[0], rel=0.1, abs=0.1)


@pytest.mark.parametrize("precision", ["bf16-true", "16-mixed"])
@pytest.mark.parametrize("name", ["movinet_small", "mvitv2_tiny"])
def test_a_backbone_learns_in_half_precision(name: str, precision: str, tmp_path: Path) -> None:
    losses = []
    for each in (32, precision):
        torch.manual_seed(1)
        callback = Release("new", "recipe.yaml", str(tmp_path))
        losses.append(train(BackboneModule(name, ARGUMENTS), each, callback)["train/loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert {each.dtype for each in load_file(tmp_path / "new" / "backbone.safetensors").values()} <= {
        torch.float32,
        torch.int64,
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("binarizer", [Threshold(), NoisyThreshold(), LookupFree(), Spherical()])
def test_bits_and_losses_in_half_precision_are_nearly_those_of_float32(
    binarizer: Binarizer, dtype: torch.dtype
) -> None:
    def compute(dtype: torch.dtype) -> tuple[Tensor, float, Tensor]:
        torch.manual_seed(3)
        grid = torch.randn(64, 4, 2, 4, 4).to(dtype).requires_grad_()
        logits = Feature(grid, torch.zeros(64, 0, 4, dtype=dtype))
        bits = binarizer(logits)
        loss = binarizer.loss(logits)
        (loss + bits.grid.float().mean()).backward()
        assert bits.grid.dtype == dtype
        assert grid.grad is not None
        return bits.grid.detach().float(), loss.item(), grid.grad.float()

    bits, loss, gradient = compute(dtype)
    exact_bits, exact_loss, exact_gradient = compute(torch.float32)
    assert (bits != exact_bits).float().mean() < 0.01
    assert loss == pytest.approx(exact_loss, abs=0.02)
    assert (gradient - exact_gradient).norm() < 0.1 * exact_gradient.norm()


def test_noise_is_drawn_in_float32_whatever_the_logits_are() -> None:
    """In bfloat16 every 256th draw would be 0, and its noise that of one in a million."""
    torch.manual_seed(0)
    far = Feature(torch.full((1, 1, 1, 500, 500), 3.0, dtype=torch.bfloat16), torch.zeros(1, 0, 1).bfloat16())
    flipped = (NoisyThreshold()(far).grid == 0).float().mean()
    assert flipped < 3 / 22026  # sigmoid(-3 / 0.3) is 1 / 22,027
