"""The server half as a model repository of NVIDIA's Triton Inference Server.

    out/digits-movinet-16-Enc-B5/config.pbtxt
    out/digits-movinet-16-Enc-B5/labels.txt       if the classes have names
    out/digits-movinet-16-Enc-B5/1/model.onnx

Triton joins the codes of several devices to one batch: codes of one configuration all have the same size.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from approxbit.engines.artefact import Artefact, Card, TensorCard, load_artefact
from approxbit.files import PathLike, write_whole

CONFIG_FILE, LABELS_FILE, MODEL_FILE = "config.pbtxt", "labels.txt", "model.onnx"
MAX_QUEUE_DELAY_US = 2000
TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


def write_triton_repository(
    artefact_folder: PathLike, out: PathLike, max_batch: int = 8, with_tensorrt: bool = False
) -> Path:
    """Write one model of a repository; other models in it stay.

    Args:
        artefact_folder: What `export_model` wrote, for a target with a dynamic batch.
        out: The repository; made if it is not there.
        max_batch: Largest batch that Triton may make, at least 1.
        with_tensorrt: Whether ONNX Runtime shall hand the graph to TensorRT. The first call then builds an
            engine.

    Returns:
        The folder of the model.

    Raises:
        ArtefactError: The folder is not a whole artefact.
        ValueError: The graph takes no batch of `max_batch`.
    """
    artefact = load_artefact(artefact_folder)
    card = artefact.card
    _check_batch(card, max_batch)
    folder = Path(out) / model_name(card)
    (folder / "1").mkdir(parents=True, exist_ok=True)
    _copy_graph(artefact, folder / "1")
    if card.label_names:
        lines = "".join(f"{' '.join(name.split())}\n" for name in card.label_names)
        write_whole(folder / LABELS_FILE, lines)
    write_whole(folder / CONFIG_FILE, make_config(card, max_batch, with_tensorrt))
    return folder


def model_name(card: Card) -> str:
    """What Triton calls the model: the card's name without slashes, which would be folders."""
    return card.name.replace("/", "-")


def make_config(card: Card, max_batch: int, with_tensorrt: bool = False) -> str:
    """The text of `config.pbtxt`: a `ModelConfig` in protobuf's text format.

    Args:
        card: The artefact's.
        max_batch: Largest batch that Triton may make, at least 1.
        with_tensorrt: As for `write_triton_repository`.
    """
    graph = card.graphs["server"]
    preferred = sorted({max(1, max_batch // 2), max_batch})
    sections = [
        f"name: {_text(model_name(card))}",
        'platform: "onnxruntime_onnx"',
        f"default_model_filename: {_text(MODEL_FILE)}",
        f"max_batch_size: {max_batch}",
        _tensor("input", graph.inputs[0]),
        _tensor("output", graph.outputs[0], LABELS_FILE if card.label_names else None),
        f"dynamic_batching {{\n  preferred_batch_size: {preferred}\n"
        f"  max_queue_delay_microseconds: {MAX_QUEUE_DELAY_US}\n}}",
    ]
    if with_tensorrt:
        sections.append(_tensorrt(card))
    sections += [
        _parameter("configuration", str(card.code_format.configuration)),
        _parameter("fingerprint", f"{card.code_format.fingerprint:016x}"),
    ]
    return "\n".join(sections) + "\n"


def _tensor(side: str, tensor: TensorCard, labels: str | None = None) -> str:
    """One input or output; Triton counts the batch apart."""
    lines = [
        f"  name: {_text(tensor.name)}",
        f"  data_type: {TYPES[tensor.dtype]}",
        f"  dims: {[-1 if size is None else size for size in tensor.shape[1:]]}",
    ]
    if labels is not None:
        lines.append(f"  label_filename: {_text(labels)}")
    return "\n".join([f"{side} {{", *lines, "}"])


def _tensorrt(card: Card) -> str:
    precision = "FP32" if card.precision == "fp32" else "FP16"
    return f"""\
optimization {{
  execution_accelerators {{
    gpu_execution_accelerator {{
      name: "tensorrt"
      parameters {{ key: "precision_mode" value: "{precision}" }}
    }}
  }}
}}"""


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_text(key)} value {{ string_value: {_text(value)} }} }}"


def _text(value: str) -> str:
    """A string of the text format, which escapes as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _copy_graph(artefact: Artefact, folder: Path) -> None:
    """The graph under the name that Triton looks for; weights beside it under the name that it refers to."""
    graph = artefact.card.graphs["server"]
    names: list[str] = list(graph.files)
    for name in names:
        shutil.copyfile(artefact.folder / name, folder / (MODEL_FILE if name == graph.file else name))


def _check_batch(card: Card, max_batch: int) -> None:
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, found {max_batch}")
    if card.graphs["server"].inputs[0].shape[0] is not None:
        raise ValueError(
            f"the server graph for {card.target.get('name')} has a fixed batch of 1: export with a target "
            "whose dynamic_batch is set, such as server or onnxruntime"
        )
    if max_batch > card.max_batch:
        raise ValueError(
            f"max_batch must be at most {card.max_batch}, which the graph was exported for, found {max_batch}"
        )
