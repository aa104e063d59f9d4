"""What the device computes with, and the times that are measured on it."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from approxbit.datasets.digits import ACTION_CLASSES, JOINT_CLASSES, TASK
from approxbit.edge.arms import EdgeArm
from approxbit.edge.device import Device, open_device
from approxbit.edge.measure import refresh_times
from approxbit.edge.transport import GrpcTransport, LocalTransport
from approxbit.engines.artefact import ArtefactError, load_card, save_card
from approxbit.engines.prepared import load_prepared
from approxbit.exporting.prepare import prepare_family
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import LUT, LUTRow
from approxbit.server.loading import load_service
from approxbit.wire import AnswerKind, Logits, Request, TopK, Wanted
from approxbit.zoo import load_backbone


@pytest.fixture(scope="module")
def device(prepared: Path) -> Device:
    return open_device(prepared)


@pytest.fixture(scope="module")
def torch_device(checkpoints: Path) -> Device:
    return open_torch_device("digits-tiny", checkpoints)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (3, 4, 64, 64, 3), dtype=np.uint8))


CODES = ("8-Enc-B3", "4-NoEnc-B5")
VIDEOS = tuple(f"h264-{preset}-crf{crf}" for preset in ("superfast", "veryslow") for crf in (23, 32, 40))
ALL_LOGITS = Request(wanted=Wanted(AnswerKind.LOGITS, 0))


def test_a_device_knows_its_arms(device: Device, checkpoints: Path) -> None:
    names = [arm.name for arm in device.arms]
    assert set(names) == {"edge-only", "server-only", *VIDEOS, *CODES}
    assert len(names) == len(set(names))
    assert device.clip_format.frames_shape == (4, 32, 32, 3)
    assert device.task == TASK
    feature_shape = load_backbone("digits-tiny", checkpoints).feature_shape("B3")
    assert device.feature_bytes["8-Enc-B3"] == 4 * math.prod(feature_shape)
    assert device.backend == f"onnxruntime {metadata.version('onnxruntime')}"
    with pytest.raises(
        ValueError, match=r"expected one of the arms edge-only, server-only, .*, found 'mjpeg'"
    ):
        device.arm("mjpeg")


def code_of(arm: EdgeArm, frames: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.frombuffer(arm.encode(frames).code, np.uint8))


def logits_of(device: Device, frames: np.ndarray) -> np.ndarray:
    answer = device.arm("edge-only").encode(frames, ALL_LOGITS).answer
    assert isinstance(answer, Logits)
    return answer.values


def test_both_engines_know_the_same_and_answer_alike(
    device: Device, torch_device: Device, clips: list[np.ndarray]
) -> None:
    for name in ("clip_format", "task", "feature_bytes", "num_threads"):
        assert getattr(device, name) == getattr(torch_device, name), name
    assert torch_device.backend.startswith("torch ")
    frames = device.clip_format.crop(clips[0])
    assert logits_of(device, frames) == pytest.approx(logits_of(torch_device, frames), abs=1e-4)
    for ours, theirs in zip(device.arms, torch_device.arms, strict=True):
        assert (ours.name, ours.code_format) == (theirs.name, theirs.code_format)
        # rounding may flip a bit that is next to the threshold
        assert (code_of(ours, frames) != code_of(theirs, frames)).sum() <= 1


def test_a_family_without_codecs_has_a_device_of_torch_only(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("backbone.json", "backbone.safetensors"):
        (tmp_path / "bare" / name).write_bytes((checkpoints / "digits-tiny" / name).read_bytes())
    card = tmp_path / "bare" / "backbone.json"
    card.write_text(card.read_text().replace('"name": "digits-tiny"', '"name": "bare"'))
    arms = [arm.name for arm in open_torch_device("bare", tmp_path).arms]
    assert arms[:2] == ["edge-only", "server-only"]
    assert all(name.startswith("h264-") for name in arms[2:])
    service = load_service("bare", tmp_path, 1)
    assert sorted(service.arms) == ["clip", "h264.h264"]
    with pytest.raises(ValueError, match="bare must have at least one configuration, found none: graphs"):
        prepare_family("bare", tmp_path)


def test_an_artefact_under_another_ones_name_is_refused(prepared: Path, tmp_path: Path) -> None:
    family = load_prepared(prepared)
    first, second = family.artefacts.values()
    swapped = replace(family, artefacts={"8-Enc-B3": second, "4-NoEnc-B5": first})
    with pytest.raises(ArtefactError, match=r"expected the configuration .*, found"):
        swapped.open_runners()


def test_an_artefact_of_another_backbone_is_refused(prepared: Path, tmp_path: Path) -> None:
    family = load_prepared(prepared)
    other = shutil.copytree(family.artefacts["8-Enc-B3"], tmp_path / "other")
    card = load_card(other)
    save_card(replace(card, clip_format=replace(card.clip_format, fingerprint=7)), other)
    mixed = replace(family, artefacts={**family.artefacts, "8-Enc-B3": other})
    mixed = replace(mixed, whole=family.artefacts["4-NoEnc-B5"])
    with pytest.raises(ArtefactError, match=r"expected the backbone .*, found 0000000000000007"):
        mixed.open_runners()


def test_answers_are_ranked_by_probability(device: Device) -> None:
    logits = np.zeros(len(JOINT_CLASSES), np.float32)
    logits[[31, 7]] = 9, 8
    ranked = device.rank(Logits(logits))
    assert [label for label, _ in ranked[:2]] == [JOINT_CLASSES[31], JOINT_CLASSES[7]]
    assert sum(share for _, share in ranked) == pytest.approx(1)
    assert [label for label, _ in device.rank(TopK.of_logits(logits, 2))] == [
        label for label, _ in ranked[:2]
    ]


def test_codecs_for_a_coarser_label_set_answer_in_it(device: Device) -> None:
    logits = np.zeros(len(JOINT_CLASSES), np.float32)
    logits[40:50] = 3  # action 4, whichever digit
    logits[99] = 4
    ranked = replace(device, task=TASK.asking("actions")).rank(Logits(logits))
    assert len(ranked) == len(ACTION_CLASSES)
    assert ranked[0][0] == ACTION_CLASSES[4]


def test_times_are_measured_and_accuracies_kept(
    device: Device, checkpoints: Path, clips: list[np.ndarray], lut: LUT
) -> None:
    transport = LocalTransport(load_service("digits-tiny", checkpoints, 1))
    extra = replace(lut, rows=(*lut.rows, LUTRow("mjpeg", 1, 1, 1, 1, 1, 50)))
    fresh = refresh_times(extra, device, transport, clips, "this machine", pause_s=0)
    assert fresh.arms == lut.arms
    assert [row.scores for row in fresh.rows] == [row.scores for row in lut.rows]
    assert "this machine" in fresh.device
    assert "accuracies of 2026-01-01" in fresh.device
    assert (fresh.backend, fresh.threads) == (device.backend, 1)
    assert [row.payload_bytes for row in fresh.rows] == [row.payload_bytes for row in lut.rows]
    for row in fresh.rows:
        assert row.edge_ms + row.server_ms > 0
        assert (row.arm in ("edge-only", *CODES)) == (row.edge_ms > 0)
        assert row.crosses_link == (row.server_ms > 0)
        assert row.encode_ms > 0


def test_times_need_an_arm_and_clips(device: Device, clips: list[np.ndarray], lut: LUT) -> None:
    transport = GrpcTransport("127.0.0.1:1")  # never called
    other = replace(lut, rows=(LUTRow("mjpeg", 1, 1, 1, 1, 1, 50),))
    with pytest.raises(ValueError, match="must have an arm that the device can run, found mjpeg"):
        refresh_times(other, device, transport, clips, "")
    with pytest.raises(ValueError, match="expected more than 1 clips, found 1"):
        refresh_times(lut, device, transport, clips[:1], "")
