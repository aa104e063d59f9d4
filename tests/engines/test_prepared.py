"""The file that names the artefacts of a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from approxbit.engines.artefact import ArtefactError
from approxbit.engines.prepared import PreparedFamily, load_prepared, save_prepared
from approxbit.tasks import QuestionAnswering

DOCUMENT: dict[str, Any] = {
    "format": "approxbit-prepared",
    "version": 1,
    "family": "toy",
    "task": {
        "kind": "classification",
        "label_sets": [
            {"name": "moves", "class_names": ["up", "down", "left"], "class_of": []},
            {"name": "axes", "class_names": ["vertical", "horizontal"], "class_of": [0, 0, 1]},
        ],
        "asked": "axes",
    },
    "whole": "toy--8-Enc-B3",
    "configurations": {
        "8-Enc-B3": {"artefact": "toy--8-Enc-B3", "feature_bytes": 4096},
        "4-NoEnc-B5": {"artefact": "toy--4-NoEnc-B5", "feature_bytes": 512},
    },
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**DOCUMENT, **changes}))
    return path


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    folders = {"8-Enc-B3": tmp_path / "a", "4-NoEnc-B5": tmp_path / "b"}
    family = PreparedFamily(
        "toy", QuestionAnswering(), tmp_path / "a", folders, {"8-Enc-B3": 4096, "4-NoEnc-B5": 512}
    )
    save_prepared(tmp_path / "toy.json", family)
    assert load_prepared(tmp_path / "toy.json") == family
    assert list(tmp_path.iterdir()) == [tmp_path / "toy.json"]


def test_some_of_the_configurations_can_be_had_alone(tmp_path: Path) -> None:
    family = load_prepared(write(tmp_path / "toy.json")).only(["4-NoEnc-B5"])
    assert family.artefacts == {"4-NoEnc-B5": tmp_path / "toy--4-NoEnc-B5"}
    assert family.whole == tmp_path / "toy--8-Enc-B3"
    with pytest.raises(ValueError, match="toy: expected configurations among 4-NoEnc-B5, found 9-Enc-B3"):
        family.only(["9-Enc-B3"])


def test_the_format_stays_as_it_is(tmp_path: Path) -> None:
    family = load_prepared(write(tmp_path / "toy.json"))
    assert family.whole == family.artefacts["8-Enc-B3"] == tmp_path / "toy--8-Enc-B3"
    assert family.task.asked == "axes"
    assert family.task.class_names == ("up", "down", "left")
    assert family.feature_bytes == {"8-Enc-B3": 4096, "4-NoEnc-B5": 512}
    save_prepared(tmp_path / "again.json", family)
    assert json.loads((tmp_path / "again.json").read_text()) == DOCUMENT


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "other"}, "format: expected 'approxbit-prepared', found 'other'"),
        ({"version": 2}, "version: expected 1, found 2"),
        ({"version": True}, "version: expected 1, found True"),
        ({"more": 1}, r"expected the keys family, .*; missing: none; unknown: 'more'"),
        ({"family": 3}, "family: expected text, found 3"),
        ({"task": None}, "task: expected a JSON object, found None"),
        ({"task": {"kind": "chess"}}, "task.kind: expected one of 'classification', .*, found 'chess'"),
        ({"task": {**DOCUMENT["task"], "asked": "x"}}, "task: expected one of the label sets moves, axes, f"),
        ({"whole": "../up"}, "whole: expected the name of a folder beside the file, found '../up'"),
        ({"configurations": {}}, "configurations: expected at least one, found none"),
        ({"configurations": {"a": 1}}, "configurations.a: expected a JSON object, found 1"),
        (
            {"configurations": {"a": {"artefact": "/b", "feature_bytes": 1}}},
            "configurations.a.artefact: expected the name of a folder beside the file, found '/b'",
        ),
        (
            {"configurations": {"a": {"artefact": "b", "feature_bytes": 0}}},
            "configurations.a.feature_bytes: expected a whole number above 0, found 0",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    path = write(tmp_path / "toy.json", **changes)
    with pytest.raises(ArtefactError, match=rf"toy\.json: {complaint}"):
        load_prepared(path)


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    with pytest.raises(ArtefactError, match=r"toy\.json: cannot be read: No such file"):
        load_prepared(path)
    path.write_text("{")
    with pytest.raises(ArtefactError, match=r"toy\.json: expected JSON, found"):
        load_prepared(path)
    path.write_text("[]")
    with pytest.raises(ArtefactError, match=r"toy\.json: expected a JSON object, found \[\]"):
        load_prepared(path)
