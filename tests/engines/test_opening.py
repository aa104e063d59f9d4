"""The three roles over engines, on a machine that seems to have TensorRT and CUDA."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from approxbit.engines.artefact import load_artefact, load_reference
from approxbit.engines.opening import open_edge, open_server, open_whole
from approxbit.engines.tensorrt.graph import TensorRTGraph, open_engine
from approxbit.errors import ArtefactError, EngineError, WireError

MakeArtefact = Callable[..., Path]
Device = Callable[[str], ModuleType]


@pytest.mark.parametrize("output_type", ["uint8", "int32"])
def test_the_edge_runner_gives_the_reference_codes(
    output_type: str, small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.5.2.2")
    folder = small_artefact(output_type=output_type)
    build_script.main([str(folder)])
    reference = load_reference(load_artefact(folder))
    with open_edge(folder, "tensorrt") as runner:
        results = [runner.run(clip) for clip in reference.clip]
        assert runner.code_format.payload_bytes == 8
        assert runner.clip_format.num_frames == 2
    assert [result.payload for result in results] == [row.tobytes() for row in reference.packed]
    assert all(result.edge_ms > 0 and result.encode_ms == 0 for result in results)


@pytest.mark.parametrize("dynamic_batch", [None, 4])
def test_the_server_runner_gives_the_reference_answers(
    dynamic_batch: int | None, small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("10.3.0")
    folder = small_artefact(precision="strong-fp16", dynamic_batch=dynamic_batch)
    build_script.main([str(folder), "--graph", "server"])
    reference = load_reference(load_artefact(folder))
    with open_server(folder, "tensorrt") as runner:
        payloads = [row.tobytes() for row in reference.packed]
        results = [runner.run([payload]) for payload in payloads]
        batch = runner.run([*payloads, *payloads])  # 8: more than the engine takes
    for result, expected in zip(results, reference.answer, strict=True):
        np.testing.assert_allclose(result.logits[0], expected, rtol=1e-5)  # the next run changes no result
        assert result.server_ms > 0
        assert result.decode_ms == 0
    np.testing.assert_allclose(batch.logits, np.tile(reference.answer, (2, 1)), rtol=1e-5)


def test_the_whole_runner_gives_the_answers_of_the_unsplit_model(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.6.2")
    folder = small_artefact(whole=True)
    assert build_script.main([str(folder), "--graph", "all"]) == 0
    reference = load_reference(load_artefact(folder))
    assert reference.whole_answer is not None
    with open_whole(folder, "tensorrt") as runner:
        results = [runner.run(clip) for clip in reference.clip]
        assert runner.clip_format.num_frames == 2
    for result, expected in zip(results, reference.whole_answer, strict=True):
        np.testing.assert_allclose(result.logits, expected, rtol=1e-5)
        assert result.whole_ms > 0
    with pytest.raises(ArtefactError, match=r"holds no whole\.onnx"):
        open_whole(small_artefact("halves"), "tensorrt")


def test_nothing_is_allocated_while_it_runs(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType, cudart: Path
) -> None:
    device("8.6.2")
    folder = small_artefact()
    build_script.main([str(folder)])
    live_blocks = ctypes.CDLL(str(cudart)).standin_live_blocks
    clip = load_reference(load_artefact(folder)).clip[0]
    with open_edge(folder, "tensorrt") as runner:
        before = live_blocks()
        (graph,) = runner.graphs
        assert isinstance(graph, TensorRTGraph)
        addresses = [(buffer.device, buffer.host) for buffer in graph.inputs.values()]
        for _ in range(3):
            runner.run(clip)
        assert live_blocks() == before
        assert addresses == [(buffer.device, buffer.host) for buffer in graph.inputs.values()]


def test_what_is_no_clip_or_no_code_is_refused(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.6.2")
    folder = small_artefact()
    build_script.main([str(folder), "--graph", "both"])
    with open_edge(folder, "tensorrt") as edge, open_server(folder, "tensorrt") as server:
        with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, 2, 2, 2\], found float64"):
            edge.run(np.zeros((3, 2, 2, 2)))
        with pytest.raises(WireError, match="8 bytes"):
            server.run([b"1234567"])


def test_an_engine_of_another_machine_is_not_taken(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.6.2")
    folder = small_artefact()
    build_script.main([str(folder)])
    device("8.6.3")
    with pytest.raises(
        EngineError, match=r"no accepted edge engine .* for Orin and TensorRT 8.6.3: build it"
    ):
        open_edge(folder, "tensorrt")
    (engine,) = (folder / "engines").glob("*.engine")
    with pytest.raises(EngineError, match=r"TensorRT 8.6.3 cannot read the engine: it was built by another"):
        open_engine(load_artefact(folder), "edge", engine)
    device("8.6.2")
    with open_engine(load_artefact(folder), "edge", engine) as graph:
        assert graph.backend == "TensorRT 8.6.2"


def test_a_refused_engine_is_not_taken(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.6.2").spoil = lambda name, array: ~array
    folder = small_artefact()
    assert build_script.main([str(folder)]) == 3
    with pytest.raises(EngineError, match="no accepted edge engine"):
        open_edge(folder, "tensorrt")
