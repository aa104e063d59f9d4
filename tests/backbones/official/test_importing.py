"""`approxbit import-backbone`: an official checkpoint becomes a family."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from approxbit import zoo
from approxbit.backbones.mvitv2 import MViTv2, mvitv2_tiny
from approxbit.cli import main
from approxbit.trust import trust

SHAPE = (3, 4, 32, 32)
LABELS = {"push": "1", "pull": "0", "roll": "2"}  # as the labels of Something-Something-v2 are written


@pytest.fixture
def published() -> MViTv2:
    torch.manual_seed(4)
    return mvitv2_tiny(num_classes=3, clip_shape=SHAPE).eval()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return tmp_path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["import-backbone", *map(str, words)])
    return int(str(ended.value.code))


def test_a_checkpoint_of_slowfast_becomes_a_family(
    samples: SimpleNamespace, published: MViTv2, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "MViTv2_S.pyth"
    torch.save({"model_state": samples.slowfast_state(published), "epoch": 200}, path)
    words = ["--checkpoint", path, "--builder", "mvitv2_tiny", "--num-classes", 3, "--family", "mine"]
    words += ["--labels", folder / "labels.json", "--argument", "clip_shape=[3,4,32,32]"]
    assert run(*words) == 0
    loaded, card = zoo.load_backbone("mine"), zoo.card("mine")
    assert torch.equal(samples.answer(loaded), samples.answer(published))
    assert isinstance(card, zoo.BackboneCard)
    assert (card.builder, card.arguments) == ("mvitv2_tiny", {"clip_shape": [3, 4, 32, 32], "num_classes": 3})
    assert zoo.find_task("mine").label_set().class_names == ("pull", "push", "roll")
    assert card.provenance.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.provenance.license == "NOASSERTION"
    assert card.provenance.command == (
        "approxbit import-backbone --checkpoint MViTv2_S.pyth --builder mvitv2_tiny "
        "--argument 'clip_shape=[3,4,32,32]' --num-classes 3 --family mine --labels labels.json"
    )
    assert "of origin slowfast" in capsys.readouterr().err.replace("\n", " ")
    assert run(*words) == 1
    assert "expected a new family, found" in capsys.readouterr().err


def test_what_does_not_fit_makes_no_family(
    samples: SimpleNamespace, published: MViTv2, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "weights.pyth"
    torch.save(samples.slowfast_state(published), path)
    (folder / "two.txt").write_text("pull\npush\n")
    builder = ["--family", "mine", "--builder", "mvitv2_tiny", "--argument", "clip_shape=[3,4,32,32]"]
    cases = [
        ([*builder, "--checkpoint", path], "misshapen: head.1.weight (3, "),
        (
            [*builder, "--checkpoint", path, "--num-classes", 3, "--labels", folder / "two.txt"],
            "has 2 classes",
        ),
        (builder, "without one, the weights of mvitv2_tiny are random"),
        (["--family", "mine", "--checkpoint", path], "expected --builder, such as mvitv2_b"),
        (
            [*builder, "--argument", "width"],
            "expected --argument NAME=VALUE, such as clip_shape=[3,16,224,224], found 'width'",
        ),
        ([*builder[:2], "--builder", "mvitv3", "--checkpoint", path], "expected one of the builders"),
    ]
    for words, message in cases:
        assert run(*words) == 1
        assert message in " ".join(capsys.readouterr().err.split()), words
    assert zoo.available() == ()


def test_a_model_of_the_users_own_takes_its_own_checkpoint(
    own_package: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state dict of the model as it was before it was split; without a file, `make` has the weights."""
    trust(own_package)
    torch.manual_seed(6)
    backbone = zoo.build_backbone("own_nets.models:make", {"width": 4})
    torch.save(backbone.model.state_dict(), folder / "own.pt")
    words = ["--builder", "own_nets.models:make", "--argument", "width=4"]
    assert run(*words, "--family", "own", "--checkpoint", folder / "own.pt") == 0
    assert run(*words, "--family", "fresh") == 0
    clip = torch.rand(1, *backbone.clip_shape)
    with torch.no_grad():
        assert torch.equal(zoo.load_backbone("own")(clip), backbone(clip))
        assert not torch.equal(zoo.load_backbone("fresh")(clip), backbone(clip))
