"""ONNX Runtime gives what torch gives, without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from approxbit.engines.artefact import Reference, load_artefact, load_reference
from approxbit.engines.onnx_graph import OnnxGraph
from approxbit.engines.opening import open_edge, open_graph, open_server, open_whole
from approxbit.engines.runner import Runner
from approxbit.errors import ArtefactError, WireError
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format, torch_whole

OPENERS = (open_edge, open_server, open_whole)


@pytest.fixture(scope="module")
def reference(device_artefact: Path) -> Reference:
    return load_reference(load_artefact(device_artefact))


@pytest.mark.parametrize("num_threads", [1, 2])
def test_both_halves_give_the_reference(
    num_threads: int, device_artefact: Path, reference: Reference, movinet: OffloadedModel
) -> None:
    edge = open_edge(device_artefact, num_threads=num_threads)
    server = open_server(device_artefact, num_threads=num_threads)
    assert edge.code_format == server.code_format == movinet.code_format
    assert edge.clip_format == clip_format(movinet.backbone)
    for clip, packed in zip(reference.clip, reference.packed, strict=True):
        sent = edge.run(clip)
        assert sent.payload == packed.tobytes()
        assert sent.edge_ms > 0
        assert sent.encode_ms == 0
        found, expected = server.run([sent.payload]), movinet.server_runner().run([sent.payload])
        assert found.logits.dtype == np.float32
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
        assert found.server_ms > 0
        assert found.decode_ms == 0


def test_the_whole_model_runs_too(
    device_artefact: Path, reference: Reference, movinet: OffloadedModel
) -> None:
    runner = open_whole(device_artefact)
    assert runner.clip_format == clip_format(movinet.backbone)
    found = runner.run(reference.clip[0])
    expected = torch_whole(movinet.backbone).run(reference.clip[0])
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    assert found.whole_ms > 0


def test_a_result_outlives_the_next_call(device_artefact: Path, reference: Reference) -> None:
    server = open_server(device_artefact)
    first = server.run([reference.packed[0].tobytes()])
    kept = first.logits.copy()
    server.run([reference.packed[1].tobytes()])
    assert np.array_equal(first.logits, kept)


def test_threads_get_the_answers_to_their_own_codes(device_artefact: Path, reference: Reference) -> None:
    server = open_server(device_artefact)
    payloads = [row.tobytes() for row in reference.packed]
    expected = [server.run([payload]).logits for payload in payloads]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: server.run([payloads[number % 4]]).logits, range(40)))
    assert all(np.array_equal(logits, expected[number % 4]) for number, logits in enumerate(found))


def test_a_graph_with_an_open_batch_answers_all_codes_at_once(
    server_artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = load_artefact(server_artefact)
    packed = load_reference(artefact).packed
    payloads = [packed[number % 4].tobytes() for number in range(artefact.card.max_batch + 3)]
    server = open_server(server_artefact)
    singles = [server.run([payload]).logits[0] for payload in payloads[:4]]
    batches = []
    compute = OnnxGraph.run
    monkeypatch.setattr(
        OnnxGraph,
        "run",
        lambda graph, inputs: batches.append(len(inputs["packed"])) or compute(graph, inputs),  # type: ignore[func-returns-value]
    )
    found = server.run(payloads).logits
    assert batches == [artefact.card.max_batch, 3]
    assert len(found) == len(payloads)
    for number, logits in enumerate(found):
        np.testing.assert_allclose(logits, singles[number % 4], atol=1e-5)
    assert np.array_equal(server.run(payloads[:2]).logits, server.run(payloads[:2]).logits)


def test_a_graph_with_a_batch_of_one_answers_one_code_after_the_other(
    device_artefact: Path, reference: Reference
) -> None:
    server = open_server(device_artefact)
    assert server.graphs[0].max_batch == 1
    payloads = [packed.tobytes() for packed in reference.packed]
    singles = [server.run([payload]).logits[0] for payload in payloads]
    assert np.array_equal(server.run(payloads).logits, singles)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"expected the inputs \['packed'\], found \[\]"),
        ({"packed": np.zeros((1, 12), np.int8)}, r"packed: expected uint8 \[1, 12\], found int8 \[1, 12\]"),
        ({"packed": np.zeros((2, 12), np.uint8)}, "expected a batch of 1 to 1, found 2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    inputs: dict[str, np.ndarray], message: str, device_artefact: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        open_graph(load_artefact(device_artefact), "server").run(inputs)


def test_an_unknown_engine_is_refused(device_artefact: Path) -> None:
    with pytest.raises(ValueError, match="engine must be one of onnxruntime, tensorrt, found 'torch'"):
        open_edge(device_artefact, "torch")


@pytest.mark.parametrize("output_type", ["uint8", "int32"])
def test_a_code_in_int32_becomes_bytes(output_type: str, small_artefact: Callable[..., Path]) -> None:
    folder = small_artefact(output_type=output_type, dynamic_batch=4)
    reference = load_reference(load_artefact(folder))
    payload = open_edge(folder).run(reference.clip[0]).payload
    assert payload == reference.packed[0].tobytes()
    answer = open_server(folder).run([payload]).logits[0]
    np.testing.assert_allclose(answer, reference.answer[0], atol=1e-5)


def test_a_runner_needs_no_torch(device_artefact: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None\n"
        "import numpy as np\n"
        "from approxbit.engines.opening import open_edge\n"
        f"clip = np.load({str(device_artefact / 'reference.npz')!r})['clip'][0]\n"
        f"print(open_edge({str(device_artefact)!r}).run(clip).payload.hex())\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = load_reference(load_artefact(device_artefact)).packed[0].tobytes().hex()
    assert (finished.stdout.strip(), finished.stderr) == (expected, "")


@pytest.mark.parametrize(
    "clip",
    [np.zeros((3, 4, 20, 20)), np.zeros((3, 4, 20, 21), np.float32), np.zeros((4, 20, 20), np.float32)],
)
def test_a_clip_of_another_shape_or_type_is_refused(clip: np.ndarray, device_artefact: Path) -> None:
    for runner in (open_edge(device_artefact), open_whole(device_artefact)):
        with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, 4, 20, 20\], found float"):
            runner.run(clip)


def test_a_payload_of_another_length_is_refused(device_artefact: Path) -> None:
    with pytest.raises(WireError, match=r"code 0 of 1: payload: expected 12 bytes for"):
        open_server(device_artefact).run([b"\x00"])


@pytest.mark.parametrize("opener", OPENERS)
def test_a_provider_that_is_not_at_hand_is_refused(
    opener: Callable[..., Runner], device_artefact: Path
) -> None:
    with pytest.raises(ValueError, match="provider must be one of cpu, cuda, tensorrt, found 'gpu'"):
        opener(device_artefact, provider="gpu")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ValueError, match="provider 'cuda' needs ONNX Runtime's CUDAExecutionProvider"):
            opener(device_artefact, provider="cuda")


def test_no_thread_at_all_is_refused(device_artefact: Path) -> None:
    with pytest.raises(ValueError, match="num_threads must be at least 1, found 0"):
        open_edge(device_artefact, num_threads=0)


def test_an_artefact_without_the_whole_model_is_refused(server_artefact: Path) -> None:
    with pytest.raises(ArtefactError, match=r"holds no whole.onnx: export it with whole=True"):
        open_whole(server_artefact)


def test_another_whole_model_is_refused(device_artefact: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(device_artefact, tmp_path / "copy")
    (folder / "whole.onnx").write_bytes(b"another model")
    with pytest.raises(ArtefactError, match=r"whole.onnx: expected the sha256 [0-9a-f]{64}, found"):
        open_whole(folder)


def test_a_missing_onnxruntime_is_named(device_artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs onnxruntime: pip install onnxruntime"):
        open_edge(device_artefact)
