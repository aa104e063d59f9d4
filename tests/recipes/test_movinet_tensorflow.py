"""The converter of TensorFlow's MoViNets. Here their names are made from ours, the other way round."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from approxbit import zoo
from approxbit.backbones import Backbone, MoViNetStream, load_official
from approxbit.errors import MissingKeyError, WeightsError

SCRIPT = Path(__file__).parents[2] / "recipes/convert/movinet_tensorflow.py"
SIZES = ("a0", "a1", "a2", "a3", "a4", "a5")
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow, which no extra installs"
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("movinet_tensorflow", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def lively(builder: str, seed: int) -> Backbone:
    """A backbone of which each number counts."""
    torch.manual_seed(seed)
    backbone = zoo.build_backbone(builder, {"num_classes": 7})
    for value in backbone.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) - 0.5 if value.ndim > 1 else 0.5 + torch.rand_like(value))
    return backbone


def tensorflow_variables(model: Backbone, generation: int) -> dict[str, Tensor]:
    """Generation 1 is that of the published files, 2 that of later code, 3 that of streams trained in 3-D."""
    variables = {}
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            variable = tensorflow_name(name, generation, is_stream=isinstance(model, MoViNetStream))
            variables[variable] = tensorflow_layout(name, variable, value)
    return variables


def tensorflow_name(name: str, generation: int, is_stream: bool) -> str:
    temporal = "_temporal" if ".conv_2." in name else ""
    pairs = [("conv1.conv", "stem/stem.conv"), ("conv7.", "head/project.")]
    pairs += [
        (f"classifier.{n}.", f"classifier_head/{part}.") for n, part in ((0, "head"), (3, "classifier"))
    ]
    layer = r"b\1/l\2" if generation == 1 else r"block\1_layer\2"
    name = re.sub(r"blocks\.b(\d+)_l(\d+)\.alpha", f"{layer}/scale", name)
    name = re.sub(r"blocks\.b(\d+)_l(\d+)\.", f"{layer}/bneck/", name)
    pairs += [("expand.", "expansion."), ("deep.", "feature."), ("bneck/project.", "bneck/projection.")]
    pairs += [("se.fc1.", "se/se_reduce."), ("se.fc2.", "se/se_expand.")]
    pairs += [("res.0.", "skip/skip_project."), ("res.1.", "skip/skip_project.")]
    pairs += [(".conv_1.", "/"), (".conv_2.", "/")]
    leaves = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    norm = f"conv2d{temporal}/bn{temporal}" if generation == 2 and is_stream else f"bn{temporal}"
    pairs += [(f"norm.{ours}", f"{norm}/{theirs}") for ours, theirs in leaves.items()]
    conv2d = "conv3d{}/" if generation == 3 else "conv2d{}/conv2d_3/"
    if "deep." in name and generation != 3:
        pairs += [("conv2d.weight", f"conv2d{temporal}/depthwise_conv2d/depthwise_kernel")]
    pairs += [
        ("conv2d.weight", conv2d.format(temporal) + "kernel"),
        ("conv2d.bias", conv2d.format("") + "bias"),
    ]
    pairs += [("conv3d.weight", "conv3d/kernel"), ("conv3d.bias", "conv3d/bias")]
    return replaced(name, pairs) + ":0"


def tensorflow_layout(name: str, variable: str, value: Tensor) -> Tensor:
    if value.ndim == 5:
        return value.permute(2, 3, 4, 1, 0)
    if value.ndim != 4:
        return value
    if "conv3d" in variable:
        lifted = value[..., None] if ".conv_2." in name else value[:, :, None]
        return lifted.permute(2, 3, 4, 1, 0)
    return value.permute(2, 3, 0, 1) if "depthwise" in variable else value.permute(2, 3, 1, 0)


def replaced(text: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


@cache
def names_of(builder: str) -> frozenset[str]:
    with torch.device("meta"):
        return frozenset(zoo.build_backbone(builder, {}).state_dict())


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("stem/stem/bn/gamma:0", "conv1.conv_1.norm.weight"),
        ("stem/stem/conv3d/kernel:0", "conv1.conv_1.conv3d.weight"),
        ("b1/l0/bneck/feature/conv3d/kernel:0", "blocks.b1_l0.deep.conv_1.conv3d.weight"),
        ("block1_layer0/bneck/feature/bn/moving_variance", "blocks.b1_l0.deep.conv_1.norm.running_var"),
        ("block1_layer0/bneck/se/se_reduce/conv3d/bias:0", "blocks.b1_l0.se.fc1.conv_1.conv3d.bias"),
        ("b1/l0/bneck/se/se_expand/conv3d/kernel:0", "blocks.b1_l0.se.fc2.conv_1.conv3d.weight"),
        ("b0/l0/bneck/skip/skip_project/bn/beta:0", "blocks.b0_l0.res.1.conv_1.norm.bias"),
        ("block3_layer0/bneck/skip/skip_project/bn/beta:0", "blocks.b3_l0.res.0.conv_1.norm.bias"),
        ("block1_layer0/scale:0", "blocks.b1_l0.alpha"),
        ("movinet/head/project/conv3d/kernel:0", "conv7.conv_1.conv3d.weight"),
        ("classifier_head/head/conv3d/bias:0", "classifier.0.conv_1.conv3d.bias"),
        ("classifier_head_1/classifier/conv3d/kernel:0", "classifier.3.conv_1.conv3d.weight"),
        ("b1/l0/bneck/feature/conv3d/kernel/Momentum:0", None),
        ("b9/l0/scale:0", None),
        ("global_step:0", None),
    ],
)
def test_variables_of_a3_find_their_names(script, variable, expected):
    # A3 and A5 change channels in b3_l0 without a stride.
    assert script.rename(variable, names_of("movinet_a3")) == expected


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("b1/l0/bneck/feature/conv2d/depthwise_conv2d/depthwise_kernel:0", "deep.conv_1.conv2d.weight"),
        (
            "b1/l0/bneck/feature/conv2d_temporal/depthwise_conv2d_1/depthwise_kernel",
            "deep.conv_2.conv2d.weight",
        ),
        ("b1/l0/bneck/feature/bn_temporal/gamma:0", "deep.conv_2.norm.weight"),
        ("block1_layer0/bneck/feature/conv2d_temporal/bn_temporal/gamma:0", "deep.conv_2.norm.weight"),
        ("block1_layer0/bneck/projection/conv2d/conv2d_3/kernel:0", "project.conv_1.conv2d.weight"),
        ("block1_layer0/bneck/skip/skip_project/conv2d/conv2d_4/kernel:0", "res.1.conv_1.conv2d.weight"),
        ("block1_layer0/bneck/se/pos_encoding/pos_encoding_scale:0", None),  # only A3 to A5 have it
    ],
)
def test_variables_of_a_stream_find_their_names(script, variable, expected):
    names = names_of("movinet_a0_stream")
    assert script.rename(variable, names) == (expected and f"blocks.b1_l0.{expected}")


@pytest.mark.parametrize(
    "builder", [f"movinet_{size}{variant}" for size in SIZES for variant in ("", "_stream")]
)
def test_all_names_of_the_published_models_are_reached(script, builder):
    state = zoo.build_backbone(builder, {}).state_dict()
    with torch.device("meta"):
        model = zoo.build_backbone(builder, {})
    variables = {
        name: np.broadcast_to(np.float32(0), value.shape)
        for name, value in tensorflow_variables(model, 1).items()
    }
    converted = script.convert_variables(variables, state.keys())
    assert {name: value.shape for name, value in converted.items()} == {
        name: value.shape for name, value in state.items() if not name.endswith("num_batches_tracked")
    }


def test_kernels_turn_their_axes(script):
    name, kernel = "blocks.b0_l0.expand.conv_1.conv3d.weight", np.arange(2 * 3 * 4 * 5 * 6.0)
    kernel = kernel.reshape(2, 3, 4, 5, 6)  # time, height, width, in, out
    (converted,) = script.convert_variables({"b0/l0/bneck/expansion/conv3d/kernel": kernel}, [name]).values()
    assert converted[5, 4, 1, 2, 3] == kernel[1, 2, 3, 4, 5]

    name, kernel = "blocks.b0_l0.deep.conv_1.conv2d.weight", np.arange(2 * 3 * 4.0).reshape(2, 3, 4, 1)
    variable = "b0/l0/bneck/feature/conv2d/depthwise_conv2d/depthwise_kernel"
    (converted,) = script.convert_variables({variable: kernel}, [name]).values()
    assert converted[3, 0, 1, 2] == kernel[1, 2, 3, 0]

    name, kernel = "conv7.conv_1.conv2d.weight", np.arange(4 * 5.0).reshape(1, 1, 4, 5)
    (converted,) = script.convert_variables({"head/project/conv2d/conv2d/kernel": kernel}, [name]).values()
    assert converted[4, 3, 0, 0] == kernel[0, 0, 3, 4]


def test_variables_without_a_place_are_named(script):
    variables = {"step": np.zeros(1), "b0/l0/scale": np.zeros(()), "block0_layer0/scale": np.zeros(())}
    with pytest.raises(ValueError, match="found 2 without a place of their own in it: step, block0_layer0"):
        script.convert_variables(variables, ["blocks.b0_l0.alpha"])


@pytest.mark.parametrize(
    ("builder", "generation"),
    [("movinet_a0", 1), ("movinet_a0", 2), *(("movinet_a0_stream", number) for number in (1, 2, 3))],
)
def test_variables_become_a_file_that_fills_a_backbone(script, tmp_path, builder, generation):
    theirs, ours = lively(builder, seed=1), lively(builder, seed=2)
    variables = tensorflow_variables(theirs, generation)
    np.savez(tmp_path / "variables.npz", **{name: value.numpy() for name, value in variables.items()})
    report = script.convert_checkpoint(builder, tmp_path / "variables.npz", tmp_path / "ours.safetensors")
    assert (report.num_tensors, report.source) == (len(variables), str(tmp_path / "ours.safetensors"))
    assert load_official(ours, tmp_path / "ours.safetensors").origin == "approxbit"
    for name, value in theirs.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(ours.state_dict()[name], value), name
    clip = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(ours(clip), theirs(clip))


def test_a_checkpoint_of_another_model_leaves_no_file(script, tmp_path):
    variables = tensorflow_variables(lively("movinet_a0", seed=1), 1)
    np.savez(tmp_path / "v.npz", **{name: value.numpy() for name, value in variables.items()})
    with pytest.raises(MissingKeyError, match=r"missing: .*deep.conv_2.conv2d.weight"):
        script.convert_checkpoint("movinet_a0_stream", tmp_path / "v.npz", tmp_path / "ours")
    with pytest.raises(ValueError, match="without a place of their own in it: "):
        script.convert_checkpoint("movinet_small", tmp_path / "v.npz", tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def write_checkpoint(form: str, folder: Path, variables: dict[str, Tensor]) -> Path:
    """A checkpoint, as TensorFlow writes it."""
    import tensorflow as tf

    module = tf.Module()
    module.kept = [tf.Variable(value.numpy(), name=name[:-2]) for name, value in variables.items()]
    if form == "saved_model":
        tf.saved_model.save(module, str(folder / "saved"))
        return folder / "saved"
    optimizer = tf.Module()
    optimizer.momentum = tf.Variable(0.9, name="momentum")
    checkpoint = tf.train.Checkpoint(model=module, optimizer=optimizer)
    prefix = checkpoint.save(str(folder / "movinet" / "ckpt"))
    if form == "tar":
        return Path(shutil.make_archive(str(folder / "movinet"), "gztar", folder, "movinet"))
    return folder / "movinet" if form == "folder" else Path(prefix)


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")  # what TensorFlow has to say about itself
@pytest.mark.parametrize("form", ["folder", "prefix", "tar", "saved_model"])
def test_checkpoints_that_tensorflow_writes_are_converted_and_loaded(tmp_path, form):
    theirs, ours = lively("movinet_a0_stream", seed=1), lively("movinet_a0_stream", seed=2)
    source = write_checkpoint(form, tmp_path, tensorflow_variables(theirs, generation=1))
    with pytest.raises(WeightsError, match="is converted, in a checkout of approxbit") as caught:
        load_official(ours, source)
    python, script, builder, path, target = shlex.split(str(caught.value).splitlines()[1])
    assert (python, SCRIPT.match(script), builder, path) == ("python", True, "movinet_a2", str(source))
    command = [sys.executable, SCRIPT, "movinet_a0_stream", path, tmp_path / target]
    subprocess.run(command, check=True)
    load_official(ours, tmp_path / target)
    clip = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(ours(clip), theirs(clip))


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_variables_without_names_of_their_own_are_refused(script, tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.kept = [tf.Variable(1.0, name="kernel"), tf.Variable(2.0, name="kernel")]
    tf.train.Checkpoint(model=module).save(str(tmp_path / "ckpt"))
    with pytest.raises(ValueError, match="found 2 variables with 1 names; save them from a model of Keras 2"):
        script.read_variables(tmp_path)


def test_the_checkpoint_with_the_highest_number_is_taken(script, tmp_path):
    with pytest.raises(ValueError, match=r"a TensorFlow checkpoint was expected, found no \.index file"):
        script.find_prefix(tmp_path)
    for number in (9, 10, 2):
        (tmp_path / f"ckpt-{number}.index").touch()
    assert script.find_prefix(tmp_path).name == "ckpt-10"
