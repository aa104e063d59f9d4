"""A family as a whole: with codecs, without any, and with those of two backbones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from approxbit import zoo
from approxbit.edge.client import choose_model


def test_all_models_share_the_backbone(asked_checkpoints: Path) -> None:
    loaded = zoo.load_whole_family("asked-tiny", asked_checkpoints)
    assert set(loaded.models) == {"8-NoEnc-L1", "4-Enc-L2"}
    assert all(model.backbone is loaded.backbone for model in loaded.models.values())
    assert loaded.task == zoo.find_task("asked-tiny", asked_checkpoints)


def test_a_backbone_alone_is_a_family_too(
    asked_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(
        asked_checkpoints / "asked-tiny", tmp_path / "asked-tiny", ignore=shutil.ignore_patterns("*Enc*")
    )
    loaded = zoo.load_whole_family("asked-tiny", tmp_path)
    assert loaded.models == {}
    assert loaded.backbone.fingerprint
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    assert choose_model("asked-tiny") == "asked-tiny"
    with pytest.raises(ValueError, match=r"has the configurations \(none\), found '8-NoEnc-L1'"):
        choose_model("asked-tiny/8-NoEnc-L1")


def test_codecs_of_two_backbones_are_no_whole(
    asked_checkpoints: Path, checkpoints: Path, tmp_path: Path
) -> None:
    for folder in (asked_checkpoints / "asked-tiny", checkpoints / "digits-tiny"):
        shutil.copytree(folder, tmp_path / folder.name)
    for path in (checkpoints / "digits-tiny").glob("8-Enc-B3.*"):
        shutil.copy(path, tmp_path / "asked-tiny" / path.name)
    card = tmp_path / "asked-tiny" / "8-Enc-B3.json"
    card.write_text(card.read_text().replace("digits-tiny/8-Enc-B3", "asked-tiny/8-Enc-B3"))
    with pytest.raises(ValueError, match="expected codecs of one backbone, found those of 2 in asked-tiny"):
        zoo.load_whole_family("asked-tiny", tmp_path)
