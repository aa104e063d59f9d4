"""What cannot be inspected, and how likeness is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_clips import RandomClips

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.profiling import inspect_codec
from approxbit.profiling.likeness import describe_likeness
from approxbit.tasks import Classification, LabelSet

ACTS = Classification(
    (LabelSet("acts", ("bow", "nod", "wave")), LabelSet("halves", ("low", "high"), class_of=(0, 0, 1)))
)


@pytest.fixture(scope="module")
def own_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone of three acts, and a codec that was trained for their halves."""
    root = tmp_path_factory.mktemp("checkpoints")
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(root / "own", backbone, "movinet_small", arguments, ACTS)
    codec = Codec(backbone.feature_shape("B3"), Configuration.parse("4-Enc-B3"))
    zoo.save_codec(root / "own", codec.eval(), asked="halves")
    return root


@pytest.mark.parametrize("argument", ["num_clips", "num_importance"])
def test_fewer_than_one_clip_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=f"expected {argument} to be at least 1, found 0"):
        inspect_codec("digits-movinet/16-Enc-B5", **{argument: 0})


def test_a_codec_whose_card_names_no_data_needs_a_source(own_family: Path) -> None:
    with pytest.raises(ValueError, match="the cards of own/4-Enc-B3 do not say which clips it was trained"):
        inspect_codec("own/4-Enc-B3", checkpoints=own_family)


def test_the_codes_of_clips_of_ones_own_are_described(own_family: Path) -> None:
    source = RandomClips(ACTS, num_clips=9)
    found = inspect_codec("own/4-Enc-B3", source, "validation", 8, 4, own_family)
    assert (found["source"], found["num_clips"]) == ("8 validation clips of noise", 8)
    assert found["importance"]["num_clips"] == 4
    assert 0 <= found["importance"]["accuracy"] <= 1
    assert list(found["nearest"]["agreement"]) == ["halves", "acts"]  # the one that is asked comes first
    assert [each["class"] for each in found["nearest"]["examples"]] == ["bow", "nod", "wave", "bow"]
    with pytest.raises(ValueError, match=r"data of the model's classes bow, nod, wave, \.\.\., found"):
        inspect_codec("own/4-Enc-B3", RandomClips(Classification.of_names("abc")), checkpoints=own_family)


def test_likeness_by_hand() -> None:
    """Clips 0 and 1 are of the same half, clip 2 of another one."""
    codes = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2])
    found = describe_likeness(codes, ["a", "b", "c"], labels, ACTS.asking("halves"), labels)
    assert found["agreement"] == {"halves": 0.6667, "acts": 0.0}
    assert found["chance"] == {"halves": 0.3333, "acts": 0.0}
    assert found["same"][1] == 1.0  # the one pair of the same half is one bit apart
    assert found["different"][3] == found["different"][4] == 0.5
    assert found["distance_edges"][:3] == [0.0, 1.0, 2.0]
    first = found["examples"][0]
    assert first["class"] == "bow"
    assert [(each["clip"], each["distance"]) for each in first["nearest"]] == [("b", 1), ("c", 4)]


def test_without_labels_the_answers_are_the_classes() -> None:
    codes = torch.tensor([[0], [0]], dtype=torch.uint8)
    unnamed = Classification.of_names()
    found = describe_likeness(codes, ["a", "b"], torch.tensor([1, 1]), unnamed, None)
    assert found["agreement"] == {"answer": 1.0}
    assert found["examples"][1]["class"] == "class 1"
    named = describe_likeness(codes, ["a", "b"], torch.tensor([1, 1]), ACTS.asking("halves"), None)
    assert named["examples"][1]["class"] == "high"  # the answer is one in the label set that is asked
