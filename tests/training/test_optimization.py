import pytest
import torch
from torch import nn

from approxbit.training import Optimization


def rates_of(optimization, num_steps):
    started = optimization.start([nn.Parameter(torch.zeros(1))], num_steps)
    optimizer, schedule = started["optimizer"], started["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_the_defaults_are_the_papers():
    assert rates_of(Optimization(), 5) == [1e-3] * 5
    assert isinstance(Optimization().start([nn.Parameter(torch.zeros(1))], 5)["optimizer"], torch.optim.Adam)


def test_a_cosine_rises_and_ends_near_zero():
    rates = rates_of(Optimization("adamw", 0.5, "cosine", warmup=0.2), 100)
    assert max(rates) == pytest.approx(0.5)
    assert rates.index(max(rates)) == 19
    assert rates[-1] < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer to be one of adam, adamw, found 'sgd'"),
        ({"schedule": "step"}, "schedule to be one of constant, cosine, found 'step'"),
        ({"learning_rate": 0.0}, "learning_rate above 0, found 0.0"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Optimization(**change)
