"""What is connected to what in a training: each term of the objective by hand, the optimizer, a resume."""

from __future__ import annotations

import math
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from acts import ACTS, ARGUMENTS, CLASS_OF
from random_clips import RandomClips
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.codec import WHOLE, CodecOptions, Part
from approxbit.training import ClipData, CodecModule, KeepLast, ObjectiveWeights, release
from approxbit.training.backbone_module import BackboneModule
from approxbit.training.checkpoints import last_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch"),
]


def make_trainer(steps: int, root: Path | None = None, **options) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        default_root_dir=root,
        logger=False,
        enable_checkpointing=root is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


WEIGHTS = ObjectiveWeights(
    task=0.5,
    reconstruction=2.0,
    binary=0.3,
    distillation=0.7,
    downstream=1.1,
    rate=3.0,
    temperature=4.0,
    rate_warmup=0.5,
)
PROGRESS = 0.25


class ByHand:
    """One batch in float64, and every term computed from the parts of the model, in numpy where it can be."""

    def __init__(self, family: str) -> None:
        torch.manual_seed(1)
        module = CodecModule(family, "4-Enc-B3", "limbs", objective=WEIGHTS).double().train()
        channels = module.model.codec.feature_shape.channels
        self.mean, self.std = torch.randn(channels).double(), (0.5 + torch.rand(channels)).double()
        module.model.codec.fit_statistics(self.mean, self.std)
        with torch.no_grad():
            for parameter in module.prior.parameters():
                parameter.normal_(0, 0.3)
        self.clip = torch.rand(5, 3, 4, 32, 32).double()
        self.labels = torch.tensor([0, 5, 3, 2, 2])
        self.parts, self.top1 = module.compute_objective((self.clip, self.labels), PROGRESS)
        self.module, self.model = module, module.model
        with torch.no_grad():
            self.feature = module.compute_feature(self.clip)
            self.output = self.model.codec(self.feature)

    def answer(self, feature: Feature) -> np.ndarray:
        """Logits of the three limbs."""
        with torch.no_grad():
            shares = self.model.server_half(feature).softmax(dim=-1).numpy()
        groups = [shares[:, np.equal(CLASS_OF, limb)].sum(axis=1) for limb in range(3)]
        return np.log(np.stack(groups, axis=1))

    def standardized(self, feature: Feature) -> np.ndarray:
        shape = (-1, 1, 1, 1)
        return ((feature.grid - self.mean.view(shape)) / self.std.view(shape)).numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def by_hand(family: str) -> ByHand:
    return ByHand(family)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def test_the_task_is_the_cross_entropy_in_the_label_set_that_is_asked(by_hand: ByHand) -> None:
    shares = softmax(by_hand.answer(by_hand.output.feature))
    targets = np.asarray(CLASS_OF)[by_hand.labels.numpy()]
    assert by_hand.parts.task.item() == close(-np.log(shares[range(5), targets]).mean())
    assert by_hand.top1.item() == close(100 * (shares.argmax(axis=1) == targets).mean())


def test_the_reconstruction_is_compared_in_units_of_the_standardiser(by_hand: ByHand) -> None:
    found, expected = (by_hand.standardized(each) for each in (by_hand.output.feature, by_hand.feature))
    assert by_hand.parts.reconstruction.item() == close(((found - expected) ** 2).mean())
    plain = ((by_hand.output.feature.grid - by_hand.feature.grid) ** 2).mean().item()
    assert by_hand.parts.reconstruction.item() != pytest.approx(plain, rel=0.01)


def test_the_binary_term_is_the_distance_of_logits_from_their_rounding(by_hand: ByHand) -> None:
    sizes = by_hand.output.logits.grid.abs().numpy()
    assert by_hand.parts.binary.item() == close(np.log1p(np.exp(-sizes)).mean())


def test_the_distillation_is_from_the_unsplit_answer_at_the_temperature(by_hand: ByHand) -> None:
    student = softmax(by_hand.answer(by_hand.output.feature) / 4)
    teacher = softmax(by_hand.answer(by_hand.feature) / 4)
    divergence = (teacher * (np.log(teacher) - np.log(student))).sum(axis=1).mean()
    assert divergence > 1e-5
    assert by_hand.parts.distillation.item() == close(16 * divergence)


def test_the_downstream_term_is_the_error_after_each_layer_by_its_variance(by_hand: ByHand) -> None:
    def layers(feature: Feature) -> list[Tensor]:
        outputs, grid = [], feature.grid
        with torch.no_grad():
            for layer in by_hand.model.server_half.layers:
                grid = layer(grid)
                outputs.append(grid)
        return outputs

    found, expected = layers(by_hand.output.feature), layers(by_hand.feature)
    assert len(found) > 1
    shares = [
        ((one - other) ** 2).mean() / other.var(correction=0)
        for one, other in zip(found, expected, strict=True)
    ]
    assert by_hand.parts.downstream.item() == close(float(sum(shares)) / len(shares))


def test_the_rate_is_the_bits_that_the_prior_needs_for_each_bit(by_hand: ByHand) -> None:
    code = by_hand.output.code
    with torch.no_grad():
        logits = by_hand.module.prior.logits(code).grid.numpy()
    ones = code.grid.numpy()
    shares = 1 / (1 + np.exp(-logits))
    bits = -np.log2(np.where(ones > 0.5, shares, 1 - shares)).sum() / 5
    assert by_hand.parts.rate.item() == close(bits / ones[0].size)


def test_the_total_is_weighed_at_the_progress(by_hand: ByHand) -> None:
    task, reconstruction, binary, distillation, downstream, rate, total = by_hand.parts
    expected = 0.5 * task + 2 * reconstruction + 0.3 * binary + 0.7 * distillation + 1.1 * downstream
    assert total.item() == close((expected + 1.5 * rate).item())  # half of the way up to 3


def test_a_clip_is_normalised_for_its_backbone() -> None:
    module = CodecModule("mvitv2_tiny", "4-Enc-B3")
    clip = torch.rand(1, *module.model.backbone.clip_shape)
    expected = (clip - 0.45) / 0.225
    with torch.no_grad():
        assert torch.allclose(
            module.compute_feature(clip).grid, module.model.edge_half(expected).grid, atol=1e-4
        )
        assert torch.allclose(module.eval()(clip), module.model(clip), atol=1e-4)


def test_two_steps_of_the_optimizer_change_the_prior_and_the_codec(family: str) -> None:
    weights = ObjectiveWeights(rate=1.0, rate_warmup=0.4)
    module = CodecModule(family, "4-Enc-B3", objective=weights, statistics_batches=1, prior_preset="small")
    before = {name: value.clone() for name, value in module.named_parameters() if value.requires_grad}
    make_trainer(2).fit(module, datamodule=ClipData(RandomClips(ACTS), batch_size=3))
    changed = {
        name for name, value in module.named_parameters() if name in before and not value.equal(before[name])
    }
    assert {"prior.before", "prior.output", "prior.biases.0"} <= changed
    assert {"model.codec.compressor.grid.weight", "model.codec.codebook.matrix"} <= changed
    assert all(name.startswith(("prior.", "model.codec.")) for name in before)


def test_the_progress_is_the_share_of_the_steps(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    compute = CodecModule.compute_objective

    def record(module: CodecModule, batch: object, progress: float = 1.0, part: Part = WHOLE) -> object:
        if module.training:
            seen.append(progress)
        return compute(module, batch, progress, part)

    monkeypatch.setattr(CodecModule, "compute_objective", record)
    module = CodecModule(family, "4-Enc-B3", statistics_batches=1)
    make_trainer(4).fit(module, datamodule=ClipData(RandomClips(ACTS), batch_size=3))
    assert seen == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("kind", ["codec", "backbone"])
def test_a_release_is_measured_in_eval_mode(
    kind: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains: list[str] = []
    measure = release.measure_release

    def record(module: L.LightningModule, batches: object) -> dict[str, float]:
        trains.extend(name for name, part in module.named_modules() if part.training)
        return measure(module, batches)

    monkeypatch.setattr(release, "measure_release", record)
    backbone = zoo.load_backbone(family)
    zoo.save_backbone(tmp_path / family, backbone, "movinet_small", ARGUMENTS, ACTS)
    module: L.LightningModule
    if kind == "codec":
        module = CodecModule(family, "4-Enc-B3", statistics_batches=1)
    else:
        module = BackboneModule("movinet_small", ARGUMENTS)
    callback = release.Release(family, "recipe.yaml", str(tmp_path))
    make_trainer(1, callbacks=[callback]).fit(module, datamodule=ClipData(RandomClips(ACTS), batch_size=3))
    assert (tmp_path / family / ("4-Enc-B3.json" if kind == "codec" else "backbone.json")).exists()
    assert trains == []


def test_a_resume_keeps_the_statistics_bit_for_bit(family: str, tmp_path: Path) -> None:
    def train(
        steps: int, clips: RandomClips, root: Path, resume: Path | None = None
    ) -> tuple[Tensor, Tensor]:
        module = CodecModule(family, "4-Enc-B3", statistics_batches=1)
        trainer = make_trainer(steps, root, callbacks=[KeepLast()])
        data = ClipData(clips, batch_size=3)
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        standardizer = module.model.codec.standardizer
        return standardizer.mean.clone(), standardizer.std.clone()

    first = train(1, RandomClips(ACTS), tmp_path / "run")
    brighter = RandomClips(ACTS, scale=0.5)  # whose features have other statistics
    fresh = train(1, brighter, tmp_path / "other")
    assert not torch.allclose(fresh[0], first[0])
    again = train(2, brighter, tmp_path / "run", last_checkpoint(tmp_path / "run"))
    assert torch.equal(again[0], first[0])
    assert torch.equal(again[1], first[1])


@pytest.mark.parametrize("mode", [True, False])
def test_a_prior_in_bfloat16_takes_the_codes_of_training_and_of_evaluation(family: str, mode: bool) -> None:
    weights = ObjectiveWeights(rate=1.0)
    module = CodecModule(family, "4-Enc-B3", objective=weights).bfloat16().train(mode)
    clip = torch.rand(2, 3, 4, 32, 32).bfloat16()
    parts, _ = module.compute_objective((clip, torch.tensor([0, 1])))
    assert parts.rate.dtype == torch.bfloat16
    assert math.isfinite(parts.total.item())


def test_options_of_the_codec_reach_it(family: str) -> None:
    options = CodecOptions(hidden_channels=48, encoder_attention=True, nested_sizes=(1, 2))
    codec = CodecModule(family, "4-Enc-B3", options=options).model.codec
    assert codec.options == options
    assert codec.encoder_attention is not None
