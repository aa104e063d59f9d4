"""Rules about the file and its operators. Each yields what is wrong; an export without findings passes."""

from __future__ import annotations

from collections.abc import Iterator

from approxbit.exporting.gate.graph import (
    STANDARD_DOMAINS,
    attributes_of,
    find_malformation,
    is_external,
    size_in_bytes,
)
from approxbit.exporting.gate.operators import AttributeRule, remedy_for
from approxbit.exporting.gate.rule import Export, Finding, Rule

LARGEST_INLINE_BYTES = 1_500_000_000
"""Weights up to here lie in the file itself; protobuf ends at 2 GiB."""


def opset(export: Export) -> Iterator[Finding]:
    """The file has the opset that was asked for: a failed conversion is silent, and keeps a newer one."""
    asked, found = export.target.opset, export.view.opset
    if found != asked:
        yield Finding(
            f"the file is at opset {found}, the target asks for {asked}",
            "export at that opset; the dynamo exporter keeps a newer one, without a word, for what it cannot "
            "convert down (mean, pad): use the torchscript exporter for these",
        )


def ir_version(export: Export) -> Iterator[Finding]:
    """The file is not newer than the target's reader."""
    asked, found = export.target.ir, export.view.model.ir_version
    if found > asked:
        yield Finding(
            f"the file has IR version {found}, the target's newest is {asked}",
            f"set model.ir_version to {asked} before the file is written",
        )


def well_formed(export: Export) -> Iterator[Finding]:
    """ONNX's own checker passes, inference of shapes included."""
    found = find_malformation(export.view)
    if found is not None:
        yield Finding(
            f"the checker of onnx says: {found}", "the exporter made a broken file; export in another way"
        )


def local_functions(export: Export) -> Iterator[Finding]:
    """Functions that the file brings are there only where the parser writes them out."""
    functions = export.view.model.functions
    if functions and not export.table.has_local_functions:
        names = ", ".join(sorted(function.name for function in functions))
        yield Finding(
            f"{export.table.parser} does not read local functions ({names})",
            "write them out with onnx.inliner.inline_local_functions",
        )


def operators(export: Export) -> Iterator[Finding]:
    """Every operator is one of the target's."""
    for node in export.view.nodes:
        if node.domain not in STANDARD_DOMAINS:
            problem = f"the domain {node.domain!r} is not the standard one"
            yield Finding(problem, "express it with standard operators", node)
        elif node.op_type not in export.table.operators:
            problem = f"{node.op_type} is not among the operators of {export.table.parser}"
            yield Finding(problem, remedy_for(node.op_type), node)


def inputs(export: Export) -> Iterator[Finding]:
    """Inputs that the parser ignores, rejects or needs at build time are left out, or constant."""
    for rule in export.table.input_rules:
        for node in export.view.nodes:
            name = node.input[rule.position] if rule.position < len(node.input) else ""
            if node.op_type != rule.operator or not name:
                continue
            if rule.must_be == "absent":
                yield Finding(f"the input {rule.input_name} must be left out: {rule.why}", rule.remedy, node)
            elif name not in export.view.constants:
                yield Finding(f"the input {rule.input_name} must be constant: {rule.why}", rule.remedy, node)


def attributes(export: Export) -> Iterator[Finding]:
    """Attributes have values that the parser takes."""
    for node in export.view.nodes:
        rules = [rule for rule in export.table.attribute_rules if rule.operator == node.op_type]
        found = attributes_of(node) if rules else {}
        for rule in rules:
            if rule.attribute in found and not _allows(rule, found[rule.attribute]):
                expected = " or ".join(map(str, rule.allowed))
                problem = f"{rule.attribute} must be {expected}, found {found[rule.attribute]}"
                yield Finding(problem, "choose another form of the layer", node)


def single_outputs(export: Export) -> Iterator[Finding]:
    """Operators of which the parser takes one output have one."""
    for node in export.view.nodes:
        surplus = [name for name in node.output[1:] if name]
        if node.op_type in export.table.single_output and surplus:
            problem = f"{export.table.parser} takes the first output only, found {', '.join(surplus)} as well"
            yield Finding(problem, "export in eval mode, and leave out indices, masks and statistics", node)


def layer_norm(export: Export) -> Iterator[Finding]:
    """LayerNorm is written out where the target asks for it."""
    if export.target.layer_norm == "native" or "LayerNormalization" not in export.table.operators:
        return  # where the table lacks it, the rule of operators says so
    for node in export.view.nodes:
        if node.op_type == "LayerNormalization":
            problem = "the target asks for a LayerNorm that is written out"
            yield Finding(problem, remedy_for(node.op_type), node)


def weight_storage(export: Export) -> Iterator[Finding]:
    """Small weights lie in the file, large ones beside it."""
    tensors = export.view.initializers
    total = sum(map(size_in_bytes, tensors))
    outside = [tensor.name for tensor in tensors if is_external(tensor)]
    if outside and total <= LARGEST_INLINE_BYTES:
        yield Finding(
            f"{len(outside)} of {len(tensors)} constants lie in another file ({outside[0]}, for one), "
            f"though all have {total:,} bytes",
            f"keep weights of up to {LARGEST_INLINE_BYTES:,} bytes in the file: external_data=False",
        )
    if total > LARGEST_INLINE_BYTES and not outside:
        yield Finding(
            f"weights of {total:,} bytes lie in the file, which may not grow beyond 2 GiB",
            f"keep weights of more than {LARGEST_INLINE_BYTES:,} bytes beside it: external_data=True",
        )


def _allows(rule: AttributeRule, value: object) -> bool:
    return all(each in rule.allowed for each in (value if isinstance(value, (list, tuple)) else [value]))


STRUCTURE_RULES: tuple[Rule, ...] = (
    opset,
    ir_version,
    well_formed,
    local_functions,
    operators,
    inputs,
    attributes,
    single_outputs,
    layer_norm,
    weight_storage,
)
