"""A trained model -> the folder that travels to a device: both halves as ONNX, references, a card.

model + target -> views -> exporter -> onnxslim -> [mixed precision] -> file -> gate -> ONNX Runtime
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np

from approxbit.engines.artefact import (
    CARD_FILE,
    GRAPHS,
    Card,
    GraphCard,
    Reference,
    TensorCard,
    Tolerance,
    save_card,
    save_reference,
)
from approxbit.engines.artefact_file import PRIOR_FILE
from approxbit.engines.build_script import write_build_script
from approxbit.engines.finding import TOOLS, version_of
from approxbit.engines.runner import ClipFormat
from approxbit.errors import ExportError
from approxbit.exporting.gate import Target, check_graph, find_float32_layers
from approxbit.exporting.graph import (
    DATA_SUFFIX,
    export_graph,
    require_export_packages,
    save_graph,
)
from approxbit.exporting.guide import GUIDE_FILE, write_guide
from approxbit.exporting.reference import make_clips, make_reference
from approxbit.exporting.roles import GraphRole, check_agreement, make_roles
from approxbit.files import sha256_of_file, to_json, write_whole
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format

NUM_REFERENCES = 4


def export_model(
    model: OffloadedModel,
    target: Target,
    folder: str | os.PathLike[str],
    name: str,
    clips: np.ndarray | None = None,
    whole: bool = False,
) -> Path:
    """Export both halves for a target, check them, and write all that the target needs into one folder.

    Args:
        model: In eval mode, on the CPU.
        target: What the graphs are for.
        folder: Made if it is not there. An older export in it is replaced; a card is written last, so that
            a folder with a card is a whole one.
        name: What the card calls the model, such as `digits-movinet/16-Enc-B5`.
        clips: Prepared clips to compare with, float32 `[n, 3, time, height, width]`; by default four
            synthetic ones. Clips of the data that the model was trained for are the better test.
        whole: Whether to write `whole.onnx` as well, the unsplit backbone, for a device that falls back to
            itself.

    Returns:
        The folder.

    Raises:
        GateError: The target would refuse a graph, or a graph does not compute what the model does. The
            graph stays in the folder, to be looked at.
        ExportError: The exporter fails, or the model is a stream, which no graph can be.
        ValueError: The model is in training mode or not on the CPU, its clips are not square, or `clips` are
            not its clips.
        ImportError: A package of `approxbit[export]` is missing.

    Example:
        >>> export_model(model, load_target("orin-jp6"), "out", "mine/16-Enc-B5")  # doctest: +SKIP
    """
    require_export_packages()
    _check_device(model)
    expected = clip_format(model.backbone)
    clips = make_clips(expected, NUM_REFERENCES) if clips is None else clips
    _check_clips(clips, expected)
    roles = make_roles(model, target, clips, whole)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_older_export(folder)
    reference = make_reference(model, clips, whole)
    graphs, gate = _write_graphs(roles, target, folder, reference)
    card = _make_card(model, target, name, graphs, gate)
    save_reference(reference, folder)
    write_whole(folder / GUIDE_FILE, write_guide(card, target))
    if target.tensorrt is not None:
        write_build_script(folder)
    save_card(card, folder)
    return folder


def _write_graphs(
    roles: list[GraphRole], target: Target, folder: Path, reference: Reference
) -> tuple[dict[str, GraphCard], dict[str, Any]]:
    """Write each graph and check it; its card, and what the gate and the comparison reported."""
    graphs: dict[str, GraphCard] = {}
    gate: dict[str, Any] = {}
    for role in roles:
        path = folder / f"{role.name}.onnx"
        beside = save_graph(export_graph(role.view, role.example, role.interface, target), path)
        report = check_graph(path, target, role.name)
        report.raise_for_violations()
        agreement = check_agreement(path, role.name, reference, target.precision)
        graphs[role.name] = _describe(path, beside, target)
        gate[role.name] = {**report.as_dict(), "agreement": agreement.as_dict()}
    return graphs, gate


def _make_card(
    model: OffloadedModel, target: Target, name: str, graphs: dict[str, GraphCard], gate: dict[str, Any]
) -> Card:
    return Card(
        name=name,
        target=to_json(target),
        clip_format=clip_format(model.backbone),
        code_format=model.code_format,
        label_names=model.task.class_names,
        graphs=graphs,
        tolerance=Tolerance(),
        gate=gate,
        tools={package: version_of(package) for package in TOOLS},
        date=datetime.date.today().isoformat(),
    )


def _remove_older_export(folder: Path) -> None:
    """The card first: without it nothing takes the rest for an export."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    (folder / PRIOR_FILE).unlink(missing_ok=True)
    for name in GRAPHS:
        for path in (folder / f"{name}.onnx", folder / f"{name}.onnx{DATA_SUFFIX}"):
            path.unlink(missing_ok=True)


def _describe(path: Path, beside: tuple[str, ...], target: Target) -> GraphCard:
    """The card of a graph, as read from its file."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return GraphCard(
        file=path.name,
        sha256=sha256_of_file(path, ExportError),
        opset=next(each.version for each in model.opset_import if each.domain == ""),
        ir=model.ir_version,
        inputs=tuple(_tensor_card(value) for value in model.graph.input),
        outputs=tuple(_tensor_card(value) for value in model.graph.output),
        float32_layers=find_float32_layers(path) if target.precision == "weak-fp16" else (),
        external_data={name: sha256_of_file(path.parent / name, ExportError) for name in beside},
    )


def _tensor_card(value: Any) -> TensorCard:
    import onnx

    kind = value.type.tensor_type
    sizes = (each.dim_value if each.HasField("dim_value") else None for each in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return TensorCard(value.name, str(dtype), tuple(sizes))


def _check_device(model: OffloadedModel) -> None:
    found = {parameter.device.type for parameter in model.parameters()} - {"cpu"}
    if found:
        raise ValueError(f"a model is exported on the CPU, found parameters on {', '.join(sorted(found))}")


def _check_clips(clips: np.ndarray, expected: ClipFormat) -> None:
    shape = (3, expected.num_frames, expected.size, expected.size)
    if clips.dtype != np.float32 or clips.ndim != 5 or clips.shape[1:] != shape or len(clips) == 0:
        sizes = ", ".join(map(str, shape))
        raise ValueError(
            f"clips must be float32 [n, {sizes}], n at least 1, found {clips.dtype} {list(clips.shape)}"
        )
