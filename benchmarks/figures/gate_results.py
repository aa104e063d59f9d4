"""What `gate.py` found: kept as JSON, shown as tables."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from documents import REPOSITORY, write_between
from rich.console import Console
from rich.table import Table

from approxbit.zoo import describe_machine

README = REPOSITORY / "export" / "README.md"
RTX_TARGET = "server"  # TensorRT-RTX is of the generation of its TensorRT
BEGIN, END = "<!-- gate: python benchmarks/figures/gate.py --resume --write -->", "<!-- end of gate -->"
HEADER = (
    "configuration",
    "gates passed",
    "flipped bits, float32",
    "answer error, float32",
    "flipped bits, mixed",
    "answer error, mixed",
    "TensorRT-RTX",
)


@dataclass
class Item:
    """What came of one graph.

    Attributes:
        subject: The configuration.
        role: `edge` or `server`.
        variant: How the graph was exported, in words.
        targets: That share it.
        violations: What each of them has against it.
        agreement: With the modules, as a card has it; None where it was not reached.
        error: Why the export or the comparison failed; None if neither did.
        num_nodes: Of the graph.
        seconds: Export, gate and comparison.
        rtx: `seconds` and `plan_bytes` of a build with TensorRT-RTX, or its `error`; None if not asked for.
    """

    subject: str
    role: str
    variant: str
    targets: list[str]
    violations: dict[str, list[str]] = field(default_factory=dict)
    agreement: dict[str, float] | None = None
    error: str | None = None
    num_nodes: int = 0
    seconds: float = 0.0
    rtx: dict[str, Any] | None = None

    @property
    def mixed(self) -> bool:
        """Whether products are in float16."""
        return " mixed" in self.variant

    @property
    def relative_error(self) -> float | None:
        """Largest difference of an answer in units of the largest answer."""
        if self.agreement is None or "answer_error" not in self.agreement:
            return None
        return self.agreement["answer_error"] / self.agreement["largest_answer"]

    def passes(self, target: str) -> bool:
        """Whether the target takes the graph and the graph computes what the modules do."""
        return not self.problems(target)

    def problems(self, target: str) -> list[str]:
        """What is wrong with the graph for a target, in words."""
        if self.error:
            return [self.error]
        refusal = (self.rtx or {}).get("error") if target == RTX_TARGET else None
        return [*self.violations[target], *([refusal] if refusal else [])]

    def line(self) -> str:
        """One line of progress."""
        bad = [name for name in self.targets if not self.passes(name)]
        verdict = f"FAILS {', '.join(bad)}" if bad else f"passes {', '.join(self.targets)}"
        built = f", RTX {self.rtx.get('seconds', 0):.1f} s" if self.rtx else ""
        return f"{self.subject} {self.variant}: {verdict} ({self.numbers()}; {self.seconds:.1f} s{built})"

    def numbers(self) -> str:
        """How far the graph is from the modules."""
        if self.agreement is None:
            return "not compared"
        if "flipped_share" in self.agreement:
            return f"flipped {self.agreement['flipped_share']:.2g}"
        return f"error {self.agreement['answer_error']:.2g} of {self.agreement['largest_answer']:.2g}"


class Results:
    """All items of a file; the file is whole after every `add`."""

    def __init__(self, path: Path, items: dict[str, Item], made: dict[str, str]):
        self.path, self.items, self.made = path, items, made

    @classmethod
    def open(cls, path: Path, resume: bool) -> Results:
        """A file's items, or none at all where nothing is to be resumed."""
        made = {"date": datetime.date.today().isoformat(), "machine": describe_machine()}
        if not resume or not path.exists():
            return cls(path, {}, made)
        document = json.loads(path.read_text())
        items = {key: Item(**values) for key, values in document["items"].items()}
        return cls(path, items, {**document["made"], **made})

    def has(self, subject: str, variant: str, targets: list[str], needs_rtx: bool) -> bool:
        """Whether a graph was exported, judged for these targets, and built if that is asked for.

        What broke down is to do again.
        """
        item = self.items.get(f"{subject} {variant}")
        if item is None or item.error or not set(targets) <= set(item.targets):
            return False
        return not needs_rtx or (item.rtx is not None and "error" not in item.rtx)

    def add(self, item: Item) -> None:
        """Keep an item, in the file too."""
        self.items[f"{item.subject} {item.variant}"] = item
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"made": self.made, "items": {key: asdict(each) for key, each in self.items.items()}}
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(document, indent=1))
        os.replace(temporary, self.path)

    def of(self, subject: str, target: str | None = None) -> list[Item]:
        """The graphs of a configuration, those of all targets or of one."""
        return [
            item
            for item in self.items.values()
            if item.subject == subject and (target is None or target in item.targets)
        ]

    @property
    def all_pass(self) -> bool:
        """Whether no graph has a problem for any target."""
        return all(item.passes(target) for item in self.items.values() for target in item.targets)


def print_table(results: Results, subjects: list[str], targets: list[str]) -> None:
    """Configuration x target, and below it what is wrong."""
    console = Console(width=140, highlight=False)
    title = f"{results.made['date']}, {results.made['machine']}; random weights where not digits-*"
    table = Table(title=title, box=None, title_justify="left")
    for column in ("configuration", "target", "gate", "flipped bits", "answer error", "of", "seconds"):
        table.add_column(column, justify="left" if column in ("configuration", "target", "gate") else "right")
    problems = []
    for subject in subjects:
        for target in targets:
            items = results.of(subject, target)
            if not items:
                continue
            found = [text for item in items for text in item.problems(target)]
            problems += [f"{subject}, {target}: {text}" for text in found]
            numbers = {key: value for item in items for key, value in (item.agreement or {}).items()}
            cells = (numbers.get(key) for key in ("flipped_share", "answer_error", "largest_answer"))
            verdict = f"{len(found)} violations" if found else "passes"
            seconds = f"{sum(item.seconds for item in items):.1f}"
            table.add_row(subject, target, verdict, *map(as_text, cells), seconds)
    console.print(table)
    for problem in problems:
        console.print(problem, markup=False)


def as_text(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def markdown(results: Results) -> str:
    """The table of export/README.md: one row for each configuration."""
    rows = [row_of(results, subject) for subject in sorted({item.subject for item in results.items.values()})]
    made = results.made
    return "\n".join(
        [
            f"{made['date']}, {made['machine']}. Bits as a share of all, "
            "errors as a share of the largest answer.",
            "",
            "| " + " | ".join(HEADER) + " |",
            "|---" * len(HEADER) + "|",
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )


def row_of(results: Results, subject: str) -> list[str]:
    items = results.of(subject)
    targets = sorted({target for item in items for target in item.targets})
    passed = [name for name in targets if all(item.passes(name) for item in results.of(subject, name))]
    failed = [name for name in targets if name not in passed]
    cells = [
        f"`{subject}`",
        f"{len(passed)} of {len(targets)}" + (f", not {', '.join(failed)}" * bool(failed)),
    ]
    for mixed in (False, True):
        kind = [item for item in items if item.mixed is mixed and item.agreement]
        flips = [
            item.agreement["flipped_share"] for item in kind if "flipped_share" in (item.agreement or {})
        ]
        errors = [item.relative_error for item in kind if item.relative_error is not None]
        cells += [as_text(max(values, default=None)) for values in (flips, errors)]
    built = [item.rtx for item in items if item.rtx]
    cells.append(("refused" if any("error" in each for each in built) else "builds") if built else "")
    return cells


def write_figures(results: Results) -> None:
    """Put the table between the markers of export/README.md."""
    write_between(README, BEGIN, END, markdown(results))
