"""A trained model -> the folder that travels to a device: both halves as ONNX, references, a card.

model + profile -> views -> exporter -> onnxslim -> [mixed precision] -> file -> gate -> ONNX Runtime
"""

from __future__ import annotations

import datetime
import os
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from approxbit.engines.artefact import (
    CARD_FILE,
    Card,
    GraphCard,
    Reference,
    TensorCard,
    Tolerance,
    save_card,
    save_reference,
    sha256_of,
)
from approxbit.engines.artefact_file import write_text
from approxbit.engines.build_script import write_build_script
from approxbit.engines.export_graph import (
    DATA_SUFFIX,
    GraphInterface,
    export_graph,
    require_export_packages,
    save_graph,
)
from approxbit.engines.export_guide import GUIDE_FILE, write_guide
from approxbit.engines.export_reference import make_clips, make_reference, whole_answers
from approxbit.engines.gate import (
    CodeAgreement,
    Profile,
    check_graph,
    find_float32_layers,
    measure_agreement,
)
from approxbit.engines.gate.rule import Role
from approxbit.engines.runner import ClipFormat
from approxbit.engines.torch_runner import clip_format, code_format
from approxbit.engines.views import EdgeView, ServerView, WholeView
from approxbit.errors import GateError
from approxbit.offload import OffloadedModel

GRAPHS = ("edge", "server", "whole")
NUM_REFERENCES = 4
TOOLS = ("approxbit", "torch", "onnx", "onnxruntime", "onnxscript", "onnxslim")

FLOAT32_TOLERANCE = Tolerance(max_flipped_share=1e-3, max_answer_error=1e-3)
"""For a float32 graph under ONNX Runtime: rounding may flip a bit that is next to the threshold."""

LARGEST_ROUNDED_MARGIN = 0.01
"""In units of the mean margin: what rounding in float32 may flip; a bit beyond it is wrong, however rare."""


class _Role(NamedTuple):
    """One graph of the artefact."""

    name: Role
    view: nn.Module
    example: torch.Tensor
    interface: GraphInterface


def export_model(
    model: OffloadedModel,
    profile: Profile,
    folder: str | os.PathLike[str],
    name: str,
    clips: np.ndarray | None = None,
    whole: bool = False,
) -> Path:
    """Export both halves for a target, check them, and write all that the target needs into one folder.

    Args:
        model: In eval mode, on the CPU.
        profile: The target.
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
        ExportError: The exporter fails.
        ValueError: The model is in training mode or not on the CPU, its clips are not square, or `clips` are
            not its clips.
        ImportError: A package of `approxbit[export]` is missing.

    Example:
        >>> export_model(model, load_profile("orin-jp6"), "out", "mine/16-Enc-B5")  # doctest: +SKIP
    """
    require_export_packages()
    _check_device(model)
    expected = clip_format(model.backbone)
    clips = make_clips(expected, NUM_REFERENCES) if clips is None else clips
    _check_clips(clips, expected)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_older_export(folder)
    reference = make_reference(model, clips)
    gate: dict[str, Any] = {}
    for role in _roles(model, profile, clips, whole):
        report = _write(role, profile, folder)
        gate[role.name] = {**report, "agreement": _compare(role, model, profile, folder, reference)}
    card = _make_card(model, profile, folder, name, gate)
    save_reference(reference, folder)
    write_text(folder / GUIDE_FILE, write_guide(card, profile, whole))
    if profile.tensorrt is not None:
        write_build_script(folder)
    save_card(card, folder)
    return folder


def _make_card(
    model: OffloadedModel, profile: Profile, folder: Path, name: str, gate: dict[str, Any]
) -> Card:
    return Card(
        name=name,
        profile=profile.as_dict(),
        clip_format=clip_format(model.backbone),
        code_format=code_format(model),
        label_names=model.label_names,
        graphs={half: _describe(half, folder, profile, gate[half]) for half in ("edge", "server")},
        tolerance=Tolerance(),
        gate=gate,
        tools={package: _version(package) for package in TOOLS},
        date=datetime.date.today().isoformat(),
    )


def _remove_older_export(folder: Path) -> None:
    """The card first: without it nothing takes the rest for an export."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    for name in GRAPHS:
        for path in (folder / f"{name}.onnx", folder / f"{name}.onnx{DATA_SUFFIX}"):
            path.unlink(missing_ok=True)


def _roles(model: OffloadedModel, profile: Profile, clips: np.ndarray, whole: bool) -> list[_Role]:
    clip = torch.from_numpy(clips[:1])
    code = torch.zeros(1, code_format(model).payload_bytes, dtype=torch.uint8)
    has_open_batch = profile.dynamic_batch is not None
    roles = [
        _Role("edge", EdgeView(model, profile.output_type), clip, GraphInterface("clip", "packed")),
        _Role("server", ServerView(model), code, GraphInterface("packed", "answer", has_open_batch)),
    ]
    if whole:
        roles.append(_Role("whole", WholeView(model.backbone), clip, GraphInterface("clip", "answer")))
    return roles


def _write(role: _Role, profile: Profile, folder: Path) -> dict[str, Any]:
    """Write a graph and let it through the gate; what the card says of that."""
    path = folder / f"{role.name}.onnx"
    graph = export_graph(role.view, role.example, role.interface, profile)
    beside = save_graph(graph, path)
    report = check_graph(path, profile, role.name)
    report.raise_for_violations()
    return {
        **report.as_dict(),
        "file": path.name,
        "sha256": sha256_of(path),
        "external_data": {each: sha256_of(folder / each) for each in beside},
    }


def _compare(
    role: _Role, model: OffloadedModel, profile: Profile, folder: Path, reference: Reference
) -> dict[str, Any]:
    """Run a graph under ONNX Runtime against the model; what the card says of that."""
    tolerance = Tolerance() if profile.precision == "strong-fp16" else FLOAT32_TOLERANCE
    path = folder / f"{role.name}.onnx"
    arrays = vars(reference)
    if role.name == "whole":
        arrays = {"clip": reference.clip, "answer": whole_answers(model, reference.clip)}
    found = measure_agreement(path, arrays, tolerance)
    if isinstance(found, CodeAgreement) and profile.precision != "strong-fp16":
        limit = LARGEST_ROUNDED_MARGIN * float(reference.margin.mean(dtype=np.float64))
        if found.largest_flipped_margin > limit:
            raise GateError(f"{path} gives wrong bits: {found}; rounding flips none beyond {limit:.2g}")
    return found.as_dict()


def _describe(half: str, folder: Path, profile: Profile, gate: dict[str, Any]) -> GraphCard:
    """The card of a graph, as read from its file."""
    import onnx

    path = folder / gate["file"]
    graph = onnx.load(str(path), load_external_data=False).graph
    pinned = find_float32_layers(path) if profile.precision == "weak-fp16" else ()
    return GraphCard(
        file=path.name,
        sha256=gate["sha256"],
        opset=gate["opset"],
        ir=gate["ir"],
        inputs=tuple(_tensor_card(value) for value in graph.input),
        outputs=tuple(_tensor_card(value) for value in graph.output),
        float32_layers=pinned,
        external_data=gate["external_data"],
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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
