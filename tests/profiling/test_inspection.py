"""What cannot be inspected, and how likeness is told."""

from __future__ import annotations

import pytest
import torch

from approxbit import zoo
from approxbit.datasets.digits import JOINT_CLASSES
from approxbit.profiling import inspect_codec
from approxbit.profiling.likeness import describe_likeness


@pytest.mark.parametrize("argument", ["num_clips", "num_importance"])
def test_fewer_than_one_clip_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=f"expected {argument} to be at least 1, found 0"):
        inspect_codec("digits-movinet/16-Enc-B5", **{argument: 0})


def test_a_codec_of_another_question_needs_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherCard:
        label_set = "kinetics-600"

    monkeypatch.setattr(zoo, "card", lambda name, checkpoints: OtherCard())
    with pytest.raises(ValueError, match="answers 'kinetics-600' and not a question of Digits-in-Motion"):
        inspect_codec("digits-movinet/16-Enc-B5")


def test_likeness_by_hand() -> None:
    """Clips 0 and 1 show the same action, clip 2 another one."""
    codes = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.uint8)
    labels = torch.tensor([0, 3, 10])
    found = describe_likeness(codes, ["a", "b", "c"], labels, JOINT_CLASSES, labels)
    assert found["agreement"] == {"actions": 0.6667, "action_digit": 0.0}
    assert found["chance"] == {"actions": 0.3333, "action_digit": 0.0}
    assert found["same"][1] == 1.0  # the one pair of the same action is one bit apart
    assert found["different"][3] == found["different"][4] == 0.5
    assert found["distance_edges"][:3] == [0.0, 1.0, 2.0]
    first = found["examples"][0]
    assert first["class"] == JOINT_CLASSES[0]
    assert [(each["clip"], each["distance"]) for each in first["nearest"]] == [("b", 1), ("c", 4)]


def test_without_labels_the_answers_are_the_classes() -> None:
    codes = torch.tensor([[0], [0]], dtype=torch.uint8)
    found = describe_likeness(codes, ["a", "b"], torch.tensor([1, 1]), (), None)
    assert found["agreement"] == {"answer": 1.0}
    assert found["examples"][1]["class"] == "class 1"
