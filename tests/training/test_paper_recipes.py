"""The recipes of the paper up to the LUT: two steps, small clips, made files of the official formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from approxbit import cli, zoo
from approxbit.select import EDGE_ONLY
from approxbit.training.cli import main

MakeVideo = Callable[..., Path]
RECIPES = Path(__file__).parents[2] / "recipes" / "paper"
CLASSES = ("Holding something", "Pulling something", "Pushing something")
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


def write_kinetics(root: Path, make_video: MakeVideo) -> None:
    for split, count in (("train", 6), ("validate", 3)):
        lines = ["label,youtube_id,time_start,time_end,split"]
        for number in range(count):
            video = f"{split:_<9}{number:02d}"
            make_video(root / "videos" / f"{video}_000000_000010.mp4", 12, 72, 96)
            lines.append(f"{CLASSES[number % 3]},{video},0,10,{split}")
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")


def write_something_something(root: Path, make_video: MakeVideo) -> None:
    start = "something-something-v2"
    entries: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for number in range(9):
        make_video(root / f"20bn-{start}" / f"{number}.webm", 12, 72, 96)
        label = CLASSES[number % 3]
        entry = {"id": str(number), "label": label, "template": label.replace("something", "[something]")}
        entries["train" if number < 6 else "validation"].append(entry)
    numbers = {label: str(index) for index, label in enumerate(CLASSES)}
    for name, content in {"labels": numbers, **entries}.items():
        (root / f"{start}-{name}.json").write_text(json.dumps(content))


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
