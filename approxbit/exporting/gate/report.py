"""What the gate found, in words and for the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from approxbit.errors import GateError

_MOST_IN_WORDS = 20


@dataclass(frozen=True)
class Violation:
    """One thing that a target would refuse, or take and get wrong.

    Attributes:
        rule: Which rule found it.
        problem: What is wrong.
        remedy: What to do.
        reader: What would read the graph, such as `TensorRT 8.5.2`.
        node: Name of the node; None where the whole file is meant.
        operator: The node's operator with the opset of the file, such as `ReduceMean-18`.
    """

    rule: str
    problem: str
    remedy: str
    reader: str
    node: str | None = None
    operator: str | None = None

    def __str__(self) -> str:
        where = "" if self.node is None else f"{self.operator} {self.node!r}: "
        return f"{where}{self.problem} [{self.reader}, rule {self.rule}]; remedy: {self.remedy}"


@dataclass(frozen=True)
class GateReport:
    """What the gate of a target found in one graph.

    Attributes:
        target: Name of the target.
        role: `edge`, `server` or `whole`.
        opset: Version of the standard operators in the file.
        ir: IR version of the file.
        operators: How often each operator occurs.
        violations: What must change; empty if the graph passes.
    """

    target: str
    role: str
    opset: int | None
    ir: int
    operators: Mapping[str, int] = field(hash=False)
    violations: tuple[Violation, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the target takes the graph."""
        return not self.violations

    def raise_for_violations(self) -> None:
        """Do nothing for a graph that passes.

        Raises:
            GateError: It does not; the message lists the violations.
        """
        if not self.passes:
            raise GateError(str(self))

    def as_dict(self) -> dict[str, Any]:
        """What a card holds, for JSON."""
        return {
            **asdict(self),
            "violations": [asdict(each) for each in self.violations],
            "passes": self.passes,
        }

    def __str__(self) -> str:
        head = f"the {self.role} graph (opset {self.opset}, {sum(self.operators.values())} nodes)"
        if self.passes:
            return f"{head} passes the gate of {self.target}"
        lines = [f"- {each}" for each in self.violations[:_MOST_IN_WORDS]]
        if len(self.violations) > _MOST_IN_WORDS:
            lines.append(f"- and {len(self.violations) - _MOST_IN_WORDS} more")
        title = f"{head} fails the gate of {self.target}; violations: {len(self.violations)}"
        return "\n".join([title, *lines])
