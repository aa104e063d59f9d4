import math
import shutil
from dataclasses import replace
from importlib import metadata
from statistics import mean

import pytest
import torch
from random_clips import RandomClips

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import TASK, DigitsClips
from approxbit.profiling import profile_family
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY
from approxbit.tasks import Classification, LabelSet
from approxbit.training.prior_family import fit_prior
from approxbit.wire.coding import encode_planes

TOYS = Classification((LabelSet("toys", tuple("abc")), LabelSet("pets", ("yes", "no"), (0, 1, 1))))
CONFIGURATIONS = ("4-Enc-B5", "2-NoEnc-B5", "4-Enc-B3")
VIDEOS = tuple(f"h264-{preset}-crf{crf}" for preset in ("superfast", "veryslow") for crf in (23, 32, 40))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A family of random weights."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("checkpoints")
    backbone = zoo.build_backbone("movinet_small", {})
    zoo.save_backbone(root / "tiny", backbone, builder="movinet_small", task=TASK)
    for name in CONFIGURATIONS:
        configuration = Configuration.parse(name)
        codec = Codec(backbone.feature_shape(configuration.offload_point), configuration)
        zoo.save_codec(root / "tiny", codec.eval())
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return DigitsClips(num_validation=6, num_test=3, cache=str(cache))


@pytest.fixture(scope="module")
def lut(checkpoints, source):
    return profile_family("tiny", source, num_timed=2, checkpoints=checkpoints, backend="torch")


@pytest.fixture(scope="module")
def onnx_lut(checkpoints, source, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROXBIT_CACHE", str(tmp_path_factory.mktemp("artefacts")))
        return profile_family("tiny", source, num_timed=2, checkpoints=checkpoints)


def test_there_is_a_row_for_every_arm(lut):
    assert set(lut.arms) == {EDGE_ONLY, SERVER_ONLY, *VIDEOS, *CONFIGURATIONS}
    assert lut.family == "tiny"
    assert (lut.split, lut.num_clips) == ("validation", 6)
    assert lut.figures == TASK.figures
    assert all(tuple(row.scores) == TASK.figures for row in lut.rows)
    assert all(row.accuracy == row.scores["top1_action_digit"] for row in lut.rows)


def test_payloads_are_those_of_the_packed_codes(lut):
    backbone = zoo.build_backbone("movinet_small", {})
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
    for name in (EDGE_ONLY, SERVER_ONLY, *CONFIGURATIONS):
        ours, theirs = onnx_lut.row(name), lut.row(name)
        assert (ours.payload_bytes, ours.scores) == (theirs.payload_bytes, theirs.scores)
    for name in CONFIGURATIONS:
        row = onnx_lut.row(name)
        assert min(row.edge_ms, row.decode_ms, row.server_ms) > 0
        assert row.encode_ms < row.edge_ms  # one graph: only the packet is made outside of it
    assert onnx_lut.row(EDGE_ONLY).edge_ms > 0


def test_times_alone_are_measured_for_a_lut_that_is_known(checkpoints, source, lut):
    rows = tuple(replace(row, accuracy=1.5, scores={}, edge_ms=1e6) for row in lut.rows)
    known = replace(lut, rows=rows, date="2020-02-02")
    timed = profile_family("tiny", source, num_timed=2, checkpoints=checkpoints, backend="torch", known=known)
    assert {row.accuracy for row in timed.rows} == {1.5}
    assert all(row.edge_ms < 1e6 for row in timed.rows)
    assert (timed.num_clips, timed.date > "2020-02-02") == (lut.num_clips, True)
    assert timed.device.endswith("; bytes and scores of 2020-02-02")
    fewer = replace(known, rows=known.rows[1:])
    with pytest.raises(ValueError, match="measure all of it"):
        profile_family("tiny", source, num_timed=2, checkpoints=checkpoints, backend="torch", known=fewer)


def test_an_unknown_backend_is_refused(checkpoints):
    with pytest.raises(ValueError, match="expected the backend onnxruntime or torch, found 'tpu'"):
        profile_family("tiny", checkpoints=checkpoints, backend="tpu")


def test_the_lut_survives_its_file(lut, tmp_path):
    lut.save(tmp_path / "lut.json")
    assert LUT.load(tmp_path / "lut.json") == lut


def test_compressed_video_stands_beside_the_codes(lut):
    for name in VIDEOS:
        row = lut.row(name)
        assert row.edge_ms == 0
        assert min(row.encode_ms, row.decode_ms, row.server_ms) > 0
        assert row.raw_bytes is None
    for preset in ("superfast", "veryslow"):
        sizes = [lut.row(f"h264-{preset}-crf{crf}").payload_bytes for crf in (23, 32, 40)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] < lut.row(SERVER_ONLY).payload_bytes


def test_scores_are_those_of_the_models_one_by_one(checkpoints, source, lut):
    models = zoo.load_family("tiny", checkpoints)
    backbone = next(iter(models.values())).backbone
    ((clip, labels),) = source.loader("validation", 6)
    for name, model in {EDGE_ONLY: backbone, **models}.items():
        with torch.inference_mode():
            right = (model(clip).argmax(dim=1) == labels).float().mean().item()
        assert lut.row(name).scores["top1_action_digit"] == round(100 * right, 3)


@pytest.mark.parametrize("option", ["num_clips", "num_timed", "num_threads"])
def test_nothing_to_measure_is_refused(checkpoints, option):
    with pytest.raises(ValueError, match=f"expected {option} to be at least 1, found 0"):
        profile_family("tiny", checkpoints=checkpoints, **{option: 0})


@pytest.fixture
def own_family(tmp_path):
    """A family of three toys."""
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(tmp_path / "own", backbone, "movinet_small", arguments, TOYS)
    codec = Codec(backbone.feature_shape("B5"), Configuration.parse("4-Enc-B5"))
    zoo.save_codec(tmp_path / "own", codec.eval(), asked="pets")
    return tmp_path


def test_any_family_is_measured_on_clips_of_its_own(own_family):
    source = RandomClips(TOYS, num_clips=5)
    found = profile_family("own", source, "test", 4, 1, checkpoints=own_family, backend="torch")
    assert (found.split, found.num_clips, found.figures) == ("test", 4, ("top1_pets", "top1_toys"))
    backbone = zoo.load_backbone("own", own_family)
    clips, labels = source.clips("test")[:4]
    with torch.inference_mode():
        logits = backbone((clips - backbone.mean[0]) / backbone.std[0])
    assert found.row(EDGE_ONLY).scores == TOYS.asking("pets").score(logits.numpy(), labels.numpy())
    assert found.row(SERVER_ONLY).payload_bytes == 3 * 4 * 32 * 32


def test_a_family_whose_cards_name_no_data_needs_a_source(own_family):
    with pytest.raises(ValueError, match="the cards of own do not say which clips it was trained on"):
        profile_family("own", checkpoints=own_family)
    with pytest.raises(ValueError, match=r"data of the model's classes a, b, c, \.\.\., found those of"):
        profile_family("own", RandomClips(Classification.of_names("xyz")), checkpoints=own_family)
    with pytest.raises(ValueError, match="expected one of the splits train, validation, test, found 'dev'"):
        profile_family("own", RandomClips(TOYS), "dev", checkpoints=own_family)


def test_payloads_of_a_codec_with_a_prior_are_those_of_its_coded_codes(checkpoints, source, tmp_path):
    root = shutil.copytree(checkpoints / "tiny", tmp_path / "coded" / "tiny").parent
    models = zoo.load_family("tiny", root)
    name, model = next(iter(models.items()))
    ((clip, _),) = source.loader("validation", 6)
    code = model.encode(clip)
    zoo.save_prior(f"tiny/{name}", fit_prior(model, code, "fast", num_steps=20).freeze(), checkpoints=root)
    coded = zoo.load_family("tiny", root)[name]
    row = profile_family("tiny", source, num_timed=1, checkpoints=root, backend="torch").row(name)
    lengths = [len(encode_planes(each, coded.prior)[1]) for each in code.to_planes().numpy()]
    assert row.payload_bytes == round(mean(lengths), 2)
    assert row.raw_bytes == coded.codec.configuration.payload_bytes(coded.codec.feature_shape)
