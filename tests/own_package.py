"""A user's package in the current folder, with a model that nobody here knows, split."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = '''
import torch
from torch import nn

import approxbit


class Net(nn.Module):
    """Two convolutions and a head; drop rates by tensors' values, as many models have them."""

    def __init__(self, num_classes, width, asks_for_values):
        super().__init__()
        rates = torch.linspace(0, 0.1, 2)
        self.rates = [rate.item() for rate in rates] if asks_for_values else [0.0, 0.1]
        self.stem = nn.Conv3d(3, width, (1, 4, 4), (1, 4, 4))
        self.body = nn.Sequential(nn.Conv3d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, clip):
        feature = torch.relu(self.stem(clip))
        feature = self.body(feature) * torch.tensor(1.5)
        return self.head(feature.mean(dim=(2, 3, 4)))


def make(num_classes=7, width=8, clip_shape=(3, 4, 32, 32), asks_for_values=False):
    model = Net(num_classes, width, asks_for_values).eval()
    return approxbit.split(model, at={"B1": "stem", "B2": "body"}, example=torch.rand(1, *clip_shape))


def make_by_values(**arguments):
    return make(asks_for_values=True, **arguments)


def make_no_backbone():
    return Net(7, 8, False).eval()


def fail(kind="KeyError"):
    import builtins

    if kind == "RecursionError":
        return fail(kind)
    raise getattr(builtins, kind)("so it is")
'''


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The package's name; it lies in the current folder, and nobody trusts it yet."""
    (tmp_path / "own_nets").mkdir()
    (tmp_path / "own_nets" / "__init__.py").write_text("")
    (tmp_path / "own_nets" / "models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("APPROXBIT_TRUST", "")
    yield "own_nets"
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_nets"]:
        del sys.modules[name]
    importlib.invalidate_caches()
