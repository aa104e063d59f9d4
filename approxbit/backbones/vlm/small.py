"""Both families at sizes that a processor trains, with a tokenizer of their own: nothing is downloaded.

They are transformers' own classes. Words, sizes and prompt are plain arguments, which the card of a family
holds, so that a family is whole without any further file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from approxbit.backbones.vlm.asking import Asker
from approxbit.backbones.vlm.base import VideoLanguageModel
from approxbit.backbones.vlm.llava_onevision import LlavaOnevision, llava_onevision
from approxbit.backbones.vlm.requirement import require_transformers
from approxbit.backbones.vlm.video_llava import VideoLlava, video_llava
from approxbit.backbones.vlm.words import IMAGE, VIDEO, word_tokenizer

MARKS = {"video_llava": ("USER:", "ASSISTANT:"), "llava_onevision": ("<|im_start|>", "<|im_end|>")}
"""By the type of the model, its marks of who speaks: one before the clip, one before the answer."""
_MAX_NEW_TOKENS = 48
_ROPE_BASE = 1e6
"""Of Qwen2: half of the channels hardly turn over the length of a clip, and find a token wherever it is."""


@dataclass(frozen=True)
class _Sizes:
    width: int
    vision_layers: int
    text_layers: int
    num_heads: int
    patch: int
    frame_size: int

    def layers(self, number: int) -> dict[str, int]:
        return {
            "hidden_size": self.width,
            "num_hidden_layers": number,
            "num_attention_heads": self.num_heads,
        }

    def vision(self) -> dict[str, Any]:
        """Arguments of a configuration of CLIP or SigLIP."""
        frame = {"image_size": self.frame_size, "patch_size": self.patch}
        return {**self.layers(self.vision_layers), "intermediate_size": 4 * self.width, **frame}

    def text(self, tokenizer: Any) -> dict[str, Any]:
        """Arguments of a configuration of Llama or Qwen2."""
        return {
            **self.layers(self.text_layers),
            "num_key_value_heads": self.num_heads,
            "intermediate_size": 3 * self.width,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": _ROPE_BASE},
            "tie_word_embeddings": False,
            "initializer_range": self.width**-0.5,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }


def llava_onevision_small(
    words: Sequence[str] = (),
    width: int = 128,
    vision_layers: int = 4,
    text_layers: int = 4,
    num_heads: int = 4,
    patch: int = 8,
    frame_size: int = 64,
    num_frames: int = 16,
) -> LlavaOnevision:
    """A small LLaVA-OneVision of random weights that asks itself: its `asker` is there.

    Each frame becomes `(frame_size / patch / 2)**2` visual tokens of the language model.

    Args:
        words: Of questions and answers, as for `word_tokenizer`.
        width: Channels of both towers, a multiple of `num_heads`.
        vision_layers: Of SigLIP; each is an offload point.
        text_layers: Of Qwen2.
        num_heads: Heads of attention, everywhere.
        patch: Height and width of a patch in pixels.
        frame_size: Height and width of a frame in pixels.
        num_frames: Frames of a clip.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: The words are no tokens.

    Example:
        >>> backbone = llava_onevision_small(["what", "is", "seven"])
        >>> backbone.num_visual_tokens(), backbone.offload_points
        (257, ('L1', 'L2', 'L3', 'L4'))
    """
    transformers = require_transformers()
    sizes = _Sizes(width, vision_layers, text_layers, num_heads, patch, frame_size)
    tokenizer = word_tokenizer(words, MARKS["llava_onevision"])
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**sizes.vision(), vision_use_head=False),
        text_config=transformers.Qwen2Config(**sizes.text(tokenizer)),
        **_placeholders(tokenizer),
    )
    backbone = llava_onevision(config, num_frames)
    _give_asker(backbone, tokenizer)
    return backbone


def video_llava_small(
    words: Sequence[str] = (),
    width: int = 128,
    vision_layers: int = 6,
    text_layers: int = 4,
    num_heads: int = 4,
    patch: int = 16,
    frame_size: int = 64,
    num_frames: int = 16,
) -> VideoLlava:
    """A small Video-LLaVA of random weights that asks itself: its `asker` is there.

    Nothing is pooled: each frame becomes `(frame_size / patch)**2 + 1` visual tokens of the language model.
    Its patches are therefore larger than those of the small LLaVA-OneVision. The output of the last layer of
    CLIP is used, so that none is there in vain.
    Takes and raises what `llava_onevision_small` does.

    Example:
        >>> backbone = video_llava_small(["what", "is", "seven"])
        >>> backbone.num_visual_tokens(), backbone.offload_points[-1], backbone.num_tokens("L6")
        (272, 'L6', 16)
    """
    transformers = require_transformers()
    sizes = _Sizes(width, vision_layers, text_layers, num_heads, patch, frame_size)
    tokenizer = word_tokenizer(words, MARKS["video_llava"])
    config = transformers.VideoLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**sizes.vision()),
        text_config=transformers.LlamaConfig(**sizes.text(tokenizer)),
        vision_feature_layer=-1,
        **_placeholders(tokenizer),
    )
    backbone = video_llava(config, num_frames)
    _give_asker(backbone, tokenizer)
    return backbone


def _placeholders(tokenizer: Any) -> dict[str, int]:
    image, video = tokenizer.convert_tokens_to_ids([IMAGE, VIDEO])
    return {"image_token_index": image, "video_token_index": video}


def _give_asker(backbone: VideoLanguageModel, tokenizer: Any) -> None:
    embedding = backbone.model.get_input_embeddings()
    # Beside what attention adds to them, smaller words would not be told apart.
    nn.init.normal_(embedding.weight)
    before, after = MARKS[backbone.model_type]
    backbone.asker = Asker(backbone, tokenizer, f"{before} <video> {{question}} {after}", _MAX_NEW_TOKENS)
