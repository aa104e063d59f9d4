"""What the package and its rooms export."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import approxbit
from approxbit.errors import EXTRAS, advise_install

PUBLIC_NAMES = [
    "AccuracySLA",
    "Answer",
    "ApproxBitError",
    "ArtefactError",
    "Backbone",
    "BackboneModule",
    "BandwidthEstimator",
    "Classification",
    "ClipData",
    "ClipSource",
    "Code",
    "Codec",
    "CodecModule",
    "CodecOptions",
    "Configuration",
    "CudaError",
    "DatasetError",
    "Edge",
    "EdgeStream",
    "EngineError",
    "ExportError",
    "Feature",
    "FeatureShape",
    "FingerprintError",
    "GateError",
    "GridLayout",
    "HashMismatchError",
    "LUT",
    "LUTError",
    "LUTRow",
    "LabelSet",
    "LatencySLA",
    "LinkError",
    "LinkTimeoutError",
    "ListedClips",
    "MissingKeyError",
    "NotCleanError",
    "OffloadPoint",
    "OffloadPoints",
    "OffloadedModel",
    "Packet",
    "ServerStream",
    "SplitModel",
    "StreamError",
    "TokenLayout",
    "Trace",
    "UnknownLayoutError",
    "UntrustedError",
    "VideoError",
    "WeightsError",
    "WireError",
    "WrongShapeError",
    "available",
    "build",
    "build_family",
    "card",
    "choose_offload_points",
    "load",
    "load_backbone",
    "load_family",
    "load_lut",
    "offload_points",
    "pack",
    "push",
    "save_backbone",
    "save_codec",
    "split",
    "trust",
    "unpack",
]
PACKAGE = Path(approxbit.__file__).parent
ROOMS = sorted(path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.glob("*/__init__.py"))


def test_the_public_names_are_these() -> None:
    assert approxbit.__all__ == PUBLIC_NAMES


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_public_name_is_there(name: str) -> None:
    value = getattr(approxbit, name)
    assert value.__name__ == name
    assert value.__module__.startswith("approxbit.")
    assert name in dir(approxbit)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_exports_what_it_says(room: Path) -> None:
    module = importlib.import_module(".".join(room.parts))
    names = list(getattr(module, "__all__", []))
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'approxbit' has no attribute 'nothing'"):
        approxbit.nothing  # noqa: B018


def test_a_missing_package_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(name="torch")

    monkeypatch.setattr(importlib, "import_module", refuse)
    monkeypatch.delitem(vars(approxbit), "OffloadedModel", raising=False)
    with pytest.raises(
        ImportError, match=r"OffloadedModel needs the package torch: pip install 'approxbit\[serve\]'"
    ):
        _ = approxbit.OffloadedModel


def test_the_version_is_the_installed_one() -> None:
    assert approxbit.__version__.count(".") >= 1


def test_a_star_import_brings_exactly_the_public_names() -> None:
    namespace: dict[str, object] = {}
    exec("from approxbit import *", namespace)
    assert sorted(set(namespace) - {"__builtins__"}) == PUBLIC_NAMES


def test_type_checkers_are_told_the_names_that_are_there() -> None:
    tree = ast.parse(Path(str(approxbit.__file__)).read_text())
    told = {
        alias.asname: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert told == {name: f"approxbit.{home}" for name, home in approxbit._HOME_OF.items()}


def test_the_extra_that_is_named_is_the_smallest_that_has_the_package() -> None:
    text = (PACKAGE.parent / "pyproject.toml").read_text()
    table = text.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = {
        name: set(re.findall(r'"([A-Za-z0-9-]+)[>=]', packages))
        for name, packages in re.findall(r"^([a-z]+) = \[(.*?)\]$", table, re.M | re.S)
    }
    for package, extra in EXTRAS.items():
        assert package in extras[extra]
    assert not extras["serve"] & {package for package, extra in EXTRAS.items() if extra != "serve"}
    assert advise_install("lightning.pytorch").startswith(
        "the package lightning: pip install 'approxbit[train]'"
    )
