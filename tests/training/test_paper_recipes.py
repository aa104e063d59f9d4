"""The recipes of the paper up to the LUT: two steps, small clips, made files of the official formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from loading import load_file
from official_layouts import CLASSES, MakeVideo, write_kinetics, write_something_something

from approxbit import cli, zoo
from approxbit.backbones.mvitv2 import mvitv2_tiny
from approxbit.select import EDGE_ONLY
from approxbit.training.cli import main

SAMPLES = load_file(Path(__file__).parents[1] / "backbones" / "official" / "conftest.py")
RECIPES = Path(__file__).parents[2] / "recipes" / "paper"
OVERRIDES = (
    "--trainer.max_steps=2",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--data.init_args.batch_size=2",
    "--data.init_args.num_workers=0",
    "--model.init_args.statistics_batches=1",
)


@pytest.mark.parametrize(
    ("recipe", "builder", "write", "source", "configuration"),
    [
        ("movinet_a2_k600", "movinet_a2", write_kinetics, "kinetics:data/k600", "16-Enc-B5"),
        ("movinet_a2_ssv2", "movinet_a2", write_something_something, "ssv2:data/ssv2", "16-NoEnc-B3"),
        ("mvitv2_b_ssv2", "mvitv2_tiny", write_something_something, "ssv2:data/ssv2", "64-Enc-B3"),
    ],
)
def test_a_recipe_of_the_paper_ends_with_codec_prior_and_lut(
    recipe: str,
    builder: str,
    write: Callable[[Path, MakeVideo], None],
    source: str,
    configuration: str,
    make_video: MakeVideo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    name, _, root = source.partition(":")
    write(Path(root), make_video)
    family, arguments = recipe.replace("_", "-"), {"num_classes": 3, "clip_shape": (3, 8, 64, 64)}
    torch.manual_seed(0)
    backbone = zoo.build_backbone(builder, arguments)
    zoo.save_backbone(Path("checkpoints", family), backbone, builder, arguments)
    main(["--config", str(RECIPES / f"{recipe}.yaml"), f"--configurations=[{configuration}]", *OVERRIDES])
    made = zoo.card(f"{family}/{configuration}").provenance
    assert made.data == zoo.DataRecord(name, {"root": root})
    assert made.metrics["optimizer_steps"] == 2
    few = ("--clips=4", "--test-clips=2", "--steps=2", "--windows=2", "--preset=fast")
    for words in (("prior", *few), ("measure", "--clips=2", "--timed-clips=1", "--backend=torch")):
        with pytest.raises(SystemExit, match="0"):
            cli.main([words[0], "--family", family, *words[1:]])
    model = zoo.load(f"{family}/{configuration}")
    assert model.prior is not None
    assert model.prior.update is not None
    lut = zoo.load_lut(family)
    assert {configuration, EDGE_ONLY} < set(lut.arms)
    assert (lut.split, lut.num_clips, lut.figures) == ("validation", 2, ("top1_classes",))


def test_a_published_checkpoint_goes_the_whole_way_on_something_something(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an empty folder, with what the authors of model and data publish and one command for each step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPROXBIT_CHECKPOINTS", raising=False)
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))
    write_something_something(Path("ssv2"), make_video)
    torch.manual_seed(4)
    published = mvitv2_tiny(num_classes=3, clip_shape=(3, 8, 64, 64)).eval()
    torch.save({"model_state": SAMPLES.slowfast_state(published)}, "MViTv2_S.pyth")
    labels, shape = "ssv2/something-something-v2-labels.json", "clip_shape=[3,8,64,64]"
    made = f"--builder mvitv2_tiny --num-classes 3 --argument {shape} --labels {labels}"
    few = "--trainer.max_steps 2 --trainer.accelerator cpu --data.init_args.batch_size 2"
    for command in (
        f"import-backbone --checkpoint MViTv2_S.pyth --family mine {made}",
        "new mine --backbone mine --data ssv2:ssv2",
        f"train --config mine.yaml {few} --trainer.enable_progress_bar false",
        "prior --family mine --preset fast --clips 4 --test-clips 2 --steps 2 --windows 2",
        "measure --family mine --clips 2 --timed-clips 1 --backend torch",
        "select --family mine --bandwidth-mbps 3 --sla accuracy>=0",
    ):
        with pytest.raises(SystemExit, match="0"):
            cli.main(command.split())
    (codec,) = {zoo.card(name).name for name in zoo.available() if name.startswith("mine/")}
    card = zoo.card(codec)
    assert zoo.find_task(codec).label_set().class_names == CLASSES
    assert card.provenance.data == zoo.DataRecord("ssv2", {"root": "ssv2"})
    assert zoo.load(codec).prior is not None
    assert torch.equal(SAMPLES.answer(zoo.load_backbone("mine")), SAMPLES.answer(published))
    assert zoo.load_lut("mine").split == "validation"
