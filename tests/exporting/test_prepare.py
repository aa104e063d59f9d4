"""Artefacts of a family: made once, made anew when what they depend on changes, never half."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from approxbit.datasets.digits import TASK
from approxbit.engines import finding
from approxbit.engines.artefact import load_artefact
from approxbit.engines.finding import Wanted, find_prepared
from approxbit.engines.prepared import load_prepared
from approxbit.exporting import prepare
from approxbit.exporting.prepare import prepare_family
from approxbit.zoo import card

FAMILY = "digits-tiny"


@pytest.fixture
def own_cache(cache: Path, prepared: Path, tmp_path: Path) -> Path:
    """A copy of the cache that a test may damage."""
    return shutil.copytree(cache, tmp_path / "cache")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is exported; a file that is no artefact takes its place."""
    names: list[str] = []

    def fake(model: object, target: object, folder: Path, name: str, whole: bool) -> Path:
        names.append(name)
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "export_model", fake)
    return names


def artefacts_in(cache: Path) -> set[str]:
    return {path.name for path in (cache / "artefacts").iterdir() if path.is_dir()}


def test_there_is_an_artefact_for_each_configuration_and_one_whole_model(prepared: Path) -> None:
    family = load_prepared(prepared)
    assert (family.family, family.task) == (FAMILY, TASK)
    assert set(family.artefacts) == {"8-Enc-B3", "4-NoEnc-B5"}
    for name, folder in family.artefacts.items():
        found = load_artefact(folder).card
        assert found.name == f"{FAMILY}/{name}"
        assert found.target["name"] == "onnxruntime"
    assert len(list(prepared.parent.rglob("whole.onnx"))) == 1
    assert (family.whole / "whole.onnx").is_file()


def test_a_second_start_exports_nothing(
    checkpoints: Path, cache: Path, prepared: Path, exported: list[str]
) -> None:
    said: list[str] = []
    before = artefacts_in(cache)
    assert prepare_family(FAMILY, checkpoints, cache, announce=said.append) == prepared
    assert (said, exported, artefacts_in(cache)) == ([], [], before)


def test_what_is_there_is_found_without_making_anything(
    checkpoints: Path, own_cache: Path, prepared: Path, tmp_path: Path
) -> None:
    path = find_prepared(FAMILY, checkpoints, own_cache)
    assert path == own_cache / "artefacts" / prepared.name
    assert find_prepared(FAMILY, checkpoints, own_cache, ["8-Enc-B3"]) is None  # its file was never written
    assert find_prepared(FAMILY, checkpoints, tmp_path / "empty") is None
    (load_prepared(path).whole / "whole.onnx").unlink()
    assert find_prepared(FAMILY, checkpoints, own_cache) is None


def test_a_single_configuration_uses_what_the_whole_family_made(
    checkpoints: Path, cache: Path, prepared: Path, exported: list[str]
) -> None:
    single = load_prepared(prepare_family(FAMILY, checkpoints, cache, ["4-NoEnc-B5"]))
    family = load_prepared(prepared)
    assert list(single.artefacts) == ["4-NoEnc-B5"]
    assert single.artefacts["4-NoEnc-B5"] == family.artefacts["4-NoEnc-B5"]
    assert single.whole == family.whole
    assert exported == []


@pytest.mark.parametrize("asked", [["9-Enc-B9"], []])
def test_configurations_must_be_the_familys(checkpoints: Path, cache: Path, asked: list[str]) -> None:
    with pytest.raises(ValueError, match=r"expected configurations among .*8-Enc-B3.*, found"):
        prepare_family(FAMILY, checkpoints, cache, asked)


@pytest.mark.parametrize("change", ["weights", "labels", "source", "target", "tools"])
def test_whatever_an_artefact_depends_on_is_in_its_name(
    checkpoints: Path,
    own_cache: Path,
    exported: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    root = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    if change == "weights":
        path = root / FAMILY / "8-Enc-B3.json"
        path.write_text(
            path.read_text().replace(card(f"{FAMILY}/8-Enc-B3", root).weights.fingerprint, "0" * 16)
        )
    elif change == "labels":
        path = root / FAMILY / "backbone.json"
        facts = json.loads(path.read_text())
        facts["task"]["label_sets"][0]["class_names"][0] = "another name"
        path.write_text(json.dumps(facts))
    elif change == "source":
        monkeypatch.setattr(finding, "hash_sources", lambda: "other")
    elif change == "target":
        monkeypatch.setattr(finding, "TARGET", "server")
    else:
        monkeypatch.setattr(finding, "version_of", lambda package: "99")
    before, said = artefacts_in(own_cache), []
    monkeypatch.setattr(prepare, "load_family", lambda *names: dict.fromkeys(("8-Enc-B3", "4-NoEnc-B5")))
    with pytest.raises(KeyboardInterrupt):
        prepare_family(FAMILY, root, own_cache, announce=said.append)
    assert len(exported) == 1
    count = 1 if change == "weights" else 2
    assert said == [
        f"exporting {count} models of {FAMILY} to ONNX, some seconds each; "
        f"they are kept in {own_cache / 'artefacts'}"
    ]
    assert artefacts_in(own_cache) == before  # the interrupted export left nothing


@pytest.mark.parametrize("file", ["edge.onnx", "whole.onnx", "card.json"])
def test_a_damaged_artefact_is_not_a_whole_one(prepared: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(load_prepared(prepared).whole, tmp_path / "copy")
    assert finding._is_artefact(folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:-9])
    assert not finding._is_artefact(folder)
    (folder / file).unlink()
    assert not finding._is_artefact(folder)


def test_a_damaged_artefact_is_made_anew(checkpoints: Path, own_cache: Path) -> None:
    path = prepare_family(FAMILY, checkpoints, own_cache)
    broken = load_prepared(path).artefacts["4-NoEnc-B5"] / "edge.onnx"
    good = broken.read_bytes()
    broken.write_bytes(good[:-9])
    said: list[str] = []
    assert prepare_family(FAMILY, checkpoints, own_cache, announce=said.append) == path
    assert len(said) == 1
    assert len(broken.read_bytes()) == len(good)
    assert artefacts_in(own_cache) == {path.name for path in load_prepared(path).artefacts.values()}


def test_without_the_exporters_a_made_artefact_still_serves(
    checkpoints: Path, cache: Path, prepared: Path, exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = finding.version_of
    monkeypatch.setattr(
        finding, "version_of", lambda package: "missing" if package == "onnxscript" else version(package)
    )
    assert load_prepared(prepare_family(FAMILY, checkpoints, cache)) == load_prepared(prepared)
    assert exported == []


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert finding.version_of("approxbit-nothing") == "missing"


def test_what_another_process_made_meanwhile_is_kept(own_cache: Path, checkpoints: Path) -> None:
    family = load_prepared(prepare_family(FAMILY, checkpoints, own_cache))
    folder = family.artefacts["8-Enc-B3"]
    made = shutil.copytree(folder, own_cache / "made")
    (folder / "mark").touch()
    prepare._publish(made, Wanted(FAMILY, folder, whole=True))
    assert (folder / "mark").exists()


def test_a_folder_that_cannot_be_renamed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare._publish(tmp_path / "none", Wanted(FAMILY, tmp_path / "there", whole=False))


def test_the_task_is_that_of_the_backbone_with_what_the_codec_was_trained_for(
    checkpoints: Path, cache: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    path = root / FAMILY / "8-Enc-B3.json"
    path.write_text(path.read_text().replace('"asked": "action_digit"', '"asked": "actions"'))
    (root / FAMILY / "4-NoEnc-B5.json").unlink()
    assert load_prepared(prepare_family(FAMILY, root, cache)).task == TASK.asking("actions")


def test_the_sources_that_are_hashed_are_there() -> None:
    package = Path(str(sys.modules["approxbit"].__file__)).parent
    assert all(list(package.glob(pattern)) for pattern in finding.SOURCES)
