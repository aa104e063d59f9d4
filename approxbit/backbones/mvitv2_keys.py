"""Names of MViTv2's weights in facebookresearch/SlowFast and mmaction2, and what they are called here."""

from __future__ import annotations

import re

CLASS_TOKEN = "pos_encoding.class_token"

# SlowFast's key as a pattern, and its name in torchvision. Together they cover all 589 keys of MViTv2-B.
RENAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"cls_token", CLASS_TOKEN),
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

# mmaction2 calls the modules as SlowFast does, but for these.
MMACTION2_PREFIXES = (
    ("backbone.patch_embed.projection.", "patch_embed.proj."),
    ("backbone.norm3.", "norm."),
    ("backbone.cls_token", "cls_token"),
    ("backbone.blocks.", "blocks."),
    ("cls_head.fc_cls.", "head.projection."),
)


def rename_slowfast(key: str) -> str | None:
    """The name here of a key of SlowFast's MViTv2; None for any other key.

    Example:
        >>> rename_slowfast("blocks.7.mlp.fc2.bias")
        'blocks.7.mlp.3.bias'
    """
    matches = ((pattern.fullmatch(key), name) for pattern, name in RENAMES)
    return next((match.expand(name) for match, name in matches if match), None)


def rename_mmaction2(key: str) -> str | None:
    """The name here of a key of mmaction2's MViTv2; None for any other key.

    Example:
        >>> rename_mmaction2("backbone.blocks.7.mlp.fc2.bias"), rename_mmaction2("cls_head.fc_cls.bias")
        ('blocks.7.mlp.3.bias', 'head.1.bias')
    """
    for theirs, slowfast in MMACTION2_PREFIXES:
        if key.startswith(theirs):
            return rename_slowfast(slowfast + key.removeprefix(theirs))
    return None
