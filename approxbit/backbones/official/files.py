"""Files of published weights, told apart by their content and never by their name.

zip with a pickle     torch.save       SlowFast, mmaction2, torchvision, Atze00
pickle                torch.save as it was before PyTorch 1.6
zip of .npy           numpy.savez      variables of a TensorFlow model
safetensors           ours
tar, .tar.gz, folder, several files of one prefix    TensorFlow checkpoint or SavedModel
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from approxbit.backbones.official.report import LeftOut
from approxbit.backbones.official.tensorflow_files import is_tensorflow, read_tensorflow
from approxbit.errors import WeightsError

# Where a container keeps its weights: SlowFast and mmaction2.
WRAPPERS = ("model_state", "state_dict")
ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        container: `torch`, `numpy`, `safetensors` or `tensorflow`.
        tensors: Key -> tensor, as in the file.
        left_out: What lay beside the weights.
    """

    container: str
    tensors: Mapping[str, Tensor]
    left_out: tuple[LeftOut, ...] = ()


def read_content(path: Path) -> Content:
    """The weights in a file or folder, on the CPU. No code of the file is ever run.

    Args:
        path: A file, a folder, or the prefix of a TensorFlow checkpoint.

    Raises:
        WeightsError: It is of no known kind, is damaged, or holds other things than tensors.
        ImportError: It is a TensorFlow checkpoint, and TensorFlow is not installed.
    """
    if is_tensorflow(path):
        variables, left_out = read_tensorflow(path)
        return Content("tensorflow", _as_tensors(path, variables), left_out)
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(ZIP_START):
        return _read_zip(path)
    if _is_safetensors(start, path.stat().st_size):
        return _read_safetensors(path)
    if start.startswith(PICKLE_START):
        return _read_torch(path)
    raise WeightsError(
        f"{path}: a PyTorch, NumPy, safetensors or TensorFlow file was expected, "
        f"found one that starts with {start!r}"
    )


def _is_safetensors(start: bytes, num_bytes: int) -> bool:
    """Eight bytes say how long the JSON header is that follows them."""
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= num_bytes - 8


def _read_safetensors(path: Path) -> Content:
    try:
        return Content("safetensors", load_file(path))
    except SafetensorError as error:
        raise WeightsError(f"{path}: is a damaged safetensors file: {error}") from error


def _read_zip(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{path}: is a damaged or incomplete zip file: {error}") from error
    if members and all(member.endswith(".npy") for member in members):
        return _read_numpy(path)
    return _read_torch(path)


def _read_numpy(path: Path) -> Content:
    try:
        with np.load(path, allow_pickle=False) as archive:
            variables = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: cannot be read as arrays of numbers: {error}") from error
    return Content("numpy", _as_tensors(path, variables))


def _as_tensors(path: Path, variables: Mapping[str, Any]) -> dict[str, Tensor]:
    texts = [key for key, value in variables.items() if value.dtype.kind not in "biuf"]
    if texts:
        raise WeightsError(f"{path}: numbers were expected, found others at {', '.join(texts)}")
    return {key: torch.from_numpy(np.array(value)) for key, value in variables.items()}


def _read_torch(path: Path) -> Content:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: a PyTorch file of tensors, numbers and texts was expected; anything else is refused, "
            "since reading it would run code of the file. Where you trust it, load it with its own program "
            f"and save its state dict alone. torch.load says: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: a state dict was expected, found a {type(content).__name__}")
    wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    if wrapper is None:
        return Content("torch", _checked_state(path, content))
    beside = tuple(str(key) for key in content if key != wrapper)
    left_out = (LeftOut(beside, f"beside the weights in {wrapper}"),) if beside else ()
    return Content("torch", _checked_state(path, content[wrapper]), left_out)


def _checked_state(path: Path, state: Mapping[Any, Any]) -> dict[str, Tensor]:
    others = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(
            f"{path}: a state dict, or one under {' or '.join(WRAPPERS)}, was expected; "
            f"found {len(others)} entries that are no tensors: {', '.join(others)}"
        )
    return {str(key): value for key, value in state.items()}
