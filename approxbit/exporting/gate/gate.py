"""The gate after every export: what a target would refuse, or take and get wrong, stops here."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, get_args

from approxbit.exporting.gate.graph import read_graph
from approxbit.exporting.gate.report import GateReport, Violation
from approxbit.exporting.gate.rule import Export, Finding, Role, Rule
from approxbit.exporting.gate.structure_rules import STRUCTURE_RULES
from approxbit.exporting.gate.target import Target
from approxbit.exporting.gate.type_rules import TYPE_RULES

if TYPE_CHECKING:
    from onnx import ModelProto

RULES: tuple[Rule, ...] = (*STRUCTURE_RULES, *TYPE_RULES)


def check_graph(
    model: ModelProto | str | os.PathLike[str], target: Target, role: Role = "edge"
) -> GateReport:
    """What a target would say to a graph, found without the target.

    Every rule looks at every graph: the report holds all violations, not the first.

    Args:
        model: An ONNX model, or the path of one; a path it must be where weights lie in another file.
        target: That the graph was exported for.
        role: `edge` (clip to packed code), `server` (packed code to answer) or `whole` (clip to answer).

    Raises:
        GateError: The file holds no ONNX model. Violations are not raised: see `raise_for_violations`.
        ValueError: There is no such role.
        OSError: The file cannot be read.
        ImportError: onnx is not installed.
    """
    if role not in get_args(Role):
        raise ValueError(f"role must be one of {', '.join(get_args(Role))}, found {role!r}")
    export = Export(read_graph(model), target, role)
    violations = tuple(_violation(export, rule, finding) for rule in RULES for finding in rule(export))
    counts = Counter(node.op_type for node in export.view.nodes)
    return GateReport(
        target=target.name,
        role=role,
        opset=export.view.opset,
        ir=export.view.model.ir_version,
        operators=dict(sorted(counts.items())),
        violations=violations,
    )


def _violation(export: Export, rule: Rule, finding: Finding) -> Violation:
    name = rule.__name__
    node = finding.node
    if node is None:
        return Violation(name, finding.problem, finding.remedy, export.target.reader)
    called = node.name or f"(makes {node.output[0]})"
    operator = f"{node.op_type}-{export.view.opset}"
    return Violation(name, finding.problem, finding.remedy, export.target.reader, called, operator)
