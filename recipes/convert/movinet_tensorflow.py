"""A checkpoint of MoViNet from the TensorFlow Model Garden as a safetensors file that `load_official` takes.

    pip install tensorflow
    curl -O https://storage.googleapis.com/tf_model_garden/vision/movinet/movinet_a2_base.tar.gz
    python recipes/convert/movinet_tensorflow.py movinet_a2 movinet_a2_base.tar.gz movinet_a2.safetensors

The first argument is the builder: `movinet_a0` to `movinet_a5`, or `movinet_a0_stream` to
`movinet_a2_stream`. (Stream weights of A3 to A5 are for a model that encodes the position of a frame; ours
does not.) The garden has `movinet_{size}_base` and `movinet_{size}_stream` (Kinetics-600) and
`movinet_{size}_base_k400`; none of these files was opened when this was written. A checkpoint may be a tar
file, a folder, a SavedModel, the prefix of its files, or a `.npz` of its variables by their names, which
needs no TensorFlow here.

Two generations of names are known: `b0/l1/bneck/...` of the published checkpoints and TF-Hub models, and
`block0_layer1/bneck/...` of later code.
"""

from __future__ import annotations

import argparse
import re
import sys
import tarfile
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from approxbit import zoo
from approxbit.backbones import LoadReport, load_official
from approxbit.errors import WeightsError
from approxbit.files import whole_file

Variables = Mapping[str, NDArray[Any]]

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Keys of what belongs to the training and not to the model.
TRAINING_KEY = re.compile(r"(optimizer|save_counter|global_step)/|.*/\.OPTIMIZER_SLOT/")
CLASSIFIER = "classifier.3.conv_1.conv{}d.weight"

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


def convert_checkpoint(builder: str, checkpoint: Path, target: Path) -> LoadReport:
    """Write the safetensors file, once a backbone has taken all of it.

    Raises:
        ValueError: The checkpoint is not the builder's, or cannot be read.
        WeightsError: It lacks a tensor of the backbone, or has one of another shape.
    """
    variables = read_variables(checkpoint)
    with torch.device("meta"):
        names = zoo.build_backbone(builder, {}).state_dict().keys()
    tensors = convert_variables(variables, names)
    heads = [tensors[CLASSIFIER.format(n)] for n in (2, 3) if CLASSIFIER.format(n) in tensors]
    backbone = zoo.build_backbone(builder, {"num_classes": len(heads[0])} if heads else {})
    with whole_file(target) as written:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, written)
        report = load_official(backbone, written)
    return replace(report, source=str(target))


def convert_variables(variables: Variables, names: Collection[str]) -> dict[str, Tensor]:
    """Variables of a MoViNet, with or without `:0`, under the names of a state dict and in its layout.

    Raises:
        ValueError: A variable has no place of its own in it.
    """
    converted: dict[str, Tensor] = {}
    unknown = []
    for variable, value in variables.items():
        name = rename(variable, names)
        if name is None or name in converted:
            unknown.append(variable)
        else:
            converted[name] = reshape(variable, name, torch.from_numpy(np.array(value)))
    if unknown:
        raise ValueError(
            "variables of a MoViNet like the backbone's were expected, "
            f"found {len(unknown)} without a place of their own in it: {', '.join(unknown)}"
        )
    return converted


def rename(variable: str, names: Collection[str]) -> str | None:
    """The name here of a variable, such as `b0/l0/bneck/expansion/conv3d/kernel:0`; None if there is none."""
    path = variable.split(":")[0]
    return next((name for name in candidates(path) if name in names), None)


def reshape(variable: str, name: str, value: Tensor) -> Tensor:
    """The value of a variable in PyTorch's order of axes; what is no kernel stays as it is.

    Kernels are (time, height, width, in, out), (height, width, in, out) or, depthwise, (height, width, out,
    1). A stream model that was trained in 3-D has (1, height, width, ...) and (time, 1, 1, ...) instead.
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


def candidates(path: str) -> list[str]:
    layer = LAYER.fullmatch(path)
    if layer:
        block, index, old_block, old_index, rest = layer.groups()
        front = f"blocks.b{block or old_block}_l{index or old_index}"
        if rest.rpartition("/")[2] == "scale":
            return [f"{front}.alpha"]
        units = next((UNITS[part] for part in rest.split("/") if part in UNITS), ())
        return leaves_of([f"{front}.{unit}" for unit in units], rest)
    for pattern, places in PLACES:
        match = pattern.fullmatch(path)
        if match:
            return leaves_of(list(places), match[1])
    return []


def leaves_of(places: list[str], rest: str) -> list[str]:
    """Full names: the temporal half of a stream's convolution is its second step."""
    step = "conv_2" if "temporal" in rest else "conv_1"
    leaves = LEAVES.get(rest.rpartition("/")[2], ())
    return [f"{place}.{step}.{leaf}" for place in places for leaf in leaves]


def read_variables(path: Path) -> Variables:
    """The variables of a checkpoint by the names that they had in the model.

    Raises:
        ValueError: There is no checkpoint, or its variables have no names of their own.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    if not path.is_file():
        return read_checkpoint(find_prefix(path))
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
        return read_checkpoint(find_prefix(Path(folder)))


def find_prefix(path: Path) -> Path:
    """The checkpoint below a folder, without `.index`; of several, the one with the highest number."""
    if not path.is_dir():
        return path
    indices = sorted(path.rglob("*.index"), key=lambda index: (len(index.name), index.name))
    if not indices:
        raise ValueError(f"{path}: a TensorFlow checkpoint was expected, found no .index file")
    return indices[-1].with_suffix("")


def read_checkpoint(prefix: Path) -> Variables:
    """What TensorFlow finds in the files of one prefix, without what belongs to the training."""
    import tensorflow
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tensorflow.train.load_checkpoint(str(prefix))
    keys = set(reader.get_variable_to_shape_map())
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    if OBJECT_GRAPH in keys:
        graph.ParseFromString(reader.get_tensor(OBJECT_GRAPH))
    # TensorFlow 2 writes a graph that says which key of the checkpoint had which name in the model.
    attributes = [each for node in graph.nodes for each in node.attributes if each.name == "VARIABLE_VALUE"]
    named = {each.checkpoint_key: each.full_name for each in attributes} or {key: key for key in keys}
    wanted = {key: name for key, name in named.items() if key in keys and not TRAINING_KEY.match(key)}
    if len(set(wanted.values())) < len(wanted):
        raise ValueError(
            f"{prefix}: variables with a name each were expected, found {len(wanted)} variables with "
            f"{len(set(wanted.values()))} names; save them from a model of Keras 2"
        )
    return {name: reader.get_tensor(key) for key, name in wanted.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builder", choices=[name for name in zoo.BUILDERS if name.startswith("movinet_a")])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    try:
        print(convert_checkpoint(arguments.builder, arguments.checkpoint, arguments.target))
    except (ValueError, WeightsError) as error:
        sys.exit(str(error))
