from __future__ import annotations

import importlib.util
import io
import shutil
import tarfile
import zlib
from functools import cache

import numpy as np
import pytest
import torch

from approxbit.backbones.movinet import movinet
from approxbit.backbones.movinet_table import ARCHITECTURES
from approxbit.backbones.official import tensorflow_files
from approxbit.backbones.official.loading import load_official
from approxbit.backbones.official.movinet_tensorflow import convert_tensorflow_variables, rename_tensorflow
from approxbit.errors import MissingKeyError, WeightsError

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow, which no extra installs"
)


@cache
def names_of(name: str, streaming: bool = False) -> frozenset[str]:
    with torch.device("meta"):
        return frozenset(movinet(name, streaming=streaming).state_dict())


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
def test_variables_of_a3_find_their_names(variable, expected):
    # A3 and A5 change channels in b3_l0 without a stride.
    assert rename_tensorflow(variable, names_of("a3")) == expected


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
def test_variables_of_a_stream_find_their_names(variable, expected):
    names = names_of("a0", streaming=True)
    assert rename_tensorflow(variable, names) == (expected and f"blocks.b1_l0.{expected}")


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name.startswith("a")])
@pytest.mark.parametrize("streaming", [False, True])
def test_all_names_of_the_published_models_are_reached(samples, name, streaming):
    with torch.device("meta"):
        model = movinet(name, streaming=streaming)
        variables = samples.tensorflow_variables(model, generation=1)
    state = model.state_dict()
    converted = convert_tensorflow_variables(variables, state.keys())
    assert {name: value.shape for name, value in converted.items()} == {
        name: value.shape for name, value in state.items() if not name.endswith("num_batches_tracked")
    }


def test_kernels_turn_their_axes():
    name, kernel = "blocks.b0_l0.expand.conv_1.conv3d.weight", np.arange(2 * 3 * 4 * 5 * 6.0)
    kernel = kernel.reshape(2, 3, 4, 5, 6)  # time, height, width, in, out
    (converted,) = convert_tensorflow_variables(
        {"b0/l0/bneck/expansion/conv3d/kernel": kernel}, [name]
    ).values()
    assert converted[5, 4, 1, 2, 3] == kernel[1, 2, 3, 4, 5]

    name, kernel = "blocks.b0_l0.deep.conv_1.conv2d.weight", np.arange(2 * 3 * 4.0).reshape(2, 3, 4, 1)
    variable = "b0/l0/bneck/feature/conv2d/depthwise_conv2d/depthwise_kernel"
    (converted,) = convert_tensorflow_variables({variable: kernel}, [name]).values()
    assert converted[3, 0, 1, 2] == kernel[1, 2, 3, 0]

    name, kernel = "conv7.conv_1.conv2d.weight", np.arange(4 * 5.0).reshape(1, 1, 4, 5)
    (converted,) = convert_tensorflow_variables(
        {"head/project/conv2d/conv2d/kernel": kernel}, [name]
    ).values()
    assert converted[4, 3, 0, 0] == kernel[0, 0, 3, 4]


def test_variables_without_a_place_are_named():
    variables = {"step": np.zeros(1), "b0/l0/scale": np.zeros(()), "block0_layer0/scale": np.zeros(())}
    with pytest.raises(
        MissingKeyError, match="found 2 without a place of their own in it: step, block0_layer0"
    ):
        convert_tensorflow_variables(variables, ["blocks.b0_l0.alpha"])


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")  # what TensorFlow has to say about itself
@pytest.mark.parametrize("form", ["folder", "prefix", "tar", "saved_model"])
@pytest.mark.parametrize("variant", ["movinet", "stream"])
def test_checkpoints_that_tensorflow_writes_are_read(samples, tmp_path, form, variant):
    import tensorflow as tf

    theirs, ours = getattr(samples, variant)(seed=1), getattr(samples, variant)(seed=2)
    variables = samples.tensorflow_variables(theirs, generation=1)
    module = tf.Module()
    module.kept = [tf.Variable(value.numpy(), name=name[:-2]) for name, value in variables.items()]
    if form == "saved_model":
        tf.saved_model.save(module, str(tmp_path / "saved"))
        path = tmp_path / "saved"
    else:
        optimizer = tf.Module()
        optimizer.momentum = tf.Variable(0.9, name="momentum")
        checkpoint = tf.train.Checkpoint(model=module, optimizer=optimizer)
        prefix = checkpoint.save(str(tmp_path / "movinet" / "ckpt"))
        path = tmp_path / "movinet" if form == "folder" else tmp_path / prefix
    if form == "tar":
        path = shutil.make_archive(str(tmp_path / "movinet"), "gztar", tmp_path, "movinet")
    report = load_official(ours, path)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert (report.origin, report.sha256 is None) == ("tensorflow", form != "tar")
    of_training = [each.keys for each in report.left_out if each.reason == "of the training"]
    assert len(of_training) == (form != "saved_model")


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_variables_without_names_of_their_own_are_refused(samples, tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.kept = [tf.Variable(1.0, name="kernel"), tf.Variable(2.0, name="kernel")]
    tf.train.Checkpoint(model=module).save(str(tmp_path / "ckpt"))
    with pytest.raises(
        WeightsError, match="found 2 variables with 1 names; save them from a model of Keras 2"
    ):
        load_official(samples.movinet(), tmp_path)


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_checkpoint_is_refused(samples, tmp_path):
    (tmp_path / "ckpt-1.index").write_bytes(bytes(100))
    with pytest.raises(WeightsError, match="is a damaged TensorFlow checkpoint"):
        load_official(samples.movinet(), tmp_path)


def test_without_tensorflow_the_error_says_what_to_install(samples, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    (tmp_path / "ckpt-1.index").touch()
    for path in (tmp_path, tmp_path / "ckpt-1"):
        with pytest.raises(ImportError, match=r"ckpt-1|pip install tensorflow$"):
            load_official(samples.movinet(), path)


def test_a_folder_without_a_checkpoint_is_refused(samples, tmp_path):
    with pytest.raises(WeightsError, match=r"a TensorFlow checkpoint was expected, found no \.index file"):
        load_official(samples.movinet(), tmp_path)


def test_a_hash_cannot_be_promised_for_a_folder(samples, tmp_path):
    with pytest.raises(ValueError, match=r"sha256 can be checked for one file, found .*, which is several"):
        load_official(samples.movinet(), tmp_path, sha256="0" * 64)


def test_the_checkpoint_with_the_highest_number_is_taken(samples, tmp_path):
    for number in (9, 10, 2):
        (tmp_path / f"ckpt-{number}.index").touch()
    assert tensorflow_files.find_prefix(tmp_path).name == "ckpt-10"


def test_an_archive_without_a_checkpoint_is_refused(samples, tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    for form in ("gztar", "tar"):
        archive = shutil.make_archive(str(tmp_path / "movinet"), form, tmp_path, "readme.txt")
        with pytest.raises(WeightsError, match=r"movinet.*: a TensorFlow checkpoint was expected, found no"):
            load_official(samples.movinet(), archive)


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b garbage", b"\x1f\x8b\x08\x00" + zlib.compress(bytes(999))[:9]]
)
def test_a_damaged_archive_is_refused(samples, tmp_path, content):
    (tmp_path / "m.tar.gz").write_bytes(content)
    with pytest.raises(WeightsError, match="is a damaged or incomplete tar file"):
        load_official(samples.movinet(), tmp_path / "m.tar.gz")


def test_an_archive_that_leaves_its_folder_is_refused(samples, tmp_path):
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        member = tarfile.TarInfo("../outside.index")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(WeightsError, match=r"damaged or incomplete tar file: .*outside"):
        load_official(samples.movinet(), tmp_path / "m.tar")


def test_an_archive_of_too_many_bytes_is_refused(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorflow_files, "MAX_UNPACKED_BYTES", 1000)
    (tmp_path / "zeros").write_bytes(bytes(1001))
    archive = shutil.make_archive(str(tmp_path / "bomb"), "gztar", tmp_path, "zeros")
    with pytest.raises(WeightsError, match="at most 1,000 bytes were expected in it, found 1,001"):
        load_official(samples.movinet(), archive)
