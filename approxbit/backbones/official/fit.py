"""Whether a checkpoint fits a backbone, all of it: a full list of what does not, or the tensors to load."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from approxbit.backbones.official.origins import Converted
from approxbit.backbones.official.report import LeftOut
from approxbit.errors import MissingKeyError, WeightsError, WrongShapeError

# The last layer of each family: all of it that depends on the number of classes.
HEADS = ("head.1.", "classifier.3.")
# Batch norms count their training steps here and in Atze00's files, not in what came from elsewhere. Nothing
# reads it: the momentum is fixed.
COUNTER = "num_batches_tracked"


def fit(
    source: str, converted: Converted, state: Mapping[str, Tensor], replace_head: bool
) -> tuple[dict[str, Tensor], tuple[LeftOut, ...]]:
    """The tensors to load, and what is left out on purpose.

    Args:
        source: What to call the checkpoint in an error.
        converted: The checkpoint under our names.
        state: The backbone's state dict.
        replace_head: Whether a head of another number of classes is left out instead of refused.

    Raises:
        MissingKeyError: A tensor of the backbone is missing, or a key is not the backbone's.
        WrongShapeError: All keys match, but a tensor has another shape than the backbone's.
        WeightsError: A tensor that must hold floating-point numbers holds none, or the reverse.
    """
    tensors = dict(converted.tensors)
    left_out = []
    if replace_head and _has_other_classes(tensors, state):
        heads = tuple(name for name in state if name.startswith(HEADS))
        state = {name: tensor for name, tensor in state.items() if name not in heads}
        tensors = {name: tensor for name, tensor in tensors.items() if name not in heads}
        left_out.append(LeftOut(heads, "a head for other classes; the backbone keeps its own"))
    counters = tuple(key for key in converted.unexpected if key.endswith(COUNTER))
    if counters:
        left_out.append(LeftOut(counters, "counters of training steps that the backbone does not have"))
    uncounted = tuple(name for name in state if name.endswith(COUNTER) and name not in tensors)
    if uncounted:
        left_out.append(LeftOut(uncounted, "counters of training steps that the checkpoint does not have"))
    unexpected = [key for key in converted.unexpected if key not in counters]
    expected = {name: tensor for name, tensor in state.items() if name not in uncounted}
    _check(source, tensors, expected, unexpected)
    return tensors, tuple(left_out)


def _has_other_classes(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    """Whether the heads are there and differ in the number of classes alone."""
    pairs = [(tensors.get(name), state[name]) for name in state if name.startswith(HEADS)]
    return (
        bool(pairs)
        and all(found is not None and found.shape[1:] == expected.shape[1:] for found, expected in pairs)
        and any(found is not None and found.shape != expected.shape for found, expected in pairs)
    )


def _advise_on_classes(tensors: Mapping[str, Tensor]) -> str:
    """What to do about a checkpoint for another number of classes."""
    num_classes = next(len(tensor) for name, tensor in tensors.items() if name.startswith(HEADS))
    return (
        f"\n  the checkpoint is for {num_classes} classes: build the backbone with num_classes={num_classes} "
        f"(in a recipe, arguments: {{num_classes: {num_classes}}}), or keep its untrained head by "
        "load_official(..., replace_head=True)"
    )


def _check(
    source: str, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor], unexpected: list[str]
) -> None:
    missing = [name for name in state if name not in tensors]
    misshapen = [
        f"{name} {tuple(found.shape)} instead of {tuple(state[name].shape)}"
        for name, found in tensors.items()
        if found.shape != state[name].shape
    ]
    problems = "\n".join(
        f"  {len(keys)} {kind}: {', '.join(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if keys
    )
    if missing or unexpected:
        raise MissingKeyError(
            f"{source}: the keys must be those of the backbone, one to one, found\n{problems}"
        )
    if misshapen:
        could_leave_out = _has_other_classes(tensors, state) and all(
            line.startswith(HEADS) for line in misshapen
        )
        hint = _advise_on_classes(tensors) if could_leave_out else ""
        raise WrongShapeError(f"{source}: the shapes must be those of the backbone, found\n{problems}{hint}")
    odd = [name for name in tensors if tensors[name].is_floating_point() != state[name].is_floating_point()]
    if odd:
        raise WeightsError(
            f"{source}: the tensors must hold floating-point numbers where the backbone does, and integers "
            "elsewhere; "
            f"found {len(odd)} that do not: "
            + ", ".join(f"{name} {tensors[name].dtype} instead of {state[name].dtype}" for name in odd)
        )
