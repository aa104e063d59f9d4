"""What a training leaves behind where the data are not Digits-in-Motion."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from approxbit import zoo
from approxbit.training import CodecModule, Release
from approxbit.training.release import measure_top1

pytestmark = [
    # Lightning 2.6 with torch 2.15 uses a name of torch's that is about to go.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.:FutureWarning"),
    # What Lightning says about tiny data on a CPU is true and on purpose here.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*module.s. in eval mode at the start of training"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches"),
]
ARGUMENTS = {"num_classes": 6, "clip_shape": (3, 4, 32, 32)}


class SixActs(L.LightningDataModule):
    """Random clips of six classes."""

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(0)
        clips = torch.rand(6, *ARGUMENTS["clip_shape"], generator=generator)
        return DataLoader(TensorDataset(clips, torch.arange(6)), batch_size=3)

    def val_dataloader(self) -> DataLoader:
        return self.train_dataloader()

    def test_dataloader(self) -> DataLoader:
        return self.train_dataloader()


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a backbone of six classes of our own."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    backbone = zoo.build_backbone("movinet_digits", ARGUMENTS)
    names = ("bow", "clap", "jump", "nod", "sit", "wave")
    zoo.save_backbone(tmp_path / "acts", backbone, "movinet_digits", ARGUMENTS, names, label_set="acts")
    return tmp_path


def train(module: L.LightningModule, checkpoints: Path) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Release("acts", "recipes/acts.yaml", str(checkpoints))],
    )
    trainer.fit(module, datamodule=SixActs())


def test_a_codec_of_six_classes_ends_with_a_card_of_its_own_label_set(checkpoints: Path) -> None:
    train(CodecModule("acts", "4-Enc-B3", statistics_batches=1), checkpoints)
    card = zoo.card("acts/4-Enc-B3")
    assert card.label_set == "acts"
    assert set(card.provenance.metrics) == {"test_top1_acts", "optimizer_steps"}
    assert zoo.load("acts/4-Enc-B3")(torch.rand(2, *ARGUMENTS["clip_shape"])).shape == (2, 6)


def test_top1_is_that_of_the_label_sets_asked_for() -> None:
    labels = torch.tensor([11, 12, 25])
    logits = torch.nn.functional.one_hot(torch.tensor([11, 15, 4]), 30).float()  # right, right action, wrong
    batches = [(logits, labels)]
    models = {"": torch.nn.Identity()}
    assert measure_top1(models, batches) == {"test_top1_actions": 66.667, "test_top1_action_digit": 33.333}
    assert measure_top1(models, batches, ["acts"]) == {"test_top1_acts": 33.333}
    assert measure_top1(models, batches, [""]) == {"test_top1": 33.333}


def test_a_codec_whose_backbone_cannot_stand_in_a_card_is_refused_before_it_is_trained(
    checkpoints: Path,
) -> None:
    module = CodecModule("movinet_digits", "4-Enc-B3", num_classes=6)
    with pytest.raises(ValueError, match="found the builder 'movinet_digits': save it there as a family"):
        train(module, checkpoints)
    assert not list((checkpoints / "acts").glob("4-*"))
