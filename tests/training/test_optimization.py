import pytest
import torch
from torch import nn

from approxbit.training import Optimization
from approxbit.training.optimization import Muon, adamw_cosine


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


def make_layer(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Conv1d(4, 4, 1))


def learn(layer, optimizer, schedule=None, num_steps=3):
    for step in range(num_steps):
        loss = layer(torch.arange(16.0).view(4, 4).roll(step)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if schedule is not None:
            schedule.step()


def start(layer, rate=0.02):
    muon = Muon([layer[0].weight], rate)
    made = adamw_cosine(layer.parameters(), 1e-2, 0.1, warmup=0.5, num_steps=8, muon=muon)
    return made["optimizer"], made["lr_scheduler"]["scheduler"]


def test_muon_moves_what_it_is_given_and_adamw_all_else():
    both, plain = make_layer(), make_layer()
    learn(both, *start(both))
    muon = torch.optim.Muon([plain[0].weight], lr=0.0, weight_decay=0.1)
    groups = [{"params": [plain[2].weight], "weight_decay": 0.1}]
    groups += [{"params": [plain[0].bias, *plain[1].parameters(), plain[2].bias], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    for step, factor in enumerate((0.25, 0.5, 0.75)):
        plain(torch.arange(16.0).view(4, 4).roll(step)).square().mean().backward()
        for optimizer, rate in ((muon, 0.02), (adamw, 1e-2)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
        plain.zero_grad()
    for name, value in both.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], value)


def test_a_training_with_both_goes_on_from_its_state():
    whole, parts = make_layer(), make_layer()
    learn(whole, *start(whole), num_steps=6)
    optimizer, schedule = start(parts)
    learn(parts, optimizer, schedule, num_steps=3)
    again, later = start(parts, rate=0.5)  # which the state overrules
    again.load_state_dict(optimizer.state_dict())
    later.load_state_dict(schedule.state_dict())
    for step in range(3, 6):
        parts(torch.arange(16.0).view(4, 4).roll(step)).square().mean().backward()
        again.step()
        again.zero_grad()
        later.step()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value)
