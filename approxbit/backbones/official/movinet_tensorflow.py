"""Names and layouts of MoViNet's weights in the TensorFlow Model Garden, and what they are here.

Two generations of names are known: `b0/l1/bneck/...` of the published checkpoints and TF-Hub models, and
`block0_layer1/bneck/...` of later code. Both variants of the model are covered, base and stream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from approxbit.errors import MissingKeyError

# The front of a variable's name as a pattern, and the modules here that it may belong to.
PLACES = tuple(
    (re.compile(rf"(?:.*/)?{pattern}/(.+)"), places)
    for pattern, places in (
        (r"stem/stem", ("conv1",)),
        (r"head/project", ("conv7",)),
        (r"classifier_head\w*/head", ("classifier.0",)),
        (r"classifier_head\w*/classifier", ("classifier.3",)),
    )
)
LAYER = re.compile(r"(?:.*/)?(?:block(\d+)_layer(\d+)|b(\d+)/l(\d+))/(.+)")
# The projection of a skip is its second step where a pool comes first, and its only one elsewhere.
UNITS = {
    "expansion": ("expand",),
    "feature": ("deep",),
    "projection": ("project",),
    "se_reduce": ("se.fc1",),
    "se_expand": ("se.fc2",),
    "skip_project": ("res.1", "res.0"),
}
KERNELS = ("conv3d.weight", "conv2d.weight")
LEAVES = {
    "kernel": KERNELS,
    "depthwise_kernel": KERNELS,
    "bias": ("conv3d.bias", "conv2d.bias"),
    "gamma": ("norm.weight",),
    "beta": ("norm.bias",),
    "moving_mean": ("norm.running_mean",),
    "moving_variance": ("norm.running_var",),
}


def rename_tensorflow(variable: str, names: Collection[str]) -> str | None:
    """The name here of a variable of MoViNet; None if there is none.

    Args:
        variable: Its name, such as `b0/l0/bneck/expansion/conv3d/kernel:0`.
        names: Of the state dict to be filled, which tells base from stream.

    Example:
        >>> rename_tensorflow("b0/l0/bneck/expansion/bn/gamma:0", ["blocks.b0_l0.expand.conv_1.norm.weight"])
        'blocks.b0_l0.expand.conv_1.norm.weight'
    """
    path = variable.split(":")[0]
    return next((name for name in _candidates(path) if name in names), None)


def reshape_tensorflow(variable: str, name: str, value: Tensor) -> Tensor:
    """The value of a variable in PyTorch's order of axes; what is no kernel stays as it is.

    Kernels are (time, height, width, in, out), (height, width, in, out) or, depthwise, (height, width, out,
    1). A stream model that was trained in 3-D has (1, height, width, ...) and (time, 1, 1, ...) instead.

    Args:
        variable: Its name in TensorFlow.
        name: Its name here.
        value: What it holds.
    """
    if value.ndim == 5:
        kernel = value.permute(4, 3, 0, 1, 2)
        if ".conv2d." not in name:
            return kernel
        return kernel.squeeze(4 if ".conv_2." in name else 2)
    if value.ndim == 4:
        is_depthwise = variable.split(":")[0].endswith("depthwise_kernel")
        return value.permute(2, 3, 0, 1) if is_depthwise else value.permute(3, 2, 0, 1)
    return value


def convert_tensorflow_variables(
    variables: Mapping[str, Tensor | NDArray[np.generic]], names: Collection[str]
) -> dict[str, Tensor]:
    """Variables of a MoViNet under the names and in the layout of `MoViNet` or `MoViNetStream`.

    That nothing is missing is for the strict `load_state_dict` to say; `num_batches_tracked` always is, as
    TensorFlow does not count. `load_official` reads whole checkpoints, and checks all of it.

    Args:
        variables: Name in TensorFlow, with or without `:0`, -> value.
        names: Of the state dict to be filled.

    Raises:
        MissingKeyError: A variable has no place of its own in it.
    """
    converted: dict[str, Tensor] = {}
    unknown = []
    for variable, value in variables.items():
        name = rename_tensorflow(variable, names)
        if name is None or name in converted:
            unknown.append(variable)
        else:
            converted[name] = reshape_tensorflow(variable, name, torch.as_tensor(value))
    if unknown:
        raise MissingKeyError(
            "variables of a MoViNet like the backbone's were expected, "
            f"found {len(unknown)} without a place of their own in it: {', '.join(unknown)}"
        )
    return converted


def _candidates(path: str) -> list[str]:
    layer = LAYER.fullmatch(path)
    if layer:
        block, index, old_block, old_index, rest = layer.groups()
        front = f"blocks.b{block or old_block}_l{index or old_index}"
        if rest.rpartition("/")[2] == "scale":
            return [f"{front}.alpha"]
        units = next((UNITS[part] for part in rest.split("/") if part in UNITS), ())
        return _leaves([f"{front}.{unit}" for unit in units], rest)
    for pattern, places in PLACES:
        match = pattern.fullmatch(path)
        if match:
            return _leaves(list(places), match[1])
    return []


def _leaves(places: list[str], rest: str) -> list[str]:
    """Full names: the temporal half of a stream's convolution is its second step."""
    step = "conv_2" if "temporal" in rest else "conv_1"
    leaves = LEAVES.get(rest.rpartition("/")[2], ())
    return [f"{place}.{step}.{leaf}" for place in places for leaf in leaves]
