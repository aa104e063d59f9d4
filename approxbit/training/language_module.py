"""Trains a video-language model: its vision tower on dense targets, its language model on many questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.base import Backbone, run_through
from approxbit.backbones.vlm import VideoLanguageModel
from approxbit.backbones.vlm.packing import Packed, PackedOutput, answered, attention, pack, read_packed
from approxbit.datasets.dense import QuestionTargets
from approxbit.tasks import QuestionAnswering
from approxbit.training.data import match_data
from approxbit.training.dense import DenseReadings, pointing_loss
from approxbit.training.memory import keep_freed_memory
from approxbit.training.optimization import Muon, adamw_cosine
from approxbit.training.questions import PIXEL_VIEWS, WHOLE_VIEW, OncePerClip, QuestionFigures, show

Batch = tuple[Float[Tensor, "batch 3 time height width"], QuestionTargets]
FrameTokens = Float[Tensor, "batch time token channel"]

INPUT, LANGUAGE = "input", "language"


class LanguageModule(L.LightningModule):
    """Dense targets and questions for a `VideoLanguageModel` that came with its tokenizer.

    Without questions, the vision tower learns from dense targets of its patches. With them, the language
    model learns to answer; all questions about a clip share one pass over its visual tokens. Dense targets,
    of the size of a visual token, then teach what half of its layers make of these: who moves where, which a
    tower that sees single frames cannot know.

    Args:
        backbone: A builder, or a family to go on from.
        arguments: Of a builder: words and sizes. Beside a family, what shall differ from it; then the
            language model starts anew.
        classes: Names and numbers of classes of the dense targets.
        values: Names and numbers of the values of the dense targets.
        dense_weight: Of the loss on dense targets; 0 leaves it out.
        question_weight: Of the loss on the words of answers; 0 leaves questions out.
        train_from: What learns from questions: all from the `input` on, or the `language` model with its
            projector. Then the tower stays as it is, and its tokens are computed once for each clip if the
            data number them.
        num_frames: Train the tower on so many frames of each clip, drawn for each batch. None for all.
        names: Of some `classes`, the words that name them. The first head of the language model's first layer
            learns to look from such a word at the patches of its class: without that, some thousand steps go
            by before words are bound to what they name.
        learning_rate: Peak rate of AdamW.
        muon_rate: Peak rate of Muon, which moves the matrices of the tower's layers instead of AdamW; 0 for
            AdamW alone. On patches that do not overlap, AdamW takes far longer to begin to read.
        weight_decay: Of matrices and convolutions.
        warmup: Share of the steps over which the rate rises.
        view: What the model sees of a clip, one of `PIXEL_VIEWS`; all but `whole` are controls.

    Raises:
        ValueError: The model is no video-language model with a tokenizer, the view is unknown, a name is no
            word of the model's, or nothing is to be learned.
    """

    def __init__(
        self,
        backbone: str,
        arguments: Mapping[str, Any] | None = None,
        classes: Mapping[str, int] | None = None,
        values: Mapping[str, int] | None = None,
        dense_weight: float = 1.0,
        question_weight: float = 1.0,
        train_from: str = LANGUAGE,
        num_frames: int | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
        learning_rate: float = 1e-3,
        muon_rate: float = 0.0,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        view: str = WHOLE_VIEW,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        _check(view, train_from, dense_weight, question_weight, num_frames)
        self.backbone = self._build(backbone, dict(arguments or {})).train()
        self.dense_weight, self.question_weight = dense_weight, question_weight
        self.train_from, self.num_frames, self.view = train_from, num_frames, view
        self.learning_rate, self.muon_rate = learning_rate, muon_rate
        self.weight_decay, self.warmup = weight_decay, warmup
        width = self.backbone.tower.layout.channels
        if self.asks:
            width = self.backbone.model.config.text_config.hidden_size
        self.dense = DenseReadings(width, classes or {}, values or {})
        self.names = {
            name: self._numbers_of(name, words, (classes or {}).get(name, 0))
            for name, words in (names or {}).items()
        }
        self._freeze_idle()
        self.task = QuestionAnswering()
        self._figures = QuestionFigures()
        self._kept = OncePerClip()

    @property
    def asks(self) -> bool:
        """Whether it learns from questions."""
        return self.question_weight > 0

    def _build(self, backbone: str, arguments: dict[str, Any]) -> VideoLanguageModel:
        if zoo.is_builder(backbone):
            self.builder, self.arguments = backbone, arguments
            return _require_asking(zoo.build_backbone(backbone, arguments))
        card, family = zoo.card(backbone), _require_asking(zoo.load_backbone(backbone))
        assert isinstance(card, zoo.BackboneCard)
        self.builder, self.arguments = card.builder, {**card.arguments, **arguments}
        if not arguments:
            return family
        built = _require_asking(zoo.build_backbone(self.builder, self.arguments))
        try:
            built.tower.module.load_state_dict(family.tower.module.state_dict())
        except RuntimeError as error:
            raise ValueError(f"the tower of {backbone} is not that of {arguments}: {error}") from error
        return built

    def _numbers_of(self, name: str, words: Sequence[str], num_classes: int) -> list[int]:
        tokenizer = self.backbone.asker.tokenizer
        numbers = [int(number) for number in tokenizer.convert_tokens_to_ids(list(words))]
        if len(words) != num_classes or tokenizer.unk_token_id in numbers:
            raise ValueError(
                f"names: expected a word that the model knows for each of the {num_classes} classes "
                f"{name!r}, found {list(words)}"
            )
        return numbers

    def _freeze_idle(self) -> None:
        """Whatever gets no gradient: processes that train together would wait for it."""
        tower, model = self.backbone.tower, self.backbone.model
        self.backbone.requires_grad_(False)
        if not self.asks or self.train_from == INPUT:
            for part in (tower.embedding, *tower.layers):
                part.requires_grad_(True)
        if self.asks:
            for part in (self.backbone.head(), model.model.language_model, model.lm_head):
                part.requires_grad_(True)
        self.dense.requires_grad_(self.dense_weight > 0)

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
        """Visual embeddings of what the model sees of the clips."""
        clips, targets = batch
        if self.train_from == INPUT:
            tokens = self._look(clips)
        else:
            numbers = targets.numbers if self.training and self.view != "shuffled" else None
            tokens = self._kept.find(clips, numbers, self._look_once)
        embeddings: Tensor = self.backbone.head()(tokens)
        return embeddings

    def _look(self, clips: Tensor) -> FrameTokens:
        tower, seen = self.backbone.tower, self.backbone.normalise(show(clips, self.view))
        with attention(tower.module):
            tokens: Tensor = run_through(tower.layers, tower.embedding(seen))
        return tokens

    @torch.no_grad()
    def _look_once(self, clips: Tensor) -> FrameTokens:
        return self._look(clips)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The weighed losses of one batch."""
        terms = self.compute_terms(batch)
        for name, value in terms.items():
            self.log(f"train/{name}", value.detach(), prog_bar=name in ("dense", "questions"))
        return terms["loss"]

    def compute_terms(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """`dense`, `questions`, `pointing`, as far as there are such, and their weighed sum, `loss`."""
        if not self.asks:
            tokens, targets = self._look_at_some(batch)
            dense = self.dense.loss(tokens, _require_dense(targets))
            return {"dense": dense, "loss": self.dense_weight * dense}
        output, packed = self._read(batch)
        targets, right = batch[1], packed.targets[packed.targets >= 0]
        terms = {"questions": F.cross_entropy(output.logits, right)}
        loss = self.question_weight * terms["questions"]
        if self.dense_weight > 0 and targets.dense is not None:
            terms["dense"] = self.dense.loss(self.backbone.places(output.states), targets.dense)
            loss = loss + self.dense_weight * terms["dense"]
        if self.names:
            looks = self.backbone.places(output.looks.flatten(1, 2).transpose(1, 2)).transpose(1, 2)
            terms["pointing"] = pointing_loss(looks, packed.tokens.flatten(1), self.names, targets.dense)
            loss = loss + terms["pointing"]
        return {**terms, "loss": loss}

    def _look_at_some(self, batch: Batch) -> tuple[Float[Tensor, "batch patch channel"], QuestionTargets]:
        """Tokens of the patches of some frames, normalised, and the targets of these frames."""
        clips, targets = batch
        layout, number = self.backbone.tower.layout, self.num_frames or clips.shape[2]
        first = int(torch.randint(clips.shape[2] - number + 1, ())) if self.training else 0
        if self.training and targets.dense is not None:
            patches = layout.grid_size[0] * layout.grid_size[1]
            chosen = slice(first * patches, (first + number) * patches)
            targets = targets._replace(dense=targets.dense.of_patches(chosen))
            clips = clips[:, :, first : first + number]
        tokens = self._look(clips)[:, :, layout.num_class_tokens :].flatten(1, 2)
        return F.layer_norm(tokens, tokens.shape[-1:]), targets

    def _read(self, batch: Batch) -> tuple[PackedOutput, Packed]:
        asked = [[(question, right.answer) for question, right in about] for about in batch[1].asked]
        packed = pack(self.backbone.asker, asked).to(batch[0].device)
        return read_packed(self.backbone, self.visual(batch), packed), packed

    def on_train_end(self) -> None:
        """Where another tower is for single pictures, let it be what the one for videos has become."""
        pictures = getattr(self.backbone.model.model, "image_tower", None)
        if pictures is not None:
            pictures.load_state_dict(self.backbone.tower.module.state_dict())

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Remember answers and readings of one batch."""
        self._observe(batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Remember answers and readings of one batch."""
        self._observe(batch)

    @torch.no_grad()
    def _observe(self, batch: Batch) -> None:
        if not self.asks:
            tokens, targets = self._look_at_some(batch)
            self.dense.observe(tokens, _require_dense(targets))
            return
        output, packed = self._read(batch)
        targets, is_right = batch[1], answered(output, packed).tolist()
        # What a wrong answer would be, token by token, takes longer to find and scores the same.
        found = [
            [right.answer if hit else "" for (_, right), hit in zip(about, hits, strict=False)]
            for about, hits in zip(targets.asked, is_right, strict=True)
        ]
        self._figures.add(found, targets)
        if self.dense_weight > 0 and targets.dense is not None:
            self.dense.observe(self.backbone.places(output.states), targets.dense)

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
        """AdamW, and Muon where it is wanted, with a warm-up and a cosine over the whole training."""
        learned = (each for each in self.parameters() if each.requires_grad)
        rest = self.weight_decay, self.warmup, int(self.trainer.estimated_stepping_batches)
        return adamw_cosine(learned, self.learning_rate, *rest, self._muon())

    def _muon(self) -> Muon | None:
        weights = (each for layer in self.backbone.tower.layers for each in layer.parameters())
        matrices = [each for each in weights if each.requires_grad and each.ndim == 2]
        return Muon(matrices, self.muon_rate) if self.muon_rate > 0 and matrices else None


def _check(
    view: str, train_from: str, dense_weight: float, question_weight: float, num_frames: int | None
) -> None:
    if view not in PIXEL_VIEWS:
        raise ValueError(f"expected a view of {', '.join(PIXEL_VIEWS)}, found {view!r}")
    if train_from not in (INPUT, LANGUAGE):
        raise ValueError(f"expected train_from to be {INPUT} or {LANGUAGE}, found {train_from!r}")
    if not dense_weight > 0 and not question_weight > 0:
        raise ValueError("expected a dense_weight or a question_weight above 0")
    if num_frames is not None and question_weight > 0:
        raise ValueError("expected num_frames for a tower without questions, which are about whole clips")


def _require_asking(backbone: Backbone) -> VideoLanguageModel:
    if not isinstance(backbone, VideoLanguageModel) or backbone.asker is None:
        raise ValueError(
            "expected a video-language model with a tokenizer, such as llava_onevision_small, found "
            f"{type(backbone).__name__}"
        )
    return backbone


def _require_dense(targets: QuestionTargets) -> Any:
    if targets.dense is None:
        raise ValueError("expected dense targets, found none in these data")
    return targets.dense
