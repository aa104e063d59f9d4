"""Trains one codec for a frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.codec import WHOLE, Binarizer, Codec, CodecOptions, FeatureStatistics, Part
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.tasks import LabelSet, QuestionAnswering, Task, require_classification
from approxbit.training.builders import find_backbone
from approxbit.training.data import match_data
from approxbit.training.downstream import answer_with_layers
from approxbit.training.initialization import start_from_components
from approxbit.training.micro_batches import StreamedModule, count_clips
from approxbit.training.objective import (
    ObjectiveParts,
    ObjectiveWeights,
    answer_for,
    compute_top1,
    distillation_loss,
    downstream_loss,
    reconstruction_loss,
    weigh,
)
from approxbit.training.optimization import Optimization
from approxbit.training.prior import CodePrior
from approxbit.training.questions import OncePerClip, QuestionFigures, answer_questions

Batch = tuple[Any, ...]
"""Clips and labels, or clips and `QuestionTargets`, or a `FeatureBatch`."""


class CodecModule(StreamedModule):
    """Encoder and decoder learn by Eq. 3 of APPROXBIT and what goes beyond it; the backbone is frozen.

    ```
    clip -> edge half (frozen) -> feature -> codec -> decoded -> server half (frozen) -> answer
                                     |        |         |                                  |
                                     |      rate       MSE         cross-entropy, distance from the answer
                                     +--------- compared with ---------+   of the unsplit model
    ```

    A batch holds clips of RGB in [0, 1], or features that `FeatureData` computed before. Of a model that
    answers questions, it holds the questions in the place of labels, and the answer is that to each.

    Args:
        backbone: A family of the zoo (`digits-movinet`); or a builder (`mvitv2_b`) or an import path
            (`my_package.models:make`), which have the task of their data.
        configuration: Such as `16-Enc-B5`.
        label_set: The one of the backbone's task that the task loss asks for; by default the task says which.
        weights: Of a builder, as `find_backbone` takes them; a family has its own.
        arguments: Keyword arguments of the builder, such as `num_classes` and `clip_shape`.
        options: Of the codec: widths, self-attention in the encoder, nested sizes; the paper's by default.
        binarizer: How bits get their gradient; the paper's `Threshold` by default.
        objective: Weights of the terms; those of Eq. 3 by default.
        optimization: Optimizer and schedule; the paper's by default.
        statistics_batches: How many training batches the per-channel statistics, and what the codec starts
            from, are measured on.
        prior_preset: Of the prior that the rate term learns: `fast`, `small` or `global`.

    Raises:
        ValueError: A value is none of these.
    """

    has_statistics: Tensor

    def __init__(
        self,
        backbone: str,
        configuration: str,
        label_set: str = "",
        weights: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        options: CodecOptions = CodecOptions(),  # noqa: B008 - frozen
        binarizer: Binarizer | None = None,
        objective: ObjectiveWeights = ObjectiveWeights(),  # noqa: B008 - frozen
        optimization: Optimization = Optimization(),  # noqa: B008 - frozen
        statistics_batches: int = 32,
        prior_preset: str = "fast",
    ) -> None:
        super().__init__()
        self.save_hyperparameters("backbone", "configuration", "label_set")
        self.strict_loading = False  # checkpoints leave the frozen backbone out
        self.configuration = Configuration.parse(configuration)
        self.objective, self.optimization = objective, optimization
        self.statistics_batches = statistics_batches
        frozen = find_backbone(backbone, weights, arguments)
        point = self.configuration.offload_point
        shape, num_tokens = frozen.feature_shape(point), frozen.num_tokens(point)
        codec = Codec(shape, self.configuration, num_tokens, options, binarizer)
        task = None if zoo.is_builder(backbone) else zoo.find_task(backbone).asking(label_set)
        self.model = OffloadedModel(frozen, codec, task)
        self._figures, self._features = QuestionFigures(), OncePerClip()
        self._num_bits = self.configuration.codebook_size * self.configuration.num_positions(
            shape.size, num_tokens
        )
        self.prior = CodePrior.for_codec(codec, prior_preset) if objective.rate else None
        self.register_buffer("has_statistics", torch.tensor(False))

    @property
    def task(self) -> Task:
        """What the answer means."""
        return self.model.task

    @property
    def label_set(self) -> LabelSet:
        """The one that is asked.

        Raises:
            ValueError: The task is not one of classes.
        """
        return require_classification(self.task).label_set()

    def setup(self, stage: str) -> None:
        """Make sure that the data are for the backbone; take over their task where it has none.

        A model that answers questions is asked those of its data.

        Raises:
            ValueError: The classes or the clips of the data are not those of the backbone, or none of their
                label sets is the one that is asked.
        """
        task = match_data(self, self.task, self.model.backbone)
        self.model.task = task.asking(self.hparams["label_set"])

    @torch.no_grad()
    def compute_feature(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The frozen edge half on clips of RGB in [0, 1]."""
        feature: Feature = self.model.edge_half(self.model.backbone.normalise(clip))
        return feature

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Answer to clips of RGB in [0, 1], through the code."""
        answer: Tensor = self.model(clip)
        return answer

    def on_fit_start(self) -> None:
        """Put the codec in training mode; measure the features' statistics before the first step."""
        self.train()  # Lightning leaves modes as they are, and in eval mode the bits have no gradient
        if self.global_rank:  # else all processes would draw the same for their clips
            torch.manual_seed(torch.initial_seed() + self.global_rank)
        if bool(self.has_statistics):
            return
        codec = self.model.codec
        if self.trainer.is_global_zero:
            self._fit_to_features()
        state = {name: value.cpu() for name, value in codec.state_dict().items()}
        codec.load_state_dict(self.trainer.strategy.broadcast(state))
        self.has_statistics.fill_(True)

    def _fit_to_features(self) -> None:
        statistics = FeatureStatistics()
        for feature in self._first_features():
            statistics.update(feature)
        parts = (statistics.mean, statistics.std, statistics.token_mean, statistics.token_std)
        self.model.codec.fit_statistics(*parts)
        if self.optimization.initialization == "components":
            start_from_components(self.model.codec, self._first_features())

    def _first_features(self) -> Iterator[Feature]:
        batches = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        dtype = next(self.parameters()).dtype
        for inputs, *_ in islice(batches, self.statistics_batches):
            if isinstance(inputs, Feature):
                yield Feature(*(values.to(self.device, dtype) for values in inputs))
                continue
            for clips in inputs.split(len(inputs) if self.micro_batches is None else 1):
                yield self.compute_feature(clips.to(self.device, dtype))

    def compute_objective(
        self, batch: Batch, progress: float = 1.0, part: Part = WHOLE
    ) -> tuple[ObjectiveParts, Float[Tensor, ""]]:
        """The objective, as it is after some share of the training, and top-1 (percent) for one batch.

        Where training asks nothing, with neither task nor distillation, top-1 is not a number.

        Args:
            batch: Clips or features, and labels.
            progress: Share of the training that is done.
            part: What the clips are of the batch of a step.
        """
        inputs, labels, *known = batch
        feature = inputs if isinstance(inputs, Feature) else self._find_feature(inputs, labels)
        codec, weights = self.model.codec, self.objective.at(progress)
        output = codec(feature, part)
        standardize = codec.standardizer.standardize
        answer, layers = self._finish(output.feature)
        terms = {
            "reconstruction": reconstruction_loss(standardize(output.feature), standardize(feature)),
            "binary": codec.binarizer.loss(output.logits, part),
        }
        top1 = answer.new_full((), torch.nan)
        is_asked = bool(weights.task or weights.distillation) or not self.training
        if is_asked:
            logits, target = self._rows(answer, labels)
            terms["task"], top1 = F.cross_entropy(logits, target), compute_top1(logits, target)
        if weights.distillation or weights.downstream:
            with torch.no_grad():
                is_known = known and not weights.downstream
                teacher, teacher_layers = (known[0], []) if is_known else self._finish(feature)
            if is_asked:
                wanted, _ = self._rows(teacher, labels)
                terms["distillation"] = distillation_loss(logits, wanted, weights.temperature)
            if weights.downstream:
                terms["downstream"] = downstream_loss(layers, teacher_layers, part)
        if self.prior is not None:
            terms["rate"] = self.prior(output.code).mean() / self._num_bits
        return weigh(weights, **terms), top1

    def _find_feature(self, clips: Tensor, labels: Any) -> Feature:
        numbers = getattr(labels, "numbers", None) if self.training else None
        if numbers is None or self.model.codec.num_tokens:
            return self.compute_feature(clips)
        grid = self._features.find(clips, numbers, lambda missing: self.compute_feature(missing).grid)
        return Feature(grid, grid.new_zeros(len(grid), 0, grid.shape[1]))

    def _rows(self, answer: Tensor, labels: Any) -> tuple[Tensor, Tensor]:
        """Logits and right answers, a row for each clip or for each question."""
        if isinstance(self.task, QuestionAnswering):
            return answer_questions(self.model.backbone, answer, labels)
        return answer_for(self.label_set, answer, labels)

    def needs_whole_batches(self) -> str:
        """Questions are those of a whole batch."""
        if isinstance(self.task, QuestionAnswering):
            return "the questions about its clips come together; train without MicroBatches"
        return super().needs_whole_batches()

    def _finish(self, feature: Feature) -> tuple[Float[Tensor, "batch class"], list[Tensor]]:
        if not self.objective.downstream:
            return self.model.server_half(feature), []
        return answer_with_layers(self.model.server_half, feature)

    def compute_terms(self, batch: Batch, part: Part = WHOLE) -> dict[str, Float[Tensor, ""]]:
        """Eq. 3 and what goes beyond it, as they are at this step."""
        parts, _ = self.compute_objective(batch, self.global_step / self._num_steps, part)
        terms = parts._asdict()
        return {"loss": terms.pop("total"), **terms}

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Eq. 3 and top-1 (percent) for one batch."""
        parts, top1 = self.compute_objective(batch)
        num_clips = count_clips(batch)
        self.log("validation/loss", parts.total, batch_size=num_clips, sync_dist=True)
        self.log("validation/top1", top1, prog_bar=True, batch_size=num_clips, sync_dist=True)
        if isinstance(self.task, QuestionAnswering):
            self._figures.observe(self.model.backbone, self(batch[0]), batch[1])

    def on_validation_epoch_end(self) -> None:
        """Of a model that answers questions, the figures of each question type."""
        if isinstance(self.task, QuestionAnswering):
            for name, value in self._figures.collect(self.task).items():
                self.log(f"validation/{name}", value, sync_dist=True)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Top-1 (percent) for one batch of clips."""
        clips, labels = batch
        top1 = compute_top1(*self._rows(self(clips), labels))
        self.log("test/top1", top1, batch_size=count_clips(batch), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam or AdamW on the codec, and on the prior where there is one."""
        parts = [self.model.codec, *([self.prior] if self.prior is not None else [])]
        learned = [parameter for part in parts for parameter in part.parameters()]
        self._num_steps = int(self.trainer.estimated_stepping_batches)
        return self.optimization.start(learned, self._num_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out: it is found by its name."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {
            key: value
            for key, value in state.items()
            if key.startswith(("model.codec.", "prior.", "has_statistics"))
        }
