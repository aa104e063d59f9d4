"""A model of the user's own, split in a package of theirs, goes wherever a backbone is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import approxbit
from approxbit import zoo
from approxbit.cli import main
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import TASK
from approxbit.errors import UntrustedError
from approxbit.training import BackboneModule, CodecModule
from approxbit.training.builders import find_backbone
from approxbit.trust import trust, trusted_packages

ARGUMENTS = {"num_classes": TASK.num_classes, "clip_shape": (3, 16, 64, 64)}


@pytest.fixture
def own_family(own_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`own`, made by `own_nets.models:make`, with one codec; nobody trusts the package afterwards."""
    torch.manual_seed(3)
    builder = f"{own_package}.models:make"
    backbone = find_backbone(builder, arguments=ARGUMENTS)
    zoo.save_backbone(tmp_path / "checkpoints" / "own", backbone, builder, ARGUMENTS, TASK)
    codec = Codec(backbone.feature_shape("B1"), Configuration.parse("4-Enc-B1"))
    made = zoo.Provenance(
        data=zoo.DataRecord("digits", {"num_train": 16, "num_validation": 4, "num_test": 4})
    )
    zoo.save_codec(tmp_path / "checkpoints" / "own", codec.eval(), provenance=made)
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("APPROXBIT_TRUST", "")
    return "own"


@pytest.mark.parametrize("attribute", ["make", "make_by_values"])
def test_a_split_model_is_loaded_by_its_card_bit_for_bit(
    own_package: str, tmp_path: Path, attribute: str
) -> None:
    """The second one cannot be built on the meta device, as it asks tensors for their values."""
    trust(own_package)
    builder, arguments = f"{own_package}.models:{attribute}", {"width": 4, "clip_shape": [3, 2, 16, 16]}
    backbone = zoo.build_backbone(builder, arguments)
    card = zoo.save_backbone(tmp_path / "mine", backbone, builder, arguments)
    assert (card.builder, zoo.card("mine", tmp_path).arguments) == (builder, arguments)
    loaded = zoo.load_backbone("mine", tmp_path)
    clip = torch.rand(2, 3, 2, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(clip), backbone(clip))
        for point in loaded.offload_points:
            assert torch.equal(loaded.server_half(point)(loaded.edge_half(point)(clip)), backbone(clip))
    assert zoo.sketch_backbone("mine", checkpoints=tmp_path).clip_shape == (3, 2, 16, 16)


def test_points_are_listed_of_families_builders_and_import_paths(own_family: str) -> None:
    trust("own_nets")
    of_family, of_path = (
        zoo.list_offload_points("own"),
        zoo.list_offload_points("own_nets.models:make", ARGUMENTS),
    )
    assert of_family == of_path
    assert [point.name for point in of_family] == ["B1", "B2"]
    of_builder = zoo.list_offload_points("movinet_small", {"clip_shape": (3, 4, 32, 32)})
    assert of_builder[0].feature_shape == (8, 4, 16, 16)


def test_modules_take_an_import_path_with_arguments(own_family: str) -> None:
    module = CodecModule("own_nets.models:make", "4-Enc-B2", arguments={"width": 4, "num_classes": 5})
    assert module.model.backbone.num_classes == 5
    assert trusted_packages() == ["own_nets"]  # what a recipe names, its author wrote
    whole = BackboneModule("own_nets.models:make", {"width": 4})
    assert (whole.builder, whole.arguments) == ("own_nets.models:make", {"width": 4})
    further = BackboneModule("own")
    expected = zoo.load_backbone("own").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in further.backbone.state_dict().items())
    assert further.arguments == {**ARGUMENTS, "clip_shape": [3, 16, 64, 64]}
    with pytest.raises(ValueError, match="the family own has its own weights and arguments, found start="):
        BackboneModule("own", {"width": 4})
    with pytest.raises(ValueError, match="the family own has its own weights and arguments, found weights="):
        find_backbone("own", arguments={"width": 4})


def test_a_card_is_not_followed_until_the_user_trusts_its_package(own_family: str) -> None:
    with pytest.raises(UntrustedError, match=r"backbone\.json: .* by --trust own_nets, or by approxbit"):
        approxbit.load("own/4-Enc-B1")
    with pytest.raises(UntrustedError, match="--trust own_nets"):
        CodecModule("own", "4-Enc-B1")
    assert zoo.available() == ("own/4-Enc-B1",)
    assert isinstance(zoo.card("own"), zoo.BackboneCard)  # reading imports nothing
    approxbit.trust("own_nets")
    assert approxbit.load("own/4-Enc-B1").task == TASK


def test_every_command_takes_a_family_of_the_users_code(
    own_family: str, make_video: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server of `run` is a process of its own, which trusts what this one does."""
    run = ["run", "--family", "own", "--runner", "torch", "--json", str(make_video("clip.mp4", 20))]

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return (int(str(ended.value.code)), *capsys.readouterr())

    code, _, error = call(*run)
    assert code == 1
    assert "package own_nets, which is not trusted: where you know who wrote it, allow it by --trust" in error
    code, out, error = call(*run, "--trust", "own_nets")
    assert code == 0, error
    (answer,) = map(json.loads, out.splitlines())
    assert (answer["arm"], answer["fell_back"]) == ("4-Enc-B1", False)
    for words in (
        ("inspect", "own", "--points"),
        ("inspect", "own_nets.models:make"),
        ("export", "--config", "own/4-Enc-B1", "--out", str(tmp_path / "exported")),
        ("prior", "--family", "own", "--clips", "8", "--test-clips", "4", "--steps", "2", "--windows", "0"),
        ("measure", "--family", "own", "--clips", "4", "--timed-clips", "2", "--backend", "torch"),
    ):
        code, _, error = call(*words)
        assert code == 0, f"{words}: {error}"
    assert approxbit.load("own/4-Enc-B1").prior is not None
    assert "4-Enc-B1" in approxbit.load_lut("own").arms
