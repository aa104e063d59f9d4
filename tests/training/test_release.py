"""What a training leaves behind: weights, and a card with the figures of its task."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from random_clips import RandomClips
from torch.utils.data import DataLoader

from approxbit import zoo
from approxbit.tasks import Classification, LabelSet
from approxbit.training import BackboneModule, ClipData, CodecModule, Release
from approxbit.training.release import measure_figures

ARGUMENTS = {"num_classes": 6, "clip_shape": (3, 4, 32, 32)}
ACTS = Classification(
    (
        LabelSet("acts", ("bow", "clap", "jump", "nod", "sit", "wave")),
        LabelSet("limbs", ("none", "hands", "legs"), class_of=(0, 1, 2, 0, 2, 1)),
    )
)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a backbone of six acts."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    zoo.save_backbone(tmp_path / "acts", backbone, "movinet_small", ARGUMENTS, ACTS)
    return tmp_path


def train(module: L.LightningModule, checkpoints: Path, data: L.LightningDataModule | None = None) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Release("acts", "recipes/acts.yaml", str(checkpoints))],
    )
    trainer.fit(module, datamodule=data or ClipData(RandomClips(ACTS), batch_size=3))


@pytest.mark.parametrize(("label_set", "asked"), [("", "acts"), ("limbs", "limbs")])
def test_a_codec_of_any_task_ends_with_a_card_of_its_figures(
    label_set: str, asked: str, checkpoints: Path
) -> None:
    train(CodecModule("acts", "4-Enc-B3", label_set, statistics_batches=1), checkpoints)
    card = zoo.card("acts/4-Enc-B3")
    assert card.asked == asked
    assert card.provenance.split == "test"
    assert set(card.provenance.metrics) == {"top1_acts", "top1_limbs", "optimizer_steps"}
    model = zoo.load("acts/4-Enc-B3")
    assert model.task == ACTS.asking(asked)
    clips, labels = RandomClips(ACTS).clips("test").tensors
    scores = model.task.score(model(clips).detach().numpy(), labels.numpy())
    assert {name: card.provenance.metrics[name] for name in scores} == scores


def test_a_backbone_of_any_task_is_trained_and_released(checkpoints: Path) -> None:
    train(BackboneModule("movinet_small", ARGUMENTS), checkpoints)
    card = zoo.card("acts")
    assert card.task == ACTS
    assert card.arguments == {**ARGUMENTS, "clip_shape": [*ARGUMENTS["clip_shape"]]}
    assert set(card.provenance.metrics) == {"top1_acts", "top1_limbs", "optimizer_steps"}
    backbone = zoo.load_backbone("acts")
    clips, labels = RandomClips(ACTS).clips("test").tensors
    scores = ACTS.score(backbone(clips).numpy(), labels.numpy())
    assert {name: card.provenance.metrics[name] for name in scores} == scores


def test_a_data_module_that_says_no_task_serves_a_family(checkpoints: Path) -> None:
    class Plain(L.LightningDataModule):
        def train_dataloader(self) -> DataLoader:
            return DataLoader(RandomClips(ACTS).clips("train"), batch_size=3)

        def val_dataloader(self) -> DataLoader:
            return self.train_dataloader()

        def test_dataloader(self) -> DataLoader:
            return self.train_dataloader()

    train(CodecModule("acts", "4-Enc-B3", statistics_batches=1), checkpoints, Plain())
    assert set(zoo.card("acts/4-Enc-B3").provenance.metrics) == {"top1_acts", "top1_limbs", "optimizer_steps"}


def test_data_without_a_test_split_are_refused_before_the_first_step(checkpoints: Path) -> None:
    class Partial(RandomClips):
        splits = ("train", "validation")

    with pytest.raises(ValueError, match="expected one of the splits train, validation, found 'test'"):
        train(BackboneModule("movinet_small", ARGUMENTS), checkpoints, ClipData(Partial(ACTS), batch_size=3))


@pytest.mark.parametrize(
    ("task", "label_set", "message"),
    [
        (
            Classification.of_names("abcde"),
            "",
            "found 5 in noise: build the backbone with num_classes=5",
        ),
        (Classification.of_names("abcdef"), "", r"classes bow, clap, jump, \.\.\., found those of a, b, c"),
    ],
)
def test_data_of_other_classes_are_refused_before_the_first_step(
    task: Classification, label_set: str, message: str, checkpoints: Path
) -> None:
    module = CodecModule("acts", "4-Enc-B3", label_set)
    with pytest.raises(ValueError, match=message):
        train(module, checkpoints, ClipData(RandomClips(task), batch_size=3))
    assert not list((checkpoints / "acts").glob("4-*"))


def test_a_builder_has_the_task_of_its_data() -> None:
    module = CodecModule("movinet_small", "4-Enc-B5", "limbs", arguments={"num_classes": 6})
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, fast_dev_run=1)
    trainer.fit(module, datamodule=ClipData(RandomClips(ACTS, (3, 16, 64, 64)), batch_size=3))
    assert module.task == ACTS.asking("limbs")
    module = CodecModule("movinet_small", "4-Enc-B5", "plants", arguments={"num_classes": 6})
    with pytest.raises(ValueError, match="expected one of the label sets acts, limbs, found 'plants'"):
        trainer.fit(module, datamodule=ClipData(RandomClips(ACTS, (3, 16, 64, 64)), batch_size=3))


def test_figures_are_those_of_the_task_for_each_model() -> None:
    targets = torch.tensor([1, 5, 2])
    answers = torch.nn.functional.one_hot(torch.tensor([1, 1, 0]), 6).float()  # right, right limbs, wrong
    models = {"": torch.nn.Identity(), "2-Enc-B3_": lambda logits: logits.roll(2, 1)}
    assert measure_figures(
        ACTS.asking("limbs"), models, [(answers[:2], targets[:2]), (answers[2:], targets[2:])]
    ) == {
        "top1_limbs": 66.667,
        "top1_acts": 33.333,
        "2-Enc-B3_top1_limbs": 33.333,
        "2-Enc-B3_top1_acts": 33.333,
    }


def test_of_several_processes_the_first_one_releases(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(L.Trainer, "is_global_zero", property(lambda trainer: False))
    train(CodecModule("acts", "4-Enc-B3", statistics_batches=1), checkpoints)
    assert not list((checkpoints / "acts").glob("4-*"))


def test_a_codec_whose_backbone_cannot_stand_in_a_card_is_refused_before_it_is_trained(
    checkpoints: Path,
) -> None:
    module = CodecModule("movinet_small", "4-Enc-B3", arguments={"num_classes": 6})
    with pytest.raises(ValueError, match="found the builder 'movinet_small': save it there as a family"):
        train(module, checkpoints, ClipData(RandomClips(ACTS, module.model.backbone.clip_shape)))
    assert not list((checkpoints / "acts").glob("4-*"))
