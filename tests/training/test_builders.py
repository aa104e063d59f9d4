from __future__ import annotations

import pytest
import torch

from approxbit.backbones.movinet import MoViNet, movinet_small
from approxbit.errors import WrongShapeError
from approxbit.training.builders import find_backbone


@pytest.fixture
def published() -> MoViNet:
    torch.manual_seed(5)
    return movinet_small(num_classes=9)


def test_a_builder_takes_published_weights_by_path_and_address(published, tmp_path):
    path = tmp_path / "modelA0_statedict_v3"
    torch.save(published.state_dict(), path)
    for weights in (str(path), path.as_uri()):
        found = find_backbone("movinet_small", weights, {"num_classes": 9}).state_dict()
        assert all(torch.equal(found[name], value) for name, value in published.state_dict().items())


def test_weights_for_other_classes_are_refused(published, tmp_path):
    torch.save(published.state_dict(), tmp_path / "weights")
    with pytest.raises(WrongShapeError, match=r"2 misshapen: classifier\.3"):
        find_backbone("movinet_small", str(tmp_path / "weights"), {"num_classes": 8})


def test_weights_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"one of mvitv2-b-ssv2, .*, found 'mvitv2-b-ssv3'"):
        find_backbone("movinet_small", "mvitv2-b-ssv3")


def test_without_weights_a_builder_stays_random():
    assert find_backbone("movinet_small", arguments={"num_classes": 8}).num_classes == 8
