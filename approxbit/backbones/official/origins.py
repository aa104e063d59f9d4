"""Whose names the keys of a checkpoint follow, told from the keys alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from approxbit.backbones.mvitv2_keys import CLASS_TOKEN, rename_mmaction2, rename_slowfast
from approxbit.backbones.official.files import Content
from approxbit.errors import MissingKeyError


@dataclass(frozen=True)
class Origin:
    """One way to name and lay out the weights.

    Attributes:
        name: As `LoadReport.origin` has it.
        rename: From a key to one of the backbone's names, or to anything else.
        reshape: From a name here and its tensor to the tensor in our layout, where it has theirs.
    """

    name: str
    rename: Callable[[str], str | None]
    reshape: Callable[[str, Tensor], Tensor] = lambda _name, tensor: tensor


@dataclass(frozen=True)
class Converted:
    """A checkpoint under the names of a backbone.

    Attributes:
        origin: See `LoadReport.origin`.
        tensors: Name here -> tensor.
        unexpected: Keys, as the checkpoint has them, without a place of their own in the backbone.
    """

    origin: str
    tensors: dict[str, Tensor]
    unexpected: tuple[str, ...]


def convert(source: str, content: Content, names: Collection[str]) -> Converted:
    """The tensors under the names of a backbone, read as the origin that explains most of the keys.

    Args:
        source: What to call the checkpoint in an error.
        content: Its keys and tensors. Our own names are also those of torchvision and Atze00, who publish
            PyTorch files; a safetensors file is taken for ours.
        names: Of the backbone's state dict.

    Raises:
        MissingKeyError: No origin explains a single key.
    """
    readings = [_read_as(origin, content.tensors, names) for origin in ORIGINS]
    best = max(readings, key=lambda reading: len(reading.tensors))
    if not best.tensors:
        raise MissingKeyError(
            f"{source}: weights of the backbone were expected under the names of SlowFast, mmaction2, "
            "torchvision, Atze00 or approxbit; "
            f"none of the {len(content.tensors)} keys is one: {', '.join(content.tensors)}"
        )
    if best.origin != OWN.name or content.container == "safetensors":
        return best
    publisher = "torchvision" if CLASS_TOKEN in names else "atze00"
    return Converted(publisher, best.tensors, best.unexpected)


def _read_as(origin: Origin, tensors: Mapping[str, Tensor], names: Collection[str]) -> Converted:
    converted: dict[str, Tensor] = {}
    unexpected = []
    for key, tensor in tensors.items():
        name = origin.rename(key)
        if name is None or name not in names or name in converted:
            unexpected.append(key)
        else:
            converted[name] = origin.reshape(name, tensor)
    return Converted(origin.name, converted, tuple(unexpected))


def _flatten_class_token(name: str, tensor: Tensor) -> Tensor:
    """(1, 1, channel) becomes (channel,); any other shape is left for the check of shapes to name."""
    return tensor[0, 0] if name == CLASS_TOKEN and tensor.ndim == 3 and tensor.shape[:2] == (1, 1) else tensor


OWN = Origin("approxbit", lambda key: key)
UNSPLIT = Origin("unsplit", lambda key: f"model.{key}")  # a model before `split` made a backbone of it
ORIGINS = (
    OWN,
    UNSPLIT,
    Origin("slowfast", rename_slowfast, _flatten_class_token),
    Origin("mmaction2", rename_mmaction2, _flatten_class_token),
)
