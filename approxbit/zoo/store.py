"""Save and load backbones, codecs and whole models by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.errors import HashMismatchError, WeightsError, WireError
from approxbit.families.cards import BackboneCard, CodecCard, Provenance, save_card
from approxbit.families.folder import (
    BACKBONE,
    check_family,
    list_configurations,
    locate_backbone,
    locate_codec,
    locate_family,
)
from approxbit.families.hub import check_is_here, find_weights, locate
from approxbit.families.named import find_task, read_backbone_card, read_codec_card, read_owner_card
from approxbit.files import PathLike
from approxbit.offload import OffloadedModel
from approxbit.tasks import Classification, Task
from approxbit.trust import trust_package_of
from approxbit.wire import PriorTables
from approxbit.zoo.builders import BUILDERS, build_on_meta, check_backbone
from approxbit.zoo.machine import describe_machine
from approxbit.zoo.restoring import restore, restore_backbone, sketch_of_card
from approxbit.zoo.weights import check_fit, read_weights, save_weights

PRIOR = "prior.tables"
"""Name of the tensor that holds a codec's prior as bytes."""


def save_backbone(
    folder: PathLike,
    backbone: Backbone,
    builder: str,
    arguments: Mapping[str, Any] | None = None,
    task: Task | None = None,
    provenance: Provenance | None = None,
) -> BackboneCard:
    """Write `backbone.safetensors` and `backbone.json` into a family's folder.

    Args:
        folder: The family's folder; its name is the family's.
        backbone: What to save.
        builder: Key of `BUILDERS` that makes the like of `backbone`, or an import path such as
            `my_package.models:make`, whose package is trusted from now on.
        arguments: Keyword arguments of the builder.
        task: What its answer means; by default classes of which no name is known.
        provenance: How the backbone was made.

    Raises:
        ValueError: The folder's name is no family's, there is no such builder, it makes a model of other
            clips, classes or offload points, or the task is for another number of classes.
        WeightsError: The builder makes a model of other tensors.
    """
    family, path = _check_new_family(Path(folder).name), Path(folder) / f"{BACKBONE}.json"
    task = Classification.of_names() if task is None else task
    task.check_model(backbone.num_classes)
    check_backbone(backbone)
    trust_package_of(builder)
    arguments = dict(arguments or {})
    rebuilt = build_on_meta(builder, arguments)
    check_fit(_weights_of(path), rebuilt, backbone.state_dict())
    _check_same_backbone(backbone, rebuilt)
    record = save_weights(_weights_of(path), backbone)
    card = BackboneCard(family, builder, arguments, task, record, _made_here(provenance))
    save_card(path, card)
    return card


def save_codec(
    folder: PathLike,
    codec: Codec,
    backbone: str | None = None,
    asked: str = "",
    provenance: Provenance | None = None,
    prior: PriorTables | None = None,
) -> CodecCard:
    """Write `<configuration>.safetensors` and its card into a family's folder.

    Args:
        folder: The family's folder. The backbone is already saved there or in the folder beside it.
        codec: What to save.
        backbone: Family of the backbone that the codec was trained for; by default this one.
        asked: The label set that the codec was trained to answer in; by default that of the backbone's task.
        provenance: How the codec was made.
        prior: Its tables for coding, part of the fingerprint.

    Raises:
        ValueError: The folder's name is no family's, there is no such backbone, its task has no such label
            set, its features are not those that the codec was made for, or the prior is for codes of another
            size.
        WeightsError: The backbone, the configuration and the codec's options make a codec of other tensors.
    """
    family, configuration = check_family(Path(folder).name), str(codec.configuration)
    root, path = Path(folder).parent, Path(folder) / f"{configuration}.json"
    backbone_card = read_backbone_card(root, backbone or family)
    sketch = sketch_of_card(locate_backbone(root, backbone_card.name), backbone_card)
    with torch.device("meta"):
        rebuilt = _build_codec(sketch, codec.configuration, codec.options)
    _check_same_feature(codec, rebuilt)
    check_fit(_weights_of(path), rebuilt, codec.state_dict())
    beside = {}
    if prior is not None:
        prior.check_fit(codec.configuration, codec.feature_shape.size, codec.num_tokens)
        beside[PRIOR] = torch.frombuffer(bytearray(prior.to_bytes()), dtype=torch.uint8)
    card = CodecCard(
        f"{family}/{configuration}",
        backbone_card.name,
        backbone_card.weights.fingerprint,
        codec.options.changed(),
        backbone_card.task.asking(asked).asked,
        save_weights(_weights_of(path), codec, configuration, beside),
        _made_here(provenance),
    )
    save_card(path, card)
    return card


def save_prior(
    name: str,
    prior: PriorTables,
    metrics: Mapping[str, float] | None = None,
    checkpoints: PathLike | None = None,
    split: str = "",
) -> CodecCard:
    """Give a saved codec its prior, or another one. Its weights stay, its fingerprint changes.

    Args:
        name: Family and configuration, such as `digits-movinet/16-Enc-B5`.
        prior: Tables for its codes.
        metrics: What was measured of the prior, added to those in the codec's card.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.
        split: Whose clips it was measured on; by default that of the card.

    Raises:
        ValueError: There is no such codec, it is one of the hub or nested in another, the prior is for codes
            of another size, or the metrics in the card are those of another split.
        WeightsError: As for `load`.
    """
    check_is_here(name)
    root, name = locate(name, checkpoints)
    codec, made = load(name, root).codec, read_codec_card(root, name)
    if made.name != name:
        raise ValueError(f"{name} is nested in {made.name}, whose prior it has: name that one")
    known = made.provenance
    if known.split not in ("", split or known.split):
        raise ValueError(f"{name}: expected metrics of the {known.split} clips, found those of {split}")
    known = replace(known, metrics={**known.metrics, **(metrics or {})}, split=split or known.split)
    folder = locate_codec(root, name).parent
    return save_codec(folder, codec, made.backbone, made.asked, known, prior)


def load(name: str, checkpoints: PathLike | None = None) -> OffloadedModel:
    """A verified model, in eval mode and on the CPU.

    Args:
        name: Family and configuration, such as `digits-movinet/16-Enc-B5`, which `available()` lists; or of a
            family on the Hugging Face Hub, `hf://owner/name/16-Enc-B5` or `hf://owner/name@revision/16-Enc-B5`.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.

    Raises:
        ValueError: There is no such model.
        ImportError: It is one of the hub, and huggingface_hub is not installed.
        HashMismatchError: A file is not what its card describes, or the backbone is not the codec's.
        MissingKeyError: Tensors are missing from a file, or unknown to the model.
        WrongShapeError: A tensor has another shape than the model's.
        WeightsError: A file cannot be read.
    """
    root, name = locate(name, checkpoints)
    codec_card = read_codec_card(root, name)
    model = _assemble(root, codec_card, load_backbone(read_owner_card(root, codec_card).name, root))
    return model.first_bits(Configuration.parse(name.partition("/")[2]).codebook_size)


def load_family(family: str, checkpoints: PathLike | None = None) -> dict[str, OffloadedModel]:
    """All models of a family by their configurations, in eval mode; models of one backbone share it.

    The family lies in `checkpoints` or on the hub: `hf://owner/name`, `hf://owner/name@revision`. Nested
    codecs share all but their first and last layers.

    Raises:
        ValueError: There is no such family.
        WeightsError: As for `load`.
    """
    root, family = locate(family, checkpoints)
    configurations = list_configurations(locate_family(root, family))
    cards = {each: read_codec_card(root, f"{family}/{each}") for each in configurations}
    owners = {read_owner_card(root, each).name for each in cards.values()}
    backbones = {name: load_backbone(name, root) for name in owners}
    whole = {
        each.name: _assemble(root, each, backbones[each.backbone])
        for each in {each.name: each for each in cards.values()}.values()
    }
    return {str(each): whole[card.name].first_bits(each.codebook_size) for each, card in cards.items()}


def load_backbone(family: str, checkpoints: PathLike | None = None) -> Backbone:
    """A verified backbone, frozen and in eval mode.

    Raises:
        ValueError: There is no such family, or it has no backbone of its own.
        WeightsError: As for `load`.
    """
    root, family = locate(family, checkpoints)
    backbone_card, path = read_backbone_card(root, family), locate_backbone(root, family)
    tensors = read_weights(find_weights(path, backbone_card.weights), backbone_card.weights)
    backbone = restore_backbone(path, backbone_card, tensors)
    backbone.fingerprint = int(backbone_card.weights.fingerprint, 16)
    return backbone.requires_grad_(False)


def _check_new_family(family: str) -> str:
    if family in BUILDERS:
        raise ValueError(f"expected another name for a family than that of a builder, found {family!r}")
    return check_family(family)


def _made_here(provenance: Provenance | None) -> Provenance:
    """With the kind of this machine, unless it says another."""
    made = provenance or Provenance()
    return made if made.machine else replace(made, machine=describe_machine())


def _assemble(root: Path, codec_card: CodecCard, backbone: Backbone) -> OffloadedModel:
    path, backbone_card = locate_codec(root, codec_card.name), read_owner_card(root, codec_card)
    if codec_card.backbone_fingerprint != backbone_card.weights.fingerprint:
        raise HashMismatchError(
            f"{path}: was trained for the backbone {codec_card.backbone} of the fingerprint "
            f"{codec_card.backbone_fingerprint}, found {backbone_card.weights.fingerprint}"
        )
    weights = find_weights(path, codec_card.weights)
    tensors = read_weights(weights, codec_card.weights, path.stem)
    prior = tensors.pop(PRIOR, None)
    make = partial(_build_codec, backbone, codec_card.configuration, _options_of(path, codec_card))
    codec = restore(path, "arguments", make, tensors).requires_grad_(False)
    model = OffloadedModel(backbone, codec, find_task(codec_card.name, root))
    model.fingerprint = int(codec_card.weights.fingerprint, 16)
    if prior is not None:
        model.prior = _read_prior(path, codec, prior)
    return model


def _read_prior(path: Path, codec: Codec, tensor: Tensor) -> PriorTables:
    try:
        prior = PriorTables.from_bytes(tensor.numpy().tobytes())
        prior.check_fit(codec.configuration, codec.feature_shape.size, codec.num_tokens)
    except (WireError, ValueError) as error:
        raise WeightsError(f"{path}: the tensor {PRIOR} is no prior of this codec: {error}") from error
    return prior


def _options_of(path: Path, codec_card: CodecCard) -> CodecOptions:
    try:
        return CodecOptions(**codec_card.arguments)
    except Exception as error:
        raise WeightsError(f"{path}: its arguments are none of a codec's options: {error}") from error


def _build_codec(backbone: Backbone, configuration: Configuration, options: CodecOptions) -> Codec:
    point = configuration.offload_point
    return Codec(backbone.feature_shape(point), configuration, backbone.num_tokens(point), options)


def _check_same_backbone(found: Backbone, rebuilt: Backbone) -> None:
    for fact in ("clip_shape", "num_classes", "offload_points", "mean", "std"):
        own, built = getattr(found, fact), getattr(rebuilt, fact)
        if own != built:
            raise ValueError(
                f"the builder and its arguments make a backbone whose {fact} is {built}, found {own}: give "
                "the arguments that this one was made with"
            )


def _check_same_feature(codec: Codec, rebuilt: Codec) -> None:
    found, expected = (codec.feature_shape, codec.num_tokens), (rebuilt.feature_shape, rebuilt.num_tokens)
    if found != expected:
        raise ValueError(
            f"the backbone's features at {codec.configuration.offload_point} have the shape "
            f"{tuple(expected[0])} and {expected[1]} class tokens, "
            f"found a codec for {tuple(found[0])} and {found[1]}"
        )


def _weights_of(card_path: Path) -> Path:
    return card_path.with_suffix(".safetensors")
