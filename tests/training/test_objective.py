import math

import pytest
import torch
import torch.nn.functional as F

from approxbit.backbones.feature import Feature
from approxbit.training.objective import (
    answer_for,
    binary_loss,
    codec_objective,
    compute_top1,
    joint_task_loss,
    marginal_logits,
    reconstruction_loss,
)


def feature(grid, tokens=()):
    return Feature(
        torch.tensor(grid).reshape(1, 1, 1, 1, -1),
        torch.tensor(tokens, dtype=torch.float32).reshape(1, -1, 1),
    )


def test_binary_loss_worked_by_hand():
    """A logit of 0 rounds to 0 and costs ln 2; of +-ln 3 it costs ln(4/3) either way (Eq. 4)."""
    assert binary_loss(torch.tensor([0.0])).item() == pytest.approx(math.log(2))
    logits = torch.tensor([math.log(3), -math.log(3)])
    assert binary_loss(logits).item() == pytest.approx(math.log(4 / 3))


def test_binary_loss_pushes_bits_away_from_the_threshold_and_has_no_gradient_through_its_target():
    logits = torch.tensor([0.5, -0.5], requires_grad=True)
    binary_loss(logits).backward()
    expected = torch.tensor([torch.sigmoid(torch.tensor(0.5)) - 1, torch.sigmoid(torch.tensor(-0.5))]) / 2
    assert torch.allclose(logits.grad, expected)


def test_reconstruction_weighs_every_position_alike_whether_grid_or_token():
    decoded, target = feature([1.0, 1.0, 1.0], [2.0]), feature([0.0, 0.0, 0.0], [0.0])
    assert reconstruction_loss(decoded, target).item() == pytest.approx((3 * 1 + 4) / 4)


def test_objective_is_the_weighed_sum_of_eq_3():
    parts = codec_objective(
        task=torch.tensor(2.0),
        decoded=feature([1.0]),
        feature=feature([3.0]),
        logits=torch.tensor([0.0]),
        reconstruction_weight=0.5,
        binary_weight=10.0,
    )
    assert parts.task.item() == 2.0
    assert parts.reconstruction.item() == pytest.approx(4.0)
    assert parts.binary.item() == pytest.approx(math.log(2))
    assert parts.total.item() == pytest.approx(2 + 0.5 * 4 + 10 * math.log(2))


def test_marginal_logits_have_the_marginal_probabilities():
    joint = torch.randn(4, 240, generator=torch.Generator().manual_seed(0))
    expected = joint.softmax(-1).reshape(4, 24, 10).sum(-1)
    assert torch.allclose(marginal_logits(joint).softmax(-1), expected, atol=1e-6)


def test_answers_in_both_label_sets():
    joint = torch.full((2, 240), -9.0)
    joint[0, 37] = joint[1, 12] = 9.0  # action 3, digit 7; action 1, digit 2
    labels = torch.tensor([35, 12])  # the digit of the first is wrong
    assert compute_top1(*answer_for("action_digit", joint, labels)).item() == 50.0
    assert compute_top1(*answer_for("actions", joint, labels)).item() == 100.0


def test_joint_task_loss_adds_both_marginals():
    joint = torch.zeros(3, 240)
    labels = torch.tensor([0, 100, 239])
    expected = math.log(240) + math.log(24) + math.log(10)
    assert joint_task_loss(joint, labels).item() == pytest.approx(expected, rel=1e-5)
    assert joint_task_loss(joint, labels) > F.cross_entropy(joint, labels)
