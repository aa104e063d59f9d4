"""The profiles that come with approxbit, and what a file must hold to be one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from approxbit.exporting.gate import Profile, load_profile, profile, profile_names

NAMES = ("onnxruntime", "orin-jp5", "orin-jp6", "orin-jp6.0", "orin-jp7", "server", "xavier-jp5")
WEAK = {"xavier-jp5", "orin-jp5", "orin-jp6.0"}


def test_the_profiles_are_these() -> None:
    assert profile_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_survives_its_dictionary_and_json(name: str) -> None:
    loaded = load_profile(name)
    assert loaded.name == name
    assert Profile.from_dict(json.loads(json.dumps(loaded.as_dict()))) == loaded
    assert hash(loaded) == hash(load_profile(name))


def test_the_oldest_targets_get_the_oldest_graphs() -> None:
    facts = {each: load_profile(each) for each in NAMES}
    assert {name: each.opset for name, each in facts.items() if name in WEAK} == {
        "orin-jp5": 16,
        "orin-jp6.0": 17,
        "xavier-jp5": 16,
    }
    assert {name for name, each in facts.items() if each.layer_norm == "decomposed"} == {
        "orin-jp5",
        "xavier-jp5",
    }
    assert {name for name, each in facts.items() if each.exporter == "torchscript"} == WEAK
    assert {name for name, each in facts.items() if each.dynamic_batch} == {"onnxruntime", "server"}
    assert facts["onnxruntime"].target == "ONNX Runtime"
    assert facts["orin-jp6"].target == "TensorRT 10.3.0"


def test_a_profile_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    own = replace(load_profile("orin-jp6"), name="my-board", opset=20)
    path = tmp_path / "my-board.json"
    path.write_text(json.dumps(own.as_dict()))
    assert load_profile(path) == load_profile(str(path)) == own


def test_an_unknown_name_is_refused() -> None:
    expected = (
        r"expected a profile \(onnxruntime, .*xavier-jp5\) or the path of a \.json file, found '\.\./x'"
    )
    with pytest.raises(ValueError, match=expected):
        load_profile("../x")


def changed(**changes: Any) -> dict[str, Any]:
    return {**load_profile("xavier-jp5").as_dict(), **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exporter": "tracing"}, "exporter must be one of torchscript, dynamo, found 'tracing'"),
        ({"precision": "fp16"}, "precision must be one of fp32, weak-fp16, strong-fp16, found 'fp16'"),
        ({"layer_norm": "none"}, "layer_norm must be one of decomposed, native, found 'none'"),
        ({"output_type": "bool"}, "output_type must be one of uint8, int32, found 'bool'"),
        (
            {"operator_table": "tensorrt-7"},
            "operator_table must be one of tensorrt-8.5, .*, found 'tensorrt-7'",
        ),
        ({"operator_table": ["a"]}, r"operator_table must be one of .*, found \['a'\]"),
        ({"opset": "16"}, "opset must be a whole number of at least 1, found '16'"),
        ({"opset": True}, "opset must be a whole number of at least 1, found True"),
        ({"opset": 18}, "opset must be 9 to 17, which onnx-tensorrt 8.5 documents, found 18"),
        ({"ir": None}, "ir must be a whole number of at least 1, found None"),
        ({"dynamic_batch": 0}, "dynamic_batch must be a whole number of at least 1, found 0"),
        ({"device": ""}, "device must be text, found ''"),
        ({"jetpack": 5}, "jetpack must be text, found 5"),
        ({"name": "a/b"}, r"name must be letters, digits, '_', '\.' and '-', found 'a/b'"),
        ({"tensorrt": "new"}, r"tensorrt must be a version such as '8\.5\.2', found 'new'"),
        ({"tensorrt": None}, "tensorrt must be null with the operator_table 'onnxruntime', else a version"),
        ({"python": None}, "python must be text, found None"),
        ({"python": "three"}, "python must be a version"),
        (
            {"precision": "strong-fp16"},
            r"precision must be what onnx-tensorrt 8.5 can build \(fp32, weak-fp16\)",
        ),
        ({"layer_norm": "native"}, "layer_norm must be 'decomposed' below opset 17, found 'native'"),
        ({"notes": "one"}, "notes must be a list of texts, found 'one'"),
        ({"speed": 1}, "unknown keys speed; a profile has name, device"),
    ],
)
def test_a_wrong_entry_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Profile.from_dict(changed(**changes))


def test_a_missing_entry_is_named() -> None:
    entries = changed()
    del entries["opset"], entries["ir"]
    with pytest.raises(ValueError, match="missing keys opset, ir"):
        Profile.from_dict(entries)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "a profile must be an object with keys, found list"),
        ("{", "Expecting property name"),
        (json.dumps(changed()), "name must be 'board', the name of the file, found 'xavier-jp5'"),
    ],
)
def test_a_file_that_holds_no_profile_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {says}"):
        load_profile(path)


def test_an_installed_package_brings_the_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "approxbit"
    (installed / "_profiles").mkdir(parents=True)
    own = replace(load_profile("server"), name="only")
    (installed / "_profiles" / "only.json").write_text(json.dumps(own.as_dict()))
    monkeypatch.setattr(profile, "_PACKAGE", installed)
    assert profile_names() == ("only",)
    assert load_profile("only") == own


def test_a_package_without_profiles_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "_PACKAGE", tmp_path / "approxbit")
    with pytest.raises(
        ValueError, match=r"expected a folder of profiles at .*_profiles or .*export.profiles"
    ):
        profile_names()
