"""Files of published weights, told apart by their content and never by their name.

zip with a pickle     torch.save       SlowFast, mmaction2, torchvision, Atze00
pickle                torch.save as it was before PyTorch 1.6
safetensors           ours, and what `recipes/convert` makes of TensorFlow's
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from approxbit.backbones.official.report import LeftOut
from approxbit.errors import WeightsError

# Where a container keeps its weights: SlowFast and mmaction2.
WRAPPERS = ("model_state", "state_dict")
ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"
GZIP_START = b"\x1f\x8b"


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        container: `torch` or `safetensors`.
        tensors: Key -> tensor, as in the file.
        left_out: What lay beside the weights.
    """

    container: str
    tensors: Mapping[str, Tensor]
    left_out: tuple[LeftOut, ...] = ()


def read_content(path: Path) -> Content:
    """The weights in a file, on the CPU. No code of the file is ever run.

    Raises:
        WeightsError: It is of no known kind, is damaged, or holds other things than tensors.
    """
    with path.open("rb") as file:
        start = file.read(262)
    if start.startswith(ZIP_START) and not zipfile.is_zipfile(path):
        raise WeightsError(f"{path}: is a damaged or incomplete zip file")
    if start.startswith((ZIP_START, PICKLE_START)):
        return _read_torch(path)
    if _is_safetensors(start[:9], path.stat().st_size):
        return _read_safetensors(path)
    if start.startswith(GZIP_START) or start[257:] == b"ustar":
        refuse_tensorflow(path, "an archive")
    raise WeightsError(
        f"{path}: a PyTorch or safetensors file was expected, found one that starts with {start[:9]!r}"
    )


def refuse_tensorflow(path: Path, found: str) -> NoReturn:
    """Say how a checkpoint of TensorFlow becomes a file that can be read here.

    Raises:
        WeightsError: Always.
    """
    raise WeightsError(
        f"{path}: a PyTorch or safetensors file was expected, found {found}, as TensorFlow's checkpoints "
        "are; one of a MoViNet is converted, in a checkout of approxbit and with TensorFlow installed, by\n"
        f"  python recipes/convert/movinet_tensorflow.py movinet_a2 {path} movinet_a2.safetensors"
    )


def _is_safetensors(start: bytes, num_bytes: int) -> bool:
    """Eight bytes say how long the JSON header is that follows them."""
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= num_bytes - 8


def _read_safetensors(path: Path) -> Content:
    try:
        return Content("safetensors", load_file(path))
    except SafetensorError as error:
        raise WeightsError(f"{path}: is a damaged safetensors file: {error}") from error


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
