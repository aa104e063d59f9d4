"""The edge half of a video-language model, loaded without ever holding the rest of it.

config.json ------> the whole model without memory (meta device) -> its edge half, still without memory
*.safetensors ----> the tensors of the edge half, and no other --------^
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from approxbit.backbones.vlm.base import VideoLanguageModel, VisionEdgeHalf, read_config
from approxbit.backbones.vlm.llava_onevision import LlavaOnevision
from approxbit.backbones.vlm.video_llava import VideoLlava
from approxbit.errors import MissingKeyError, WeightsError, WrongShapeError
from approxbit.files import from_json, load_json

FAMILIES: dict[str, type[VideoLanguageModel]] = {
    family.model_type: family for family in (VideoLlava, LlavaOnevision)
}
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def load_edge_half(path: str | Path, point: str, dtype: torch.dtype | None = None) -> VisionEdgeHalf:
    """The edge half of the model in a local folder, in eval mode; bit for bit that of the whole model.

    Only the tensors of the embedding and of the layers up to `point` are read, from one safetensors file or
    from shards, under today's names or those of older versions of transformers.

    Args:
        path: Folder with `config.json` and the weights, as `save_pretrained` writes it.
        point: Offload point such as `L8`.
        dtype: Of the weights; by default as they are stored.

    Raises:
        ImportError: transformers is missing or too old.
        FileNotFoundError: The folder holds no safetensors weights.
        ValueError: The folder holds another kind of model, or the model has no such offload point.
        MissingKeyError: The weights lack tensors of the edge half, or the vision tower in them has others
            than the model: then it is another model, such as the original Video-LLaVA.
        WrongShapeError: A tensor has another shape than the model's.
    """
    backbone = build_without_memory(path)
    edge_half = backbone.edge_half(point)
    folder = Path(path)
    locations = locate_tensors(folder)
    keys = match_keys(backbone.model, locations)
    _check_tower(backbone, keys, folder)
    names = {id(parameter): name for name, parameter in backbone.model.named_parameters()}
    wanted = {own: names[id(parameter)] for own, parameter in edge_half.named_parameters()}
    missing = [name for name in wanted.values() if name not in keys]
    if missing:
        raise MissingKeyError(f"the weights in {folder} lack parts of the edge half: {_first(missing)}")
    state = read_tensors(locations, {own: keys[name] for own, name in wanted.items()}, dtype)
    _check_shapes(edge_half, state)
    edge_half.load_state_dict(state, assign=True)
    _restore_position_ids(edge_half)
    return edge_half.eval()


def build_without_memory(path: str | Path) -> VideoLanguageModel:
    """The backbone in a local folder on the meta device: all its shapes, none of its weights.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: The folder holds another kind of model.
    """
    config = read_config(path)
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"expected a model of type {' or '.join(FAMILIES)} in {path}, found {config.model_type}"
        )
    family = FAMILIES[config.model_type]
    with torch.device("meta"):
        return family(family.model_class()(config), num_frames=1)


def locate_tensors(folder: Path) -> dict[str, Path]:
    """The file of every tensor, by the key that it is stored under; only names are read.

    Raises:
        FileNotFoundError: There are neither `model.safetensors` nor shards with an index.
        WeightsError: The index cannot be read.
    """
    if (folder / INDEX).is_file():
        index = load_json(folder / INDEX, dict[str, Any], WeightsError)
        files = from_json(dict[str, str], index.get("weight_map"), str(folder / INDEX), WeightsError)
        return {key: folder / name for key, name in files.items()}
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"expected {WEIGHTS} or {INDEX} in {folder}, found neither")
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        return dict.fromkeys(file.keys(), folder / WEIGHTS)


def match_keys(model: Any, keys: Iterable[str]) -> dict[str, str]:
    """Name in the model -> key in the files, by the renaming that `from_pretrained` itself applies.

    Checkpoints keep the names of the version of transformers that wrote them, such as
    `video_tower.vision_model.encoder` for what is `model.video_tower.encoder` now.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, rename_source_key

    conversions, known = get_model_conversion_mapping(model), model.state_dict()
    renamings = [conversion for conversion in conversions if isinstance(conversion, WeightRenaming)]
    matched = {}
    for key in keys:
        name, _ = rename_source_key(key, renamings, [], model.base_model_prefix, known)
        matched[key if name not in known and key in known else name] = key
    return matched


def read_tensors(
    locations: Mapping[str, Path], wanted: Mapping[str, str], dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """The tensors stored under the values of `wanted`, by its keys; every file is opened once."""
    tensors = {}
    for location in sorted({locations[key] for key in wanted.values()}):
        with safe_open(location, framework="pt") as file:
            for own, key in wanted.items():
                if locations[key] == location:
                    tensors[own] = file.get_tensor(key).to(dtype)
    return tensors


def _check_tower(backbone: VideoLanguageModel, keys: Mapping[str, str], folder: Path) -> None:
    """Refuse weights that this vision tower has no place for; older versions stored `position_ids` too."""
    prefix, known = f"model.{backbone.tower_name}.", backbone.model.state_dict()
    unknown = [
        key
        for name, key in keys.items()
        if name.startswith(prefix) and name not in known and not name.endswith(".position_ids")
    ]
    if unknown:
        raise MissingKeyError(
            f"the vision tower in {folder} is not the one of transformers' {backbone.model_type}, "
            f"found {len(unknown)} unknown weights: {_first(unknown)}"
        )


def _check_shapes(edge_half: VisionEdgeHalf, state: Mapping[str, Tensor]) -> None:
    for name, parameter in edge_half.named_parameters():
        if state[name].shape != parameter.shape:
            raise WrongShapeError(
                f"{name} must be of shape {tuple(parameter.shape)}, found {tuple(state[name].shape)}"
            )


def _restore_position_ids(edge_half: VisionEdgeHalf) -> None:
    """Count the positions again: the one buffer of both towers, which no file holds."""
    embeddings: Any = edge_half.embedding.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions).expand(1, -1)


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
