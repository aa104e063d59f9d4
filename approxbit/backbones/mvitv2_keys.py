"""Names of MViTv2's weights in facebookresearch/SlowFast, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from approxbit.errors import MissingKeyError, WrongShapeError

# SlowFast's key as a pattern, and its name in torchvision. Together they cover all 589 keys of MViTv2-B.
RENAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"cls_token", "pos_encoding.class_token"),
        (r"patch_embed\.proj\.(weight|bias)", r"conv_proj.\1"),
        (r"(blocks\.\d+\.(?:norm1|norm2|attn\.qkv)\.(?:weight|bias))", r"\1"),
        (r"(blocks\.\d+\.attn\.rel_pos_[hwt])", r"\1"),
        (r"(blocks\.\d+\.attn)\.proj\.(weight|bias)", r"\1.project.0.\2"),
        (r"(blocks\.\d+\.attn\.pool_[qkv])\.weight", r"\1.pool.weight"),
        (r"(blocks\.\d+\.attn)\.norm_([qkv])\.(weight|bias)", r"\1.pool_\2.norm_act.0.\3"),
        (r"(blocks\.\d+\.mlp)\.fc1\.(weight|bias)", r"\1.0.\2"),
        (r"(blocks\.\d+\.mlp)\.fc2\.(weight|bias)", r"\1.3.\2"),
        (r"(blocks\.\d+)\.proj\.(weight|bias)", r"\1.project.\2"),
        (r"(norm\.(?:weight|bias))", r"\1"),
        (r"head\.projection\.(weight|bias)", r"head.1.\1"),
    )
)


def convert_slowfast_keys(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SlowFast's state dict of an MViTv2 under the keys of `MViTv2`. The tensors are not copied.

    Only the class token changes its shape, from (1, 1, channel) to (channel,). That nothing is missing is for
    the strict `load_state_dict` to say: the mapping alone does not know how many blocks there must be.

    Args:
        state_dict: The entry `model_state` of a SlowFast checkpoint.

    Raises:
        MissingKeyError: A key is none of SlowFast's MViTv2 with relative positions and a class token.
        WrongShapeError: The class token is not of shape (1, 1, channel).

    Example:
        >>> import torch
        >>> list(convert_slowfast_keys({"blocks.7.mlp.fc2.bias": torch.zeros(384)}))
        ['blocks.7.mlp.3.bias']
    """
    names = {key: _renamed(key) for key in state_dict}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise MissingKeyError(
            "a state dict of SlowFast's MViTv2 (the entry 'model_state' of its checkpoint) was expected, "
            f"found {len(unknown)} unknown keys: {_shortened(unknown)}"
        )
    converted = {str(name): state_dict[key] for key, name in names.items()}
    if "cls_token" in state_dict:
        converted["pos_encoding.class_token"] = _flat_class_token(state_dict["cls_token"])
    return converted


def _renamed(key: str) -> str | None:
    matches = ((pattern.fullmatch(key), name) for pattern, name in RENAMES)
    return next((match.expand(name) for match, name in matches if match), None)


def _shortened(keys: list[str], num_shown: int = 5) -> str:
    return ", ".join(keys[:num_shown]) + (", ..." if len(keys) > num_shown else "")


def _flat_class_token(token: Tensor) -> Tensor:
    if token.ndim != 3 or token.shape[:2] != (1, 1):
        raise WrongShapeError(f"cls_token must be of shape (1, 1, channel), found {tuple(token.shape)}")
    return token.flatten()
