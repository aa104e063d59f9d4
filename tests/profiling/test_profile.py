import math
from importlib import metadata
from statistics import mean

import numpy as np
import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.offload.runners import torch_whole
from approxbit.profiling import profile_family
from approxbit.profiling.accuracy import compute_answers
from approxbit.profiling.timing import Side, measure_times
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY
from approxbit.training.prior_family import fit_prior
from approxbit.wire import pack
from approxbit.wire.coding import encode_planes

CONFIGURATIONS = ("4-Enc-B5", "2-NoEnc-B5", "4-Enc-B3")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A family of random weights."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("checkpoints")
    backbone = zoo.build_backbone("movinet_digits", {})
    zoo.save_backbone(root / "tiny", backbone, builder="movinet_digits", label_set="action_digit")
    for name in CONFIGURATIONS:
        configuration = Configuration.parse(name)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration)
        zoo.save_codec(root / "tiny", codec.eval())
    return root


@pytest.fixture(scope="module")
def lut(checkpoints, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return profile_family(
        "tiny", num_clips=6, num_timed=2, checkpoints=checkpoints, cache=cache, backend="torch"
    )


@pytest.fixture(scope="module")
def onnx_lut(checkpoints, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return profile_family("tiny", num_clips=6, num_timed=2, checkpoints=checkpoints, cache=cache)


def test_there_is_a_row_for_every_configuration_and_both_ends(lut):
    assert set(lut.arms) == {EDGE_ONLY, SERVER_ONLY, *CONFIGURATIONS}
    assert lut.family == "tiny"
    assert lut.num_clips == 6
    assert lut.accuracy_names == ("action_digit", "actions")


def test_payloads_are_those_of_the_packed_codes(lut):
    backbone = zoo.build_backbone("movinet_digits", {})
    for name in CONFIGURATIONS:
        configuration = Configuration.parse(name)
        shape = backbone.feature_shape(configuration.offload_point)
        row = lut.row(name)
        assert row.payload_bytes == row.raw_bytes == configuration.payload_bytes(shape)
    assert lut.row(SERVER_ONLY).payload_bytes == math.prod(backbone.clip_shape)
    assert lut.row(EDGE_ONLY).payload_bytes == 0


def test_all_parts_of_a_configuration_take_time(lut):
    for name in CONFIGURATIONS:
        row = lut.row(name)
        assert min(row.edge_ms, row.encode_ms, row.decode_ms, row.server_ms) > 0
    assert min(lut.row(EDGE_ONLY).edge_ms, lut.row(SERVER_ONLY).server_ms) > 0


def test_the_edge_side_is_onnx_runtimes_unless_torch_is_asked_for(lut, onnx_lut):
    assert lut.backend == f"torch {torch.__version__}"
    assert onnx_lut.backend == f"onnxruntime {metadata.version('onnxruntime')}"
    assert onnx_lut.arms == lut.arms
    for ours, theirs in zip(onnx_lut.rows, lut.rows, strict=True):
        assert (ours.payload_bytes, ours.accuracies) == (theirs.payload_bytes, theirs.accuracies)
    for name in CONFIGURATIONS:
        row = onnx_lut.row(name)
        assert min(row.edge_ms, row.decode_ms, row.server_ms) > 0
        assert row.encode_ms < row.edge_ms  # one graph: only the packet is made outside of it
    assert onnx_lut.row(EDGE_ONLY).edge_ms > 0


def test_an_unknown_backend_is_refused(checkpoints):
    with pytest.raises(ValueError, match="expected the backend onnxruntime or torch, found 'tpu'"):
        profile_family("tiny", checkpoints=checkpoints, backend="tpu")


def test_the_lut_survives_its_file(lut, tmp_path):
    lut.save(tmp_path / "lut.json")
    assert LUT.load(tmp_path / "lut.json") == lut


def test_answers_are_those_of_the_models_one_by_one(checkpoints):
    models = zoo.load_family("tiny", checkpoints)
    backbone = next(iter(models.values())).backbone
    clip = torch.rand(3, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(3)
    outcome = compute_answers(backbone, models, [(clip[:2], labels[:2]), (clip[2:], labels[2:])])
    assert torch.equal(outcome.labels, labels)
    answers = outcome.answers
    for name, model in models.items():
        assert torch.allclose(answers[name], torch.cat([model(clip[:2]), model(clip[2:])]), atol=1e-5)
    assert torch.allclose(answers[EDGE_ONLY], backbone(clip), atol=1e-5)


def test_times_are_medians_without_the_first_clips(checkpoints):
    models = zoo.load_family("tiny", checkpoints)
    whole = torch_whole(next(iter(models.values())).backbone, 1)
    edge = Side(whole, {name: model.edge_runner(1) for name, model in models.items()})
    server = Side(whole, {name: model.server_runner(1) for name, model in models.items()})
    whole_ms, times = measure_times(edge, server, [np.zeros((3, 16, 64, 64), np.float32)])
    assert min(whole_ms.edge_ms, whole_ms.server_ms) > 0
    assert set(times) == set(models)


@pytest.mark.parametrize("option", ["num_clips", "num_timed", "num_threads"])
def test_nothing_to_measure_is_refused(checkpoints, option):
    with pytest.raises(ValueError, match=f"expected {option} to be at least 1, found 0"):
        profile_family("tiny", checkpoints=checkpoints, **{option: 0})


def test_a_family_of_another_data_set_is_refused(checkpoints, tmp_path):
    backbone = zoo.build_backbone("movinet_digits", {})
    zoo.save_backbone(tmp_path / "other", backbone, builder="movinet_digits", label_set="ssv2")
    configuration = Configuration.parse("4-Enc-B5")
    zoo.save_codec(tmp_path / "other", Codec(backbone.feature_shape("B5"), configuration).eval())
    with pytest.raises(ValueError, match="other answers 'ssv2', expected 'action_digit' or 'actions'"):
        profile_family("other", checkpoints=tmp_path)


def test_payloads_of_a_codec_with_a_prior_are_those_of_its_coded_codes(checkpoints):
    models = zoo.load_family("tiny", checkpoints)
    model = models[CONFIGURATIONS[0]]
    clip = torch.rand(3, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
    code = model.encode(clip)
    prior = fit_prior(model, code, "fast", num_steps=20)
    model.prior = prior.freeze()
    outcome = compute_answers(model.backbone, {CONFIGURATIONS[0]: model}, [(clip, torch.arange(3))])
    lengths = [len(encode_planes(each, model.prior)[1]) for each in code.to_planes().numpy()]
    assert outcome.payload_bytes[CONFIGURATIONS[0]] == round(mean(lengths), 2)
    whole = torch_whole(model.backbone, 1)
    edge = Side(whole, {CONFIGURATIONS[0]: model.edge_runner(1)})
    server = Side(whole, {CONFIGURATIONS[0]: model.server_runner(1)})
    _, times = measure_times(edge, server, [np.zeros((3, 16, 64, 64), np.float32)])
    assert times[CONFIGURATIONS[0]].raw_bytes == len(pack(code.to_planes()[0].numpy()))
    assert times[CONFIGURATIONS[0]].encode_ms > 0
