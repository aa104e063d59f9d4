"""Files of weights: safetensors that are exactly what a record says, and fit a module exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor, nn

from approxbit.errors import HashMismatchError, MissingKeyError, WeightsError, WrongShapeError
from approxbit.families.cards import WeightsRecord
from approxbit.files import read_bytes, sha256_of, write_whole

NUM_NAMED = 20  # of the tensors in a message


def compute_fingerprint(tensors: Mapping[str, Tensor], label: str = "") -> int:
    """First 8 bytes, big-endian, of the SHA-256 of a label and of all tensors in the order of their names.

    The same on every machine, and independent of how a file arranges the tensors.

    Example:
        >>> f"{compute_fingerprint({'weight': torch.zeros(2)}, '8-Enc-B5'):016x}"
        'd5bcbdce06a08359'
    """
    digest = hashlib.sha256(label.encode() + b"\0")
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name}\0{dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return int.from_bytes(digest.digest()[:8], "big")


def save_weights(
    path: Path, module: nn.Module, label: str = "", beside: Mapping[str, Tensor] | None = None
) -> WeightsRecord:
    """Write a module's state, all of it or nothing; the inverse of `read_weights`.

    Args:
        path: The safetensors file.
        module: Whose parameters and buffers to write.
        label: What enters the fingerprint beside the tensors.
        beside: Further tensors of the file, of names that the module does not have.

    Returns:
        The record that `read_weights` checks the file against.
    """
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in {**(beside or {}), **module.state_dict()}.items()
    }
    content = dump_safetensors(tensors)
    write_whole(path, content, make_parents=True)
    return WeightsRecord(
        sha256_of(content),
        f"{compute_fingerprint(tensors, label):016x}",
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
    )


def read_weights(path: Path, record: WeightsRecord, label: str = "") -> dict[str, Tensor]:
    """The tensors of a file, on the CPU; the inverse of `save_weights`.

    Args:
        path: The safetensors file.
        record: What the file must hold.
        label: What enters the fingerprint beside the tensors.

    Raises:
        HashMismatchError: The file or its content is not what the record describes.
        MissingKeyError: The file lacks a tensor of the record, or has another.
        WrongShapeError: A tensor has another shape than in the record.
        WeightsError: The file cannot be read.
    """
    tensors = _read(path, record.sha256)
    shapes = {name: tuple(shape) for name, shape in record.shapes.items()}
    _check_shapes(path, "the card", shapes, tensors)
    found = f"{compute_fingerprint(tensors, label):016x}"
    if found != record.fingerprint:
        raise HashMismatchError(
            f"{path}: the card promises the fingerprint {record.fingerprint}, found {found}"
        )
    return tensors


def fill(path: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module its weights: all of them, or none and an error.

    On the meta device they take the place of its own; elsewhere they are copied into these. Tensors that the
    module has under several names stay one.

    Raises:
        MissingKeyError: A tensor of the module is missing, or one is not the module's.
        WrongShapeError: A tensor has another shape than the module's.
        WeightsError: A tensor has another dtype than the module's.
    """
    check_fit(path, module, tensors)
    if not any(tensor.is_meta for tensor in module.state_dict().values()):
        module.load_state_dict(dict(tensors), strict=True)
        return
    new: dict[int, Tensor] = {}
    for name, own in module.state_dict(keep_vars=True).items():
        if id(own) not in new:
            copied = tensors[name].clone()
            is_parameter = isinstance(own, nn.Parameter)
            new[id(own)] = nn.Parameter(copied, own.requires_grad) if is_parameter else copied
    filled = {name: new[id(own)] for name, own in module.state_dict(keep_vars=True).items()}
    module.load_state_dict(filled, strict=True, assign=True)


def check_fit(path: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make sure that tensors have the names, shapes and dtypes of a module's.

    Raises:
        MissingKeyError: A tensor of the module is missing, or one is not the module's.
        WrongShapeError: A tensor has another shape than the module's.
        WeightsError: A tensor has another dtype than the module's.
    """
    state = module.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    _check_shapes(path, type(module).__name__, shapes, tensors)
    for name, expected in state.items():
        if tensors[name].dtype != expected.dtype:
            raise WeightsError(
                f"{path}: the tensor {name} must be {expected.dtype}, found {tensors[name].dtype}"
            )


def _check_shapes(
    path: Path, owner: str, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]
) -> None:
    expected, found = set(shapes), set(tensors)
    if expected != found:
        raise MissingKeyError(
            f"{path}: the tensors must be those of {owner}; "
            f"missing: {_listed(expected - found)}, unknown: {_listed(found - expected)}"
        )
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise WrongShapeError(
                f"{path}: the tensor {name} must have the shape {shape}, found {tuple(tensors[name].shape)}"
            )


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:NUM_NAMED])
    return f"{first}, ... ({len(names)} in all)" if len(names) > NUM_NAMED else first or "none"


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    content = read_bytes(path, WeightsError)
    found = sha256_of(content)
    if found != sha256:
        raise HashMismatchError(f"{path}: the card promises a file of SHA-256 {sha256}, found {found}")
    try:
        return parse_safetensors(content)
    except SafetensorError as error:
        raise WeightsError(f"{path}: is not a safetensors file: {error}") from error
