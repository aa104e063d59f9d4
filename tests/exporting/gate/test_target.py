"""The targets that come with approxbit, and what a file must hold to be one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from approxbit.engines import finding
from approxbit.exporting.gate import Target, load_target, target_names
from approxbit.files import from_json, to_json

NAMES = ("onnxruntime", "orin-jp5", "orin-jp6", "orin-jp6.0", "orin-jp7", "server", "xavier-jp5")
WEAK = {"xavier-jp5", "orin-jp5", "orin-jp6.0"}


def test_the_targets_are_these() -> None:
    assert target_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_target_survives_its_dictionary_and_json(name: str) -> None:
    loaded = load_target(name)
    assert loaded.name == name
    assert from_json(Target, json.loads(json.dumps(to_json(loaded))), "", ValueError) == loaded
    assert hash(loaded) == hash(load_target(name))


def test_the_oldest_targets_get_the_oldest_graphs() -> None:
    facts = {each: load_target(each) for each in NAMES}
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
    assert facts["onnxruntime"].reader == "ONNX Runtime"
    assert facts["orin-jp6"].reader == "TensorRT 10.3.0"


def test_a_target_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    own = replace(load_target("orin-jp6"), name="my-board", opset=20)
    path = tmp_path / "my-board.json"
    path.write_text(json.dumps(to_json(own)))
    assert load_target(path) == load_target(str(path)) == own


def test_an_unknown_name_is_refused() -> None:
    expected = r"expected a target \(onnxruntime, .*xavier-jp5\) or the path of a \.json file, found '\.\./x'"
    with pytest.raises(ValueError, match=expected):
        load_target("../x")


def changed(**changes: Any) -> dict[str, Any]:
    return {**to_json(load_target("xavier-jp5")), **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exporter": "tracing"}, "exporter: expected one of torchscript, dynamo, found 'tracing'"),
        ({"precision": "fp16"}, "precision: expected one of fp32, weak-fp16, strong-fp16, found 'fp16'"),
        ({"layer_norm": "none"}, "layer_norm: expected one of decomposed, native, found 'none'"),
        ({"output_type": "bool"}, "output_type: expected one of uint8, int32, found 'bool'"),
        (
            {"operator_table": "tensorrt-7"},
            "operator_table: expected one of tensorrt-8.5, .*, found 'tensorrt-7'",
        ),
        ({"operator_table": ["a"]}, r"operator_table: expected text, found \['a'\]"),
        ({"opset": "16"}, "opset: expected a whole number, found '16'"),
        ({"opset": True}, "opset: expected a whole number, found True"),
        ({"opset": 18}, "opset: expected 9 to 17, which onnx-tensorrt 8.5 documents, found 18"),
        ({"ir": None}, "ir: expected a whole number, found None"),
        ({"dynamic_batch": 0}, "dynamic_batch: expected a whole number of at least 1, found 0"),
        ({"device": ""}, "device: expected some words, found ''"),
        ({"jetpack": 5}, "jetpack: expected text, found 5"),
        ({"name": "a/b"}, r"name: expected letters, digits, '_', '\.' and '-', found 'a/b'"),
        ({"tensorrt": "new"}, r"tensorrt: expected a version such as '8\.5\.2', or null, found 'new'"),
        ({"tensorrt": None}, "tensorrt: expected null with the operator_table 'onnxruntime', else a version"),
        ({"python": None}, "python: expected text, found None"),
        ({"python": "three"}, "python: expected a version"),
        (
            {"precision": "strong-fp16"},
            r"precision: expected what onnx-tensorrt 8.5 can build \(fp32, weak-fp16\)",
        ),
        ({"layer_norm": "native"}, "layer_norm: expected 'decomposed' below opset 17, found 'native'"),
        ({"notes": "one"}, "notes: expected a list, found 'one'"),
        ({"speed": 1}, "expected the keys name, device, .*; missing: none; unknown: 'speed'"),
    ],
)
def test_a_wrong_entry_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_json(Target, changed(**changes), "", ValueError)


def test_a_missing_entry_is_named() -> None:
    entries = changed()
    del entries["opset"], entries["ir"]
    with pytest.raises(ValueError, match="missing: 'opset', 'ir'; unknown: none"):
        from_json(Target, entries, "", ValueError)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", r"expected a JSON object, found \[\]"),
        ("{", "expected JSON, found Expecting property name"),
        (json.dumps(changed()), "name: expected 'board', as the file is, found 'xavier-jp5'"),
    ],
)
def test_a_file_that_holds_no_target_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {says}"):
        load_target(path)


def test_an_installed_package_brings_the_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "approxbit"
    (installed / "_targets").mkdir(parents=True)
    own = replace(load_target("server"), name="only")
    (installed / "_targets" / "only.json").write_text(json.dumps(to_json(own)))
    monkeypatch.setattr(finding, "_PACKAGE", installed)
    assert target_names() == ("only",)
    assert load_target("only") == own


def test_a_package_without_targets_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_PACKAGE", tmp_path / "approxbit")
    with pytest.raises(ValueError, match=r"expected a folder of targets at .*_targets or .*export.targets"):
        target_names()
