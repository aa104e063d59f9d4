"""Readings of dense targets; the losses themselves are worked out where a training uses them."""

from __future__ import annotations

import torch

from approxbit.datasets.dense import DenseTargets
from approxbit.training.dense import DenseReadings, pointing_loss


def test_a_target_of_which_nothing_is_known_counts_nothing() -> None:
    torch.manual_seed(0)
    readings = DenseReadings(4, {"value": 3}, {"offset": 2})
    tokens = torch.randn(1, 2, 4)
    unknown = torch.full((1, 2), -1)
    offsets = torch.rand(1, 2, 2)
    nowhere = DenseTargets({"value": unknown}, {"offset": torch.full_like(offsets, torch.nan)})
    loss = readings.loss(tokens, nowhere)
    loss.backward()
    assert loss.item() == 0
    assert all(each.grad is not None and not each.grad.any() for each in readings.parameters())
    known = readings.loss(tokens, DenseTargets({"value": unknown}, {"offset": offsets}))
    torch.testing.assert_close(known, torch.nn.functional.smooth_l1_loss(readings["offset"](tokens), offsets))


def test_hits_are_those_of_what_is_known_since_the_last_time() -> None:
    readings = DenseReadings(2, {"value": 2}, {})
    readings["value"].weight.data, readings["value"].bias.data = torch.eye(2), torch.zeros(2)
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])
    readings.observe(tokens, DenseTargets({"value": torch.tensor([[0, 0, 0, -1]])}, {}))
    assert round(readings.collect()["dense_value"], 3) == 66.667
    assert readings.collect() == {}


def test_words_that_name_nothing_seen_are_not_told_where_to_look() -> None:
    dense = DenseTargets({"value": torch.tensor([[2, -1, 2]])}, {})
    looks = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]])
    numbers = torch.tensor([[12, 11]])
    found = pointing_loss(looks, numbers, {"value": [10, 11, 12]}, dense)
    assert round(found.item(), 5) == round(-torch.tensor(2 / 3).log().item(), 5)
    assert pointing_loss(looks, numbers, {"value": [10, 11, 13]}, dense).item() == 0
