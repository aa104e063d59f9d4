"""What Video-LLaVA and LLaVA-OneVision have in common once their vision tower is cut.

EDGE     clip -> frames -> layer 1 -> ... -> layer n
                               L1                Ln
SERVER   layer n+1 -> ... -> projector -> visual embeddings + question -> language model -> answer
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf, run_through
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.vlm.layout import TokenLayout
from approxbit.backbones.vlm.requirement import require_transformers
from approxbit.backbones.vlm.tower import VisionTower
from approxbit.errors import MissingKeyError


class VideoLanguageModel(Backbone):
    """A video-language model of transformers, cut after any layer of its vision tower.

    `forward` and the server half end with the visual embeddings; `generate` and `logits` take them on to the
    language model. The parameters stay where transformers put them, in `model`: it may be saved, loaded and
    used as ever.

    Args:
        model: The model of transformers.
        num_frames: Frames of the clips that `clip_shape` and `feature_shape` assume.
        tower: Takes the place of the model's own vision tower, in `model` too. It must end in tokens that
            the projector was made for.
    """

    num_classes = 0

    model_type: ClassVar[str]
    """What `config.json` calls such a model."""

    tower_name: ClassVar[str]
    """Where the video tower lies in `model.model`."""

    asker: Any = None
    """An `Asker`, where the model came with its tokenizer."""

    def __init__(self, model: Any, num_frames: int, tower: VisionTower | None = None) -> None:
        super().__init__()
        if tower is None:
            tower = self.view_tower(getattr(model.model, self.tower_name), num_used_layers(model.config))
        else:
            setattr(model.model, self.tower_name, tower.module)  # moved, frozen and saved with the rest
        self.model = model
        self.tower = tower
        self.mean, self.std = tower.mean, tower.std
        self.clip_shape = (3, num_frames, *tower.layout.frame_size)

    @staticmethod
    @abstractmethod
    def view_tower(module: Any, num_layers: int) -> VisionTower:
        """The tower of transformers in the parts that a cut needs."""

    @staticmethod
    @abstractmethod
    def model_class() -> Any:
        """The class of transformers that `model` is of."""

    @abstractmethod
    def head(self) -> nn.Module:
        """Tokens after the last layer [batch, time, token, channel] -> visual embeddings."""

    @abstractmethod
    def num_visual_tokens(self, num_frames: int | None = None) -> int:
        """How many placeholders a question needs for a clip of `num_frames`, by default the model's."""

    @abstractmethod
    def places(self, visual: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch place channel"]:
        """Of visual tokens, those that stand for a place in a frame: frame by frame, row by row."""

    @property
    def offload_points(self) -> tuple[str, ...]:
        """`L1` after the first layer to `L{n}` after the last whose output is used."""
        return tuple(f"L{number}" for number in range(1, len(self.tower.layers) + 1))

    @property
    def visual_token_id(self) -> int:
        """The placeholder that each visual embedding takes the place of, `<video>`."""
        return int(self.model.config.video_token_id)

    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the grid of patches, the same at every point.

        Raises:
            ValueError: The model has no such offload point, or takes no such clips.
        """
        self.check_point(point)
        return self.tower.layout.feature_shape(clip_shape or self.clip_shape)

    def num_tokens(self, point: str) -> int:
        """Class tokens of a clip of `clip_shape`: those of each of its frames.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        return self.tower.layout.num_class_tokens * self.clip_shape[1]

    def edge_half(self, point: str) -> VisionEdgeHalf:
        """The embedding and the layers up to `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        return VisionEdgeHalf(self.tower, self.check_point(point) + 1)

    def server_half(self, point: str) -> VisionServerHalf:
        """The layers after `point` and the projector: feature -> visual embeddings.

        Raises:
            ValueError: The model has no such offload point.
        """
        layers = self.tower.layers[self.check_point(point) + 1 :]
        return VisionServerHalf(layers, self.tower.layout, self.head())

    def forward(
        self, clip: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch token channel"]:
        """Visual embeddings of a batch of clips, as the language model takes them.

        Raises:
            ValueError: The tower does not take such clips.
        """
        self.tower.layout.check_clip(tuple(clip.shape[1:]))
        embeddings: Tensor = self.head()(run_through(self.tower.layers, self.tower.embedding(clip)))
        return embeddings

    def generate(
        self,
        visual: Float[Tensor, "batch token channel"],
        input_ids: Int64[Tensor, "batch position"],
        **generate_arguments: Any,
    ) -> Int64[Tensor, "sequence position_out"]:
        """Token ids of questions and answers, by the `generate` of transformers.

        Args:
            visual: What `forward` or the server half returned.
            input_ids: The questions, with one `visual_token_id` for each visual embedding.
            generate_arguments: Such as `attention_mask`, `max_new_tokens`, `do_sample`, `num_beams`.

        Raises:
            ValueError: The placeholders of a question are not as many as its visual embeddings.
        """
        inputs = self._inputs(visual, input_ids)
        answer: Tensor = self.model.generate(**inputs, **generate_arguments)
        return answer

    def logits(
        self,
        visual: Float[Tensor, "batch token channel"],
        input_ids: Int64[Tensor, "batch position"],
        **forward_arguments: Any,
    ) -> Float[Tensor, "batch position_out vocabulary"]:
        """Logits of the next token after every position; gradients reach `visual`.

        Args:
            visual: What `forward` or the server half returned.
            input_ids: The questions, with one `visual_token_id` for each visual embedding, and the answers.
            forward_arguments: Such as `attention_mask` or `logits_to_keep`.

        Raises:
            ValueError: The placeholders of a question are not as many as its visual embeddings.
        """
        inputs = self._inputs(visual, input_ids)
        logits: Tensor = self.model(**inputs, use_cache=False, **forward_arguments).logits
        return logits

    def ask(
        self, visual: Float[Tensor, "batch token channel"], asked: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """Greedy answers to questions about each of several clips, by the model's own tokenizer.

        Args:
            visual: What `forward` or the server half returned.
            asked: The questions about each clip.

        Raises:
            ValueError: The model came without a tokenizer, or the clips are not as many.
        """
        if self.asker is None:
            raise ValueError(
                "expected a model with a tokenizer; others are asked by approxbit.backbones.vlm.Asker"
            )
        if len(asked) != len(visual):
            raise ValueError(f"expected questions about {len(visual)} clips, found {len(asked)}")
        clips = visual.split(1)
        return [
            [said.text for said in self.asker.answers(clip, questions)]
            for clip, questions in zip(clips, asked, strict=True)
        ]

    def _inputs(self, visual: Tensor, input_ids: Tensor) -> dict[str, Any]:
        expected = [visual.shape[1]] * visual.shape[0]
        found = (input_ids == self.visual_token_id).sum(dim=1).tolist()
        if found != expected:
            raise ValueError(
                f"input_ids must hold the placeholder {self.visual_token_id} once for each visual embedding, "
                f"in each row {expected}, found {found}"
            )
        encoded = require_transformers().modeling_outputs.BaseModelOutputWithPooling(pooler_output=visual)
        return {"input_ids": input_ids, "mm_encoder_outputs": {"video": encoded}}


class VisionEdgeHalf(EdgeHalf):
    """The embedding and the first layers of a vision tower.

    Attributes:
        mean: What is subtracted from RGB in [0, 1].
        std: What RGB in [0, 1] is divided by after the subtraction.
    """

    def __init__(self, tower: VisionTower, num_layers: int) -> None:
        super().__init__()
        self.layout = tower.layout
        self.mean, self.std = tower.mean, tower.std
        self.embedding = tower.embedding
        self.layers = nn.ModuleList(tower.layers[:num_layers])

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with the class tokens of all frames beside the grid.

        Raises:
            ValueError: The tower does not take such clips.
        """
        self.layout.check_clip(tuple(clip.shape[1:]))
        return self.layout.to_feature(run_through(self.layers, self.embedding(clip)))


class VisionServerHalf(ServerHalf):
    """The last layers of a vision tower, and what makes visual embeddings of their tokens."""

    def __init__(self, layers: Iterable[nn.Module], layout: TokenLayout, head: nn.Module) -> None:
        super().__init__()
        self.layout = layout
        self.layers = nn.ModuleList(layers)
        self.head = head

    def forward(self, feature: Feature) -> Float[Tensor, "batch token channel"]:
        """Visual embeddings of a batch of features."""
        embeddings: Tensor = self.head(run_through(self.layers, self.layout.to_tokens(feature)))
        return embeddings


def num_used_layers(config: Any) -> int:
    """How many layers of the vision tower lie before the output that the model looks at.

    Raises:
        ValueError: The model looks at several layers at once, so that no single feature crosses a cut.
    """
    layer = config.vision_feature_layer
    if not isinstance(layer, int):
        raise ValueError(f"expected one vision_feature_layer, found {layer!r}")
    return layer if layer >= 0 else int(config.vision_config.num_hidden_layers) + 1 + layer


def build_model(family: type[VideoLanguageModel], config_or_path: Any, dtype: torch.dtype | None) -> Any:
    """A model of transformers: random weights from a configuration, or those of a local folder.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: The configuration is of another kind of model.
        MissingKeyError: The folder's weights are not exactly those of the model.
    """
    is_path = isinstance(config_or_path, (str, Path))
    config = read_config(config_or_path) if is_path else config_or_path
    if config.model_type != family.model_type:
        raise ValueError(f"expected a configuration of {family.model_type}, found {config.model_type}")
    model_class = family.model_class()
    if not is_path:
        model = model_class(config)
        return model if dtype is None else model.to(dtype)
    model, report = model_class.from_pretrained(
        config_or_path, dtype=dtype or "auto", local_files_only=True, output_loading_info=True
    )
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if wrong:
        raise MissingKeyError(
            f"the weights in {config_or_path} must be exactly those of {model_class.__name__}, found "
            f"{len(wrong)} missing, unknown or misshapen: {', '.join(map(str, sorted(wrong)[:5]))}"
        )
    return model


def read_config(path: Any) -> Any:
    """The configuration in a local folder that `save_pretrained` wrote."""
    return require_transformers().AutoConfig.from_pretrained(path, local_files_only=True)
