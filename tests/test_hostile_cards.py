"""Cards that are broken, or written to do harm: a sentence, and no memory and no import."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.errors import UntrustedError, WeightsError
from approxbit.tasks import Classification
from approxbit.trust import trust
from approxbit.zoo.builders import check_backbone

ARGUMENTS = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
HUGE = 10**12


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(1)
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    zoo.save_backbone(root / "toy", backbone, "movinet_small", ARGUMENTS)
    configuration = Configuration.parse("4-Enc-B3")
    zoo.save_codec(root / "toy", Codec(backbone.feature_shape("B3"), configuration))
    return root


@pytest.fixture
def checkpoints(tmp_path: Path, pristine: Path) -> Path:
    """A copy of the pristine folder, to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path / "checkpoints"))


def edit(path: Path, change: Callable[..., object]) -> None:
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


@pytest.mark.parametrize("name", ["backbone", "4-Enc-B3"])
def test_whatever_stands_in_a_card_it_loads_or_says_what_is_wrong(checkpoints: Path, name: str) -> None:
    program = Path(__file__).with_name("card_mutations.py")
    ran = subprocess.run(
        [sys.executable, program, checkpoints, name, "200"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert 100 < found["refused"] < 200
    assert found["more_mb"] < 300


def test_what_a_backbone_says_of_itself_is_checked() -> None:
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    wrong: dict[str, tuple[object, ...]] = {
        "clip_shape": ("abcd", (3, 4, 32), (3, 4, 32.0, 32), (3, True, 32, 32), (3, 0, 32, 32), (10**9,) * 4),
        "num_classes": (True, -1, 3.0, "3"),
        "mean": ((0.0, 0.0), (0.0, 0.0, float("nan")), ("a", "b", "c")),
    }
    for fact, values in wrong.items():
        for value in values:
            spoilt = copy.copy(backbone)
            setattr(spoilt, fact, value)
            with pytest.raises(ValueError, match=rf"{fact}.*: expected .*, found"):
                check_backbone(spoilt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": HUGE}, r"classifier.* must have the shape \(1000000000000, .*found \(3, "),
        ({"clip_shape": [10**9] * 4}, "clip_shape: expected .* at most 67108864 values, found"),
        ({"num_classes": "3"}, "builder and arguments: .*"),
        ({"depth": 3}, "movinet_small does not take the arguments .* unexpected keyword argument 'depth'"),
    ],
)
def test_arguments_of_the_wrong_kind_or_size_are_named(
    checkpoints: Path, arguments: dict[str, Any], message: str
) -> None:
    edit(checkpoints / "toy" / "backbone.json", lambda card: card["arguments"].update(arguments))
    with pytest.raises(WeightsError, match=message):
        zoo.load_backbone("toy", checkpoints)


def test_a_huge_codec_is_refused_before_it_is_built(checkpoints: Path) -> None:
    edit(checkpoints / "toy" / "4-Enc-B3.json", lambda card: card["arguments"].update(hidden_channels=10**6))
    with pytest.raises(WeightsError, match=r"4-Enc-B3\.safetensors: the tensor .* must have the shape"):
        zoo.load("toy/4-Enc-B3", checkpoints)


def test_a_card_never_imports_what_is_not_trusted(checkpoints: Path, own_package: str) -> None:
    for builder in (f"{own_package}.models:make", "os:system", "approxbit.cli:main"):
        edit(checkpoints / "toy" / "backbone.json", partial(dict.update, builder=builder, arguments={}))
        with pytest.raises(UntrustedError, match=r"backbone\.json: builder and arguments: .* is not trusted"):
            zoo.load("toy/4-Enc-B3", checkpoints)
    assert f"{own_package}.models" not in sys.modules


@pytest.mark.parametrize(
    ("attribute", "arguments", "message"),
    [
        ("make_no_backbone", {}, "must return an approxbit.Backbone, .* found a Net"),
        ("nothing", {}, "found nothing of that name"),
        ("nn", {}, "expected a function or class in own_nets.models, found a module"),
        ("make", {"num_classes": HUGE}, r"model.head.weight must have the shape \(1000000000000, 8\)"),
        ("make", {"clip_shape": [10**6] * 4}, "builder and arguments: "),
        ("make", {"depth": 3}, "TypeError: .* unexpected keyword argument 'depth'"),
        *(
            ("fail", {"kind": kind}, f"builder and arguments: {kind}: ")
            for kind in ("KeyError", "SystemExit", "MemoryError", "OSError", "ImportError")
        ),
        ("fail", {"kind": "RecursionError"}, "builder and arguments: RecursionError: "),
    ],
)
def test_trusted_code_may_fail_in_any_way(
    checkpoints: Path, own_package: str, attribute: str, arguments: dict[str, Any], message: str
) -> None:
    trust(own_package)
    builder = f"{own_package}.models:{attribute}"
    edit(checkpoints / "toy" / "backbone.json", partial(dict.update, builder=builder, arguments=arguments))
    if attribute == "make":  # weights that are its own, so that only the arguments are wrong
        backbone = zoo.build_backbone(builder)
        zoo.save_backbone(checkpoints / "own", backbone, builder)
        edit(checkpoints / "own" / "backbone.json", lambda card: card.update(arguments=arguments))
    with pytest.raises(WeightsError, match=message):
        zoo.load_backbone("own" if attribute == "make" else "toy", checkpoints)


def test_a_task_for_other_classes_is_refused(checkpoints: Path) -> None:
    path = checkpoints / "toy" / "backbone.json"
    backbone = zoo.load_backbone("toy", checkpoints)
    zoo.save_backbone(
        path.parent, backbone, "movinet_small", ARGUMENTS, Classification.of_names(tuple("abc"))
    )
    edit(path, lambda card: card["task"]["label_sets"][0].update(class_names=["a", "b"]))
    with pytest.raises(WeightsError, match="the label set classes has 2 classes, found a model of 3"):
        zoo.load_backbone("toy", checkpoints)
