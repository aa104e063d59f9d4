import math

import pytest
import torch
import torch.nn.functional as F

from approxbit.backbones.feature import Feature
from approxbit.datasets.digits import TASK
from approxbit.tasks import Classification, LabelSet
from approxbit.training.objective import (
    ObjectiveWeights,
    answer_for,
    compute_top1,
    distillation_loss,
    downstream_loss,
    reconstruction_loss,
    task_loss,
    weigh,
)


def feature(grid, tokens=()):
    return Feature(
        torch.tensor(grid).reshape(1, 1, 1, 1, -1),
        torch.tensor(tokens, dtype=torch.float32).reshape(1, -1, 1),
    )


def test_reconstruction_weighs_every_position_alike_whether_grid_or_token():
    decoded, target = feature([1.0, 1.0, 1.0], [2.0]), feature([0.0, 0.0, 0.0], [0.0])
    assert reconstruction_loss(decoded, target).item() == pytest.approx((3 * 1 + 4) / 4)


def test_objective_is_the_weighed_sum():
    parts = weigh(
        ObjectiveWeights(reconstruction=0.5, binary=10.0, distillation=3.0),
        task=torch.tensor(2.0),
        reconstruction=torch.tensor(4.0),
        binary=torch.tensor(0.1),
        distillation=torch.tensor(0.2),
    )
    assert parts.task.item() == 2.0
    assert parts.rate.item() == 0.0
    assert parts.total.item() == pytest.approx(2 + 0.5 * 4 + 10 * 0.1 + 3 * 0.2)


def test_the_default_weights_are_those_of_eq_3():
    weights = ObjectiveWeights()
    assert (weights.task, weights.reconstruction, weights.binary) == (1.0, 1.0, 1.0)
    assert (weights.distillation, weights.downstream, weights.rate) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": -1.0}, "rate to be at least 0, found -1.0"),
        ({"binary": float("nan")}, "binary to be at least 0, found nan"),
        ({"temperature": 0.0}, "temperature above 0, found 0.0"),
        ({"rate_warmup": 1.5}, "rate_warmup up to 1, found 1.5"),
    ],
)
def test_weights_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ObjectiveWeights(**change)


def test_distillation_is_the_divergence_from_the_teacher():
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    shares, wanted = student.softmax(-1), teacher.softmax(-1)
    expected = (wanted * (wanted / shares).log()).sum(-1).mean()
    torch.testing.assert_close(distillation_loss(student, teacher), expected)


def test_the_rate_rises_to_its_weight_and_stays_there():
    weights = ObjectiveWeights(rate=2.0, rate_warmup=0.4)
    assert [weights.at(progress).rate for progress in (0.0, 0.1, 0.4, 1.0)] == [0.0, 0.5, 2.0, 2.0]
    assert ObjectiveWeights(rate=2.0).at(0.0).rate == 2.0


def test_temperature_hardly_changes_the_size_of_a_small_distillation_gradient():
    teacher = torch.randn(5, 7) / 10
    sizes = []
    for temperature in (5.0, 10.0):
        student = torch.zeros(5, 7, requires_grad=True)
        distillation_loss(student, teacher, temperature).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_the_downstream_loss_does_not_depend_on_the_scale_of_a_layer():
    found, teacher = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    once = downstream_loss([found], [teacher])
    torch.testing.assert_close(downstream_loss([found, 100 * found], [teacher, 100 * teacher]), once)


HALVES = Classification(
    (LabelSet("own", class_names=tuple("abcd")), LabelSet("halves", class_of=(1, 0, 0, 1)))
)


def test_grouped_logits_are_those_of_the_task_without_torch():
    logits = torch.randn(4, 240, generator=torch.Generator().manual_seed(0)) * 30
    labels = torch.tensor([0, 99, 100, 239])
    for each in TASK.label_sets:
        found, targets = answer_for(each, logits, labels)
        assert torch.allclose(found, torch.from_numpy(each.logits(logits.numpy())), atol=1e-4)
        assert targets.tolist() == each.labels(labels.numpy()).tolist()


def test_answers_in_both_label_sets():
    logits = torch.full((2, 4), -9.0)
    logits[0, 3] = logits[1, 1] = 9.0
    labels = torch.tensor([0, 1])  # the first is wrong, but in the right half
    assert compute_top1(*answer_for(HALVES.label_sets[0], logits, labels)).item() == 50.0
    assert compute_top1(*answer_for(HALVES.label_sets[1], logits, labels)).item() == 100.0


def test_the_gradient_of_a_group_goes_to_its_classes_by_their_shares():
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log().requires_grad_()
    found, _ = answer_for(HALVES.label_sets[1], logits, torch.tensor([0]))
    found[0, 1].backward()  # of the classes 0 and 3
    assert logits.grad.squeeze().tolist() == pytest.approx([0.2, 0, 0, 0.8])


def test_the_loss_of_a_task_adds_those_of_its_label_sets():
    logits, labels = torch.zeros(3, 240), torch.tensor([0, 100, 239])
    expected = math.log(240) + math.log(24) + math.log(10)
    assert task_loss(TASK, logits, labels).item() == pytest.approx(expected, rel=1e-5)
    one = Classification.of_names(TASK.class_names)
    assert task_loss(one, logits, labels) == F.cross_entropy(logits, labels)
