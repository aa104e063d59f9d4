"""The VQ recipe's module takes the steps that the binary one takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from approxbit.baselines.vq_module import VQModule
from approxbit.datasets.digits import DigitsClips
from approxbit.training.checkpoints import last_checkpoint
from approxbit.training.cli import main
from approxbit.training.optimization import Optimization

SMALL = {"num_train": 8, "num_validation": 4, "num_test": 4}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training")
@pytest.mark.filterwarnings("ignore:.*The number of training batches")
def test_a_recipe_trains_it_and_its_checkpoint_holds_the_entries(tmp_path: Path) -> None:
    recipe = {
        "seed_everything": 1,
        "cache_features": True,
        "configurations": ["5-Enc-B5"],
        "model": {
            "class_path": "approxbit.baselines.vq_module.VQModule",
            "init_args": {
                "backbone": "digits-movinet",
                "configuration": "5-Enc-B5",
                "optimization": {"schedule": "cosine"},
            },
        },
        "data": {
            "class_path": "approxbit.training.ClipData",
            "init_args": {
                "source": {"class_path": "approxbit.datasets.digits.DigitsClips", "init_args": SMALL},
                "batch_size": 4,
            },
        },
        "trainer": {
            "default_root_dir": str(tmp_path / "runs"),
            "accelerator": "cpu",
            "max_steps": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": [{"class_path": "approxbit.training.KeepLast"}],
        },
    }
    path = tmp_path / "vq.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    main(["--config", str(path)])
    root = tmp_path / "runs" / "5-Enc-B5"
    assert "train/commitment" in (root / "csv" / "version_0" / "metrics.csv").read_text()
    state = torch.load(last_checkpoint(root), weights_only=True)["state_dict"]
    module = VQModule("digits-movinet", "5-Enc-B5")
    fresh = module.model.codec.entries.clone()
    module.load_state_dict(state, strict=False)
    assert module.model.codec.entries.shape == (32, 16)
    assert not torch.equal(module.model.codec.entries, fresh)


def test_the_objective_is_the_weighed_sum_of_its_terms() -> None:
    torch.manual_seed(0)
    weights = {"reconstruction_weight": 0.5, "commitment_weight": 2.0}
    module = VQModule("digits-movinet", "5-Enc-B5", **weights).train()
    parts, top1 = module.compute_objective(next(iter(DigitsClips(**SMALL).loader("train", 4))))
    expected = parts.task + 0.5 * parts.reconstruction + 2.0 * parts.commitment
    assert parts.total.item() == pytest.approx(expected.item())
    assert parts.commitment > 0
    assert 0 <= top1 <= 100


def test_all_options_of_the_binary_module_are_there() -> None:
    optimization = Optimization("adamw")
    module = VQModule(
        "digits-movinet", "5-Enc-B5", code_channels=8, optimization=optimization, label_set="actions"
    )
    assert module.optimization == optimization
    assert module.task.asked == module.label_set.name == "actions"
    assert module.model.codec.entries.shape == (32, 8)
    assert all(
        name.startswith("model.codec.") for name, weight in module.named_parameters() if weight.requires_grad
    )
