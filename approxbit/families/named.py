"""What is known of a family or a model by its name: its card, and the LUT that was measured."""

from __future__ import annotations

from pathlib import Path

from approxbit.errors import WeightsError
from approxbit.families.cards import BackboneCard, Card, CodecCard, load_card
from approxbit.families.folder import (
    list_configurations,
    locate_backbone,
    locate_codec,
    locate_family,
    locate_lut,
)
from approxbit.families.hub import locate
from approxbit.files import PathLike
from approxbit.select import LUT
from approxbit.tasks import Task


def card(name: str, checkpoints: PathLike | None = None) -> Card:
    """The card of a backbone (`digits-movinet`) or of a codec (`digits-movinet/16-Enc-B5`, `hf://owner/name/16-Enc-B5`).

    A nested codec has that of the codec which holds it, whose `name` is another.

    Raises:
        ValueError: There is no such backbone or codec.
        WeightsError: The card cannot be read.
    """
    root, name = locate(name, checkpoints)
    return read_codec_card(root, name) if "/" in name else read_backbone_card(root, name)


def read_backbone_card(root: Path, family: str) -> BackboneCard:
    """The card of a family's backbone; raises as `card` does."""
    return load_card(locate_backbone(root, family), family, BackboneCard)


def read_codec_card(root: Path, name: str) -> CodecCard:
    """The card of a codec, or of the one that it is nested in; raises as `card` does."""
    path = locate_codec(root, name)
    return load_card(path, f"{path.parent.name}/{path.stem}", CodecCard)


def read_owner_card(root: Path, codec_card: CodecCard) -> BackboneCard:
    """The card of the backbone that a codec is for.

    Raises:
        WeightsError: There is none, or it cannot be read.
    """
    try:
        return read_backbone_card(root, codec_card.backbone)
    except ValueError as error:
        raise WeightsError(f"{locate_codec(root, codec_card.name)}: backbone: {error}") from error


def find_task(name: str, checkpoints: PathLike | None = None) -> Task:
    """What an answer of a backbone (`digits-movinet`) or a codec (`digits-movinet/16-Enc-B5`) means.

    A codec has the task of its backbone, and may ask for another of its label sets.

    Raises:
        ValueError: There is no such backbone or codec.
        WeightsError: A card cannot be read, or the codec's backbone has no such label set.
    """
    root, name = locate(name, checkpoints)
    found = card(name, root)
    if isinstance(found, BackboneCard):
        return found.task
    owner = read_owner_card(root, found)
    try:
        return owner.task.asking(found.asked)
    except ValueError as error:
        raise WeightsError(f"{locate_codec(root, name)}: asked: {error}") from error


def load_lut(family: str, checkpoints: PathLike | None = None) -> LUT:
    """The latency, bytes and accuracy that were measured for all models of a family.

    Raises:
        ValueError: There is no such family, or it has no LUT.
        LUTError: The file cannot be read.
    """
    return LUT.load(locate_lut(*locate(family, checkpoints)))


def list_models(family: str, checkpoints: PathLike | None = None) -> list[str]:
    """The configurations of a family, such as `16-Enc-B5`; none of one that has no codecs yet.

    Raises:
        ValueError: There is no such family.
    """
    root, local = locate(family, checkpoints)
    return [str(each) for each in list_configurations(locate_family(root, local))]
