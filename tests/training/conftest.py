"""What the tests of training share: a small family, and warnings that are true and on purpose here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from acts import ACTS, ARGUMENTS

from approxbit import zoo

HARMLESS = (
    # Lightning 2.6 with torch 2.15 uses a name of torch's that is about to go.
    "ignore:.*isinstance.treespec, LeafSpec.:FutureWarning",
    # Tiny data on a CPU.
    "ignore:.*does not have many workers",
    "ignore:.*module.s. in eval mode at the start of training",
    "ignore:.*The number of training batches",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in HARMLESS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, small: ModuleType) -> Iterator[str]:
    """A backbone of random weights, every one of which shows in its answers."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    backbone = small.shake(zoo.build_backbone("movinet_small", ARGUMENTS))
    zoo.save_backbone(root / "acts", backbone, "movinet_small", ARGUMENTS, ACTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROXBIT_CHECKPOINTS", str(root))
        yield "acts"
