"""Shipped recipes on two processes by the strategy `ddp`, as anyone would start them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
NUM_TEST = 20


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips and features are kept."""
    return tmp_path_factory.mktemp("cache")


def train(recipe: str, folder: Path, cache: Path, *overrides: str) -> Path:
    """Two steps of a recipe on two processes; the folder of its checkpoints."""
    shutil.copytree(REPOSITORY / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
    paths = (REPOSITORY, Path(__file__).parent)  # the second one has `rank_states`
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "APPROXBIT_CACHE": str(cache),
        "APPROXBIT_CHECKPOINTS": str(folder / "checkpoints"),
    }
    clips = [
        f"--data.init_args.source.init_args.num_{split}={count}"
        for split, count in (("train", 64), ("validation", 20), ("test", NUM_TEST))
    ]
    changes = "--strategy=ddp --devices=2 --max_steps=2 --val_check_interval=null --check_val_every_n_epoch=1"
    changes += f" --default_root_dir={folder / 'run'} --callbacks+=rank_states.KeepStates"
    trainer = [each.replace("--", "--trainer.", 1) for each in changes.split()]
    command = [sys.executable, "-m", "approxbit", "train", "--config", str(REPOSITORY / recipe)]
    done = subprocess.run(
        [*command, *clips, *trainer, *overrides], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints"


def read_states(run: Path) -> list[dict[str, Any]]:
    """What both processes had at the end, which must be the same but for what each saw itself."""
    states = [torch.load(run / f"rank{rank}.pt") for rank in (0, 1)]
    first, second = (state["weights"] for state in states)
    assert first.keys() == second.keys()
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    for one, other in zip(*(state["gradients"] for state in states), strict=True):
        assert torch.equal(one, other)
    figures, others = ({**state["figures"]} for state in states)
    shared = {name for name in figures if name.startswith("validation/")}
    assert shared
    assert {name: figures[name] for name in shared} == {name: others[name] for name in shared}
    return states


def changed(checkpoints: Path) -> set[str]:
    """Files that are not those that ship."""
    shipped = REPOSITORY / "checkpoints"
    files = (path.relative_to(checkpoints) for path in checkpoints.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in files
        if not (shipped / path).exists() or (shipped / path).read_bytes() != (checkpoints / path).read_bytes()
    }


def test_codecs_are_trained_by_two_processes_and_written_by_one(tmp_path: Path, cache: Path) -> None:
    """With nested sizes, a rate term and every configuration in turn; whole batches, then micro-batches."""
    recipe, names = "recipes/digits/movinet_codec.yaml", ("16-Enc-B5", "14-Enc-B5")
    start = "--model.init_args.optimization.initialization=components"
    gradients = []
    for kind, count, more in (
        ("whole", 1, ()),
        ("parts", 2, ("--trainer.callbacks+=approxbit.training.MicroBatches", "--trainer.callbacks.size=3")),
    ):
        folder = tmp_path / kind
        trained = f"--configurations=[{','.join(names[:count])}]"
        checkpoints = train(recipe, folder, cache, trained, start, *more)
        written = {
            f"digits-movinet/{name}.{end}" for name in names[:count] for end in ("json", "safetensors")
        }
        assert changed(checkpoints) == written
        for name in names[:count]:
            state, _ = read_states(folder / "run" / name)
            assert (folder / "run" / name / "done").exists()
            assert state["weights"]["has_statistics"]
        gradients.append(read_states(folder / "run" / names[0])[0]["gradients"][0])
    whole, parts = gradients
    assert (parts - whole).norm() < 1e-5 * whole.norm()
    assert len(list(cache.glob("features-*.safetensors"))) == 2  # training and validation, at one cut


def test_a_backbone_is_trained_by_two_processes_and_written_by_one(tmp_path: Path, cache: Path) -> None:
    checkpoints = train("recipes/digits/movinet_backbone.yaml", tmp_path, cache)
    assert changed(checkpoints) == {f"digits-movinet/backbone.{end}" for end in ("json", "safetensors")}
    read_states(tmp_path / "run")


@pytest.mark.parametrize("recipe", ["tower", "questions"])
def test_a_model_that_answers_questions_is_trained_by_two_processes(
    recipe: str, tmp_path: Path, cache: Path
) -> None:
    small = "--data.init_args.batch_size=16"
    checkpoints = train(f"recipes/scenes/{recipe}.yaml", tmp_path, cache, small)
    read_states(tmp_path / "run")
    assert changed(checkpoints) == {"scenes-vit/backbone.json", "scenes-vit/backbone.safetensors"}


@pytest.mark.parametrize("family", ["llava_onevision", "video_llava"])
def test_a_video_language_model_is_trained_by_two_processes(family: str, tmp_path: Path, cache: Path) -> None:
    """Its tower first, and then its language model behind this tower."""
    for recipe in (f"{family}_tower", family):
        changes = ("--data.init_args.batch_size=16", f"--trainer.default_root_dir={tmp_path / recipe}")
        checkpoints = train(f"recipes/scenes/{recipe}.yaml", tmp_path, cache, *changes)
        read_states(tmp_path / recipe)
        name = f"scenes-{family.replace('_', '-')}"
        assert changed(checkpoints) == {f"{name}/backbone.json", f"{name}/backbone.safetensors"}
