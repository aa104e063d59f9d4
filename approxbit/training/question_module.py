"""Trains a video model that answers questions: its tower on dense targets, its head on questions, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.backbones.question_head import VideoQuestionModel
from approxbit.datasets.dense import DenseTargets, QuestionTargets
from approxbit.tasks import QuestionAnswering
from approxbit.training.data import match_data
from approxbit.training.dense import DenseReadings, pointing_loss
from approxbit.training.memory import keep_freed_memory
from approxbit.training.optimization import adamw_cosine
from approxbit.training.questions import (
    PIXEL_VIEWS,
    WHOLE_VIEW,
    OncePerClip,
    QuestionFigures,
    answer_questions,
    require_questions,
    show,
)

Batch = tuple[Float[Tensor, "batch 3 time height width"], QuestionTargets]

SCRIPT_VIEW = "script"
VIEWS = (*PIXEL_VIEWS, SCRIPT_VIEW)
"""What the model sees of a clip: as for `PIXEL_VIEWS`; or, in the place of what the frozen part of the tower
gives, the dense targets themselves, which bounds what a tower can give."""
INPUT, HEAD = "input", "head"
HEAD_ARGUMENTS = ("words", "answers", "head_width", "head_layers", "head_merge")


class QuestionModule(L.LightningModule):
    """Dense targets for the tower and questions for the head of a `VideoQuestionModel`.

    Args:
        backbone: A builder, or a family to go on from.
        arguments: Of a builder: words, answers and sizes. Beside a family, what shall differ from it: a head
            for other words or answers, or of another size, starts anew, and more layers (`num_layers`) than
            the family has change nothing at first.
        classes: Names and numbers of classes of the dense targets.
        values: Names and numbers of the values of the dense targets.
        dense_weight: Of the loss on dense targets; 0 leaves it out.
        question_weight: Of the loss on questions; 0 leaves it out.
        train_from: What learns: all from the `input` on, or from an offload point on, or the `head` alone.
            What comes before stays as it is, and is computed once for each clip if the data number them.
        num_slices: Train on so many slices of time of each clip, drawn for each batch: a batch of many clips
            has more to teach than one of few clips whole. None for all of them, which questions need.
        names: Of some `classes`, the words of questions that name them. The first head of the head's first
            layer learns to look from such a word at the patches of its class: without that, some thousand
            steps go by before words are bound to what they name.
        learning_rate: Peak rate of AdamW.
        weight_decay: Of matrices and convolutions.
        warmup: Share of the steps over which the rate rises.
        view: What the model sees of a clip, one of `VIEWS`; all but `whole` are controls.

    Raises:
        ValueError: The view is unknown, or nothing is to be learned.
    """

    def __init__(
        self,
        backbone: str,
        arguments: Mapping[str, Any] | None = None,
        classes: Mapping[str, int] | None = None,
        values: Mapping[str, int] | None = None,
        dense_weight: float = 1.0,
        question_weight: float = 1.0,
        train_from: str = INPUT,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        view: str = WHOLE_VIEW,
        num_slices: int | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if view not in VIEWS:
            raise ValueError(f"expected a view of {', '.join(VIEWS)}, found {view!r}")
        if not (dense_weight > 0 and train_from != HEAD) and not question_weight > 0:
            raise ValueError("expected a tower to train on dense targets, or a question_weight above 0")
        if num_slices is not None and (question_weight > 0 or view != WHOLE_VIEW or train_from != INPUT):
            raise ValueError(
                "expected num_slices for dense targets of whole clips and a tower that learns from its input"
            )
        built = self._build(backbone, dict(arguments or {}))
        if train_from not in (INPUT, HEAD):
            built.check_point(train_from)
        self.backbone = built.requires_grad_(True).train()
        self.classes, self.values = dict(classes or {}), dict(values or {})
        self.dense_weight, self.question_weight = dense_weight, question_weight
        self.train_from = train_from
        self.names = dict(names or {})
        self._check_names()
        self.reads_pixels = view != SCRIPT_VIEW
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.view, self.num_slices = view, num_slices
        width = built.width
        self.dense = DenseReadings(width, self.classes, self.values)
        if view == SCRIPT_VIEW:
            number = sum(self.classes.values()) + sum(self.values.values())
            self.script = nn.Sequential(nn.Linear(number, width), nn.GELU(), nn.Linear(width, width))
        self._freeze_idle()
        self.task = QuestionAnswering()
        self._figures = QuestionFigures()
        self._kept = OncePerClip()

    def _build(self, backbone: str, arguments: dict[str, Any]) -> VideoQuestionModel:
        if zoo.is_builder(backbone):
            self.builder, self.arguments = backbone, arguments
            return require_questions(zoo.build_backbone(backbone, arguments))
        card, family = zoo.card(backbone), require_questions(zoo.load_backbone(backbone))
        assert isinstance(card, zoo.BackboneCard)
        self.builder, self.arguments = card.builder, {**card.arguments, **arguments}
        if not arguments:
            return family
        built = require_questions(zoo.build_backbone(self.builder, self.arguments))
        has_new_head = any(name in HEAD_ARGUMENTS for name in arguments)
        known = {
            name: value
            for name, value in family.state_dict().items()
            if not (has_new_head and name.startswith("head."))
        }
        try:
            built.load_state_dict({**built.state_dict(), **known})
        except RuntimeError as error:
            raise ValueError(f"the weights of {backbone} are not those of {arguments}: {error}") from error
        built.silence_layers(len(family.layers))
        return built

    def _check_names(self) -> None:
        for name, words in self.names.items():
            unknown = [word for word in words if word not in self.backbone.head.words]
            number = self.classes.get(name, 0)
            if len(words) != number or unknown:
                raise ValueError(
                    f"names: expected a word that the model knows for each of the {number} classes {name!r}, "
                    f"found {list(words)}"
                )

    @property
    def learns_dense(self) -> bool:
        """Whether dense targets teach the tower anything."""
        return self.dense_weight > 0 and self.train_from != HEAD and self.reads_pixels

    def _freeze_idle(self) -> None:
        """Whatever gets no gradient: processes that train together would wait for it."""
        tower = (self.backbone.embedding, self.backbone.layers, self.backbone.norm)
        if self.train_from != INPUT or not self.reads_pixels:
            for part in tower:
                part.requires_grad_(False)
        if self.train_from not in (INPUT, HEAD):
            self.backbone.server_half(self.train_from).requires_grad_(True)
        self.dense.requires_grad_(self.learns_dense)
        self.backbone.head.requires_grad_(self.question_weight > 0)

    def setup(self, stage: str) -> None:
        """Take over the task of the data, and give it the shape of the model's clips.

        Raises:
            ValueError: The data ask no questions, or have other clips.
        """
        task = match_data(self, self.task, self.backbone)
        assert isinstance(task, QuestionAnswering)
        self.task = task

    def on_fit_start(self) -> None:
        """Where the allocator allows it, keep the memory of the large activations between steps."""
        keep_freed_memory()

    def visual(self, batch: Batch) -> Float[Tensor, "batch token channel"]:
        """Tokens of what the model sees of the clips."""
        clips, targets = batch
        if not self.reads_pixels:
            return self._finish(self.script(_as_numbers(targets.dense, self.classes)))
        if self.train_from == INPUT:
            shown = clips[:1] if self.view == "nothing" else clips  # all grey clips are one
            seen: Tensor = self.backbone(self.backbone.normalise(show(shown, self.view)))
            return seen.expand(len(clips), -1, -1)
        numbers = targets.numbers if self.training and self.view != "shuffled" else None
        return self._finish(self._kept.find(clips, numbers, self._start))

    @torch.no_grad()
    def _start(self, clips: Tensor) -> Float[Tensor, "batch token channel"]:
        shown = clips[:1] if self.view == "nothing" else clips
        seen = self.backbone.normalise(show(shown, self.view))
        if self.train_from == HEAD:
            tokens: Tensor = self.backbone(seen)
        else:
            tokens = self.backbone.edge_half(self.train_from)(seen).grid.flatten(2).transpose(1, 2)
        return tokens.expand(len(clips), -1, -1)

    def _finish(self, tokens: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch token channel"]:
        """What the part of the tower makes of them that learns."""
        if self.train_from in (INPUT, HEAD):
            return tokens
        grid = tokens.transpose(1, 2).unflatten(2, self.backbone.grid)
        finished: Tensor = self.backbone.server_half(self.train_from)(Feature(grid, tokens[:, :0]))
        return finished

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The weighed losses of one batch."""
        terms = self.compute_terms(batch)
        for name, value in terms.items():
            self.log(f"train/{name}", value.detach(), prog_bar=name in ("dense", "questions"))
        return terms["loss"]

    def compute_terms(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """`dense`, `questions` and their weighed sum, `loss`."""
        if self.num_slices is not None:
            return self._compute_slices(batch, self.num_slices)
        tokens, targets = self.visual(batch), batch[1]
        terms: dict[str, Tensor] = {}
        loss = tokens.new_zeros(())
        if self.learns_dense and targets.dense is not None:
            terms["dense"] = self.dense.loss(tokens, targets.dense)
            loss = loss + self.dense_weight * terms["dense"]
        if self.question_weight > 0:
            logits, right = answer_questions(self.backbone, tokens, targets)
            terms["questions"] = F.cross_entropy(logits, right)
            loss = loss + self.question_weight * terms["questions"]
        if self.names and self.question_weight > 0:
            terms["pointing"] = self._pointing_loss(tokens, targets)
            loss = loss + terms["pointing"]
        return {**terms, "loss": loss}

    def _compute_slices(self, batch: Batch, num_slices: int) -> dict[str, Float[Tensor, ""]]:
        clips, targets = batch
        if targets.dense is None:
            raise ValueError("expected dense targets, found none in these data")
        whole, _, _ = self.backbone.grid
        first = int(torch.randint(whole - num_slices + 1, ()))
        frames, places = clips.shape[2] // whole, self.backbone.num_visual_tokens() // whole
        part = clips[:, :, first * frames : (first + num_slices) * frames]
        tokens = self.backbone.look_at(self.backbone.normalise(part), first)
        seen = slice(first * places, (first + num_slices) * places)
        dense = self.dense.loss(tokens, targets.dense.of_patches(seen))
        return {"dense": dense, "loss": self.dense_weight * dense}

    def _pointing_loss(self, tokens: Tensor, targets: QuestionTargets) -> Tensor:
        head = self.backbone.head
        questions = head.to_tensor([[text for text, _ in each] for each in targets.asked]).to(tokens.device)
        numbers, looks = head.point(tokens, questions)
        names = {name: [head.words[word] for word in words] for name, words in self.names.items()}
        return pointing_loss(looks, numbers, names, targets.dense, head.merged)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Remember answers and readings of one batch."""
        self._observe(batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Remember answers and readings of one batch."""
        self._observe(batch)

    @torch.no_grad()
    def _observe(self, batch: Batch) -> None:
        tokens, targets = self.visual(batch), batch[1]
        if self.question_weight > 0:
            self._figures.observe(self.backbone, tokens, targets)
        if targets.dense is not None and self.learns_dense:
            self.dense.observe(tokens, targets.dense)

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The figures of `collect` over some batches."""
        for clips, targets in batches:
            self._observe((clips.to(self.device), targets))
        return self.collect()

    def collect(self) -> dict[str, float]:
        """Figures in percent of what was observed since the last time.

        `exact_match_<question type>` of each type, their mean `macro`, and `dense_<name>` of each reading.
        """
        figures = {**self.dense.collect(), **self._figures.collect(self.task)}
        return {name: round(value, 3) for name, value in figures.items()}

    def on_validation_epoch_end(self) -> None:
        """Log the figures."""
        for name, value in self.collect().items():
            self.log(f"validation/{name}", value, prog_bar=name in ("macro", "dense_value"), sync_dist=True)

    def on_test_epoch_end(self) -> None:
        """Log the figures."""
        for name, value in self.collect().items():
            self.log(f"test/{name}", value, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine over the whole training."""
        learned = (each for each in self.parameters() if each.requires_grad)
        num_steps = int(self.trainer.estimated_stepping_batches)
        return adamw_cosine(learned, self.learning_rate, self.weight_decay, self.warmup, num_steps)


def _as_numbers(
    dense: DenseTargets | None, classes: Mapping[str, int]
) -> Float[Tensor, "batch patch number"]:
    """Dense targets as one vector for each patch; what nobody knows is 0."""
    if dense is None:
        raise ValueError("expected dense targets for the view 'script', found none in these data")
    columns = [
        F.one_hot(dense.classes[name].clamp(min=0), number) * (dense.classes[name] >= 0).unsqueeze(-1)
        for name, number in classes.items()
    ]
    return torch.cat(
        [*(each.float() for each in columns), *(v.nan_to_num() for v in dense.values.values())], dim=-1
    )
