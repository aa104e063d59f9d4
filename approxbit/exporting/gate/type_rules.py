"""Rules about the boundary of a graph and the types inside. Types have ONNX's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from approxbit.exporting.gate.float32_layers import float32_nodes
from approxbit.exporting.gate.graph import GraphView
from approxbit.exporting.gate.rule import Export, Finding, Rule

if TYPE_CHECKING:
    from onnx import NodeProto, ValueInfoProto

BOUNDARY_TYPES = ("FLOAT", "FLOAT16", "UINT8", "INT32")
INNER_TYPES = (*BOUNDARY_TYPES, "INT8", "INT64", "BOOL")
_FLOATS = ("FLOAT", "FLOAT16")
_MULTIPLIERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_AGREED = "name and shape the boundary as the artefact's card says"


def boundary(export: Export) -> Iterator[Finding]:
    """The edge makes `packed` of `clip`, the server `answer` of `packed`, the whole `answer` of `clip`."""
    view = export.view
    if export.role == "server":
        yield from _check_values("input", view.inputs, "packed", "UINT8", (2,), view)
    else:
        yield from _check_values("input", view.inputs, "clip", "FLOAT", (5,), view)
    if export.role == "edge":
        kind = export.target.output_type.upper()
        yield from _check_values("output", view.outputs, "packed", kind, (2,), view)
    else:
        yield from _check_values("output", view.outputs, "answer", "FLOAT", (2, 3), view)


def fixed_shapes(export: Export) -> Iterator[Finding]:
    """Nothing at the boundary is open, save the batch of a server graph whose target says so."""
    batch_is_open = export.role == "server" and export.target.dynamic_batch is not None
    for value in (*export.view.inputs, *export.view.outputs):
        sizes = _sizes(value)
        if batch_is_open and sizes[:1] != [None]:
            problem = f"the batch of {value.name!r} must be open, found {sizes[:1]}"
            yield Finding(problem, "export with a dynamic first axis")
        if None in (sizes[1:] if batch_is_open else sizes):
            problem = f"{value.name!r} must have a fixed shape{' but for the batch' if batch_is_open else ''}"
            yield Finding(f"{problem}, found {sizes}", "export without dynamic axes")


def boundary_types(export: Export) -> Iterator[Finding]:
    """No INT64, BOOL or DOUBLE crosses the boundary: 8.x clamps INT64 and 10.x binds it as it is."""
    for value in (*export.view.inputs, *export.view.outputs):
        found = export.view.types.get(value.name, "unknown")
        if found not in BOUNDARY_TYPES:
            problem = f"{value.name!r} must have one of the types {', '.join(BOUNDARY_TYPES)}, found {found}"
            remedy = "give the graph nothing but its clip or code; bind other arguments before the export"
            yield Finding(problem, remedy)


def uint8(export: Export) -> Iterator[Finding]:
    """UINT8 is made by a last Cast from float or read by first Casts to float; parsers take no other."""
    if export.table.has_uint8_inside:
        return
    view = export.view
    inputs, outputs = ({value.name for value in values} for values in (view.inputs, view.outputs))
    for name in (name for name, kind in view.types.items() if kind == "UINT8"):
        if name in inputs:
            yield from _check_uint8_input(view, name)
        elif name in outputs:
            yield from _check_uint8_output(view, name)
        else:
            problem = (
                f"{name!r} is UINT8 inside the graph; {export.table.parser} takes it at the boundary only"
            )
            yield Finding(problem, "compute in float, and cast last", view.producers.get(name))


def float_operators(export: Export) -> Iterator[Finding]:
    """Operators that the parser computes in float only are given floats."""
    for node in export.view.nodes:
        found = export.view.type_of_input(node)
        if node.op_type in export.table.float_only and found not in _FLOATS:
            problem = f"{export.table.parser} computes it in {' and '.join(_FLOATS)} only, found {found}"
            yield Finding(problem, "cast to float in front of it", node)


def inner_types(export: Export) -> Iterator[Finding]:
    """Values are tensors of types that every target has: no DOUBLE, no BFLOAT16, no lists of tensors."""
    for name, kind in export.view.types.items():
        if kind not in INNER_TYPES:
            problem = f"{name!r} is {kind}, expected one of {', '.join(INNER_TYPES)}"
            yield Finding(problem, "keep the module in float32", export.view.producers.get(name))


def known_types(export: Export) -> Iterator[Finding]:
    """Every value has a type that can be inferred: the other rules say nothing about one that has none."""
    known = {"", *export.view.types}  # an optional input that is left out has no name
    for node in export.view.nodes:
        unknown = [name for name in node.output if name not in known]
        if unknown and known.issuperset(node.input):  # else an earlier node is to blame
            problem = (
                f"the type of {', '.join(map(repr, unknown))} cannot be inferred, so it cannot be checked"
            )
            yield Finding(problem, "first do what the other violations ask for", node)


def half_precision(export: Export) -> Iterator[Finding]:
    """Only strongly typed graphs hold FLOAT16, and they compute their products in it."""
    view = export.view
    if export.target.precision == "strong-fp16":
        products = [node for node in view.nodes if node.op_type in _MULTIPLIERS]
        if not any(view.type_of_input(node) == "FLOAT16" for node in products):
            problem = "a strongly typed graph keeps its types, and no product of this one is in FLOAT16"
            yield Finding(problem, "export a module whose convolutions and linear layers are in float16")
        return
    found = [name for name, kind in view.types.items() if kind == "FLOAT16"]
    if found:
        problem = (
            f"{found[0]!r} is FLOAT16 ({len(found)} values are); a {export.target.precision} file has none"
        )
        yield Finding(problem, "export the module in float32", view.producers.get(found[0]))


def float32_islands(export: Export) -> Iterator[Finding]:
    """In strongly typed graphs softmax and LayerNorm, written out or not, read FLOAT."""
    if export.target.precision != "strong-fp16":
        return
    native = [node for node in export.view.nodes if node.op_type == "LayerNormalization"]
    for node in (*float32_nodes(export.view), *native):
        found = export.view.type_of_input(node)
        if found != "FLOAT":
            problem = f"it must read FLOAT, found {found}: its squares and sums overflow in half precision"
            yield Finding(problem, "cast to float32 in front of it, and back behind it", node)


def pinnable_names(export: Export) -> Iterator[Finding]:
    """In weakly typed graphs the nodes that must be pinned to FP32 have names, each its own."""
    if export.target.precision != "weak-fp16":
        return
    times = Counter(node.name for node in export.view.nodes)
    for node in float32_nodes(export.view):
        if not node.name or times[node.name] > 1:
            problem = "it must be pinned to FP32 by its name, and it has none of its own"
            yield Finding(problem, "name the nodes before the file is written", node)


def _check_values(
    what: str,
    values: tuple[ValueInfoProto, ...],
    name: str,
    kind: str,
    ranks: tuple[int, ...],
    view: GraphView,
) -> Iterator[Finding]:
    found = [f"{value.name} {view.types.get(value.name)} {_sizes(value)}" for value in values]
    fits = [(value.name, view.types.get(value.name)) for value in values] == [(name, kind)]
    if not fits or len(_sizes(values[0])) not in ranks:
        expected = f"one {what}, {name} {kind} with {' or '.join(map(str, ranks))} axes"
        yield Finding(f"expected {expected}, found {'; '.join(found) or 'none'}", _AGREED)


def _sizes(value: ValueInfoProto) -> list[int | None]:
    dimensions = value.type.tensor_type.shape.dim
    return [each.dim_value if each.HasField("dim_value") else None for each in dimensions]


def _check_uint8_input(view: GraphView, name: str) -> Iterator[Finding]:
    for node in view.readers.get(name, ()):
        if node.op_type != "Cast" or view.types.get(node.output[0]) not in _FLOATS:
            problem = f"it reads the UINT8 input {name!r}, which may go into a Cast to float only"
            yield Finding(problem, "cast the code to float before anything else", node)


def _check_uint8_output(view: GraphView, name: str) -> Iterator[Finding]:
    maker = view.producers.get(name)
    if maker is None or maker.op_type != "Cast" or view.type_of_input(maker) not in _FLOATS:
        found = "no node" if maker is None else f"{maker.op_type} from {view.type_of_input(maker)}"
        problem = f"the UINT8 output {name!r} must be made by a Cast from FLOAT or FLOAT16, found {found}"
        yield Finding(problem, "do everything else in float, and cast last", maker)
    yield from (_read_after_last(name, node) for node in view.readers.get(name, ()))


def _read_after_last(name: str, node: NodeProto) -> Finding:
    problem = f"it reads the UINT8 output {name!r}; nothing may follow the last Cast"
    return Finding(problem, "read the float in front of the Cast", node)


TYPE_RULES: tuple[Rule, ...] = (
    boundary,
    fixed_shapes,
    boundary_types,
    uint8,
    float_operators,
    inner_types,
    known_types,
    half_precision,
    float32_islands,
    pinnable_names,
)
