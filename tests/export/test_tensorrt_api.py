"""Every name of TensorRT that we touch exists in every version in which it is touched."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.engines.tensorrt.library import Features, parse_version

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted(
    [
        *(REPOSITORY / "approxbit" / "engines" / "tensorrt").glob("*.py"),
        *(REPOSITORY / "export").glob("*.py"),
    ]
)
# Version, wheel, newest Python of its wheels. 10.3.0 is what JetPack 6.1 and 6.2 bring. 8.5.2 has no wheel.
VERSIONS = {
    "8.6.1": ("tensorrt-bindings", (3, 11)),
    "10.3.0": ("tensorrt-cu12-bindings", (3, 12)),
    "10.13.3.9": ("tensorrt-cu13-bindings", (3, 13)),
    "11.4.0.106": ("tensorrt-cu13-bindings", (3, 13)),
}
# Touched only where `Features`, or a `hasattr` beside it, has found them. Everything else exists everywhere.
ONLY_IN = {
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": {"8.6.1", "10.3.0", "10.13.3.9"},
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": {"10.3.0", "10.13.3.9", "11.4.0.106"},
    "BuilderFlag.FP16": {"8.6.1", "10.3.0", "10.13.3.9"},
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": {"8.6.1", "10.3.0", "10.13.3.9"},
    "ILayer.precision": {"8.6.1", "10.3.0", "10.13.3.9"},
    "ILayer.set_output_type": {"8.6.1", "10.3.0", "10.13.3.9"},
    "ParserError.node_name": {"10.3.0", "10.13.3.9", "11.4.0.106"},
    "ParserError.node_operator": {"10.3.0", "10.13.3.9", "11.4.0.106"},
}
# What `Features` asks for, by its own names.
FEATURES = {
    "explicit_batch": "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
    "strong_types": "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "weak_types": "BuilderFlag.FP16",
    "optimization_level": "IBuilderConfig.builder_optimization_level",
}


@pytest.fixture(scope="module")
def stubs(bindings: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = bindings.compile_stubs(tmp_path_factory.mktemp("stubs"))
    return folder


@pytest.fixture(scope="module")
def touched(touched_names_file: ModuleType) -> Iterator[object]:
    return touched_names_file.touched_names(SOURCES)  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_touched_name_exists(version: str, bindings: ModuleType, touched: object, stubs: Path) -> None:
    wheel, newest_python = VERSIONS[version]
    names, keywords = touched.names, touched.keywords  # type: ignore[attr-defined]
    found = bindings.Bindings(version, wheel, newest_python).look_up(names, stubs)
    expected = {name for name in names if version in ONLY_IN.get(name, VERSIONS)}
    present = {name for name, doc in found.items() if doc is not None}
    assert present == expected  # also: what a version lacks is what the table says
    features = Features.of_version(parse_version(version))
    assert vars(features) == {feature: name in present for feature, name in FEATURES.items()}
    for name, given in keywords.items():
        doc = found[name]
        assert doc is not None
        unknown = {keyword for keyword in given if f"{keyword}:" not in doc}
        assert not unknown, f"{name} has no keyword {unknown}: {doc}"


def test_the_table_of_names_of_some_versions_is_needed_whole(touched: object) -> None:
    assert set(ONLY_IN) <= touched.names  # type: ignore[attr-defined]


def test_the_names_are_found_in_the_sources(touched: object) -> None:
    names = touched.names  # type: ignore[attr-defined]
    assert {
        "Builder.build_serialized_network",
        "OnnxParser.parse_from_file",
        "IBuilderConfig.set_memory_pool_limit",
        "IOptimizationProfile.set_shape",
        "ITimingCache.serialize",
        "Runtime.deserialize_cuda_engine",
        "ICudaEngine.num_io_tensors",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.profiler",
        "IProfiler.report_layer_time",
        "MemoryPoolType.WORKSPACE",
        "init_libnvinfer_plugins",
        "ITensor.dtype",
    } <= names
    assert touched.keywords == {"IBuilderConfig.set_timing_cache": {"ignore_mismatch"}}  # type: ignore[attr-defined]


def test_a_name_that_no_version_has_would_be_seen(tmp_path: Path, touched_names_file: ModuleType) -> None:
    (tmp_path / "code.py").write_text("engine.max_batch_size\nself.trt.Old\nself._context.gone()\nother.x\n")
    touched = touched_names_file.touched_names([tmp_path / "code.py"])
    assert touched.names == {"ICudaEngine.max_batch_size", "Old", "IExecutionContext.gone"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_sources_run_on_python_3_8(path: Path) -> None:
    source = path.read_text()
    ast.parse(source, feature_version=(3, 8))
    assert "from __future__ import annotations" in source or "|" not in source
