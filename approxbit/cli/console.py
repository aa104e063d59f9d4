"""What all commands print with, and the options that they share."""

import json
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NoReturn, Sequence

import typer

from approxbit.trust import trust

if TYPE_CHECKING:
    from rich.console import Console

FAMILY = typer.Option(
    "digits-movinet",
    help="A family that `approxbit list` names, or one of the hub: hf://owner/name[@revision].",
)
THREADS = typer.Option(1, min=1, help="Threads for each operator of the models.")


def _trust_all(packages: List[str]) -> List[str]:
    trust(*packages)
    return packages


TRUST = typer.Option(
    [],
    "--trust",
    metavar="PACKAGE",
    callback=_trust_all,
    help="A package of yours whose code cards may name, such as my_package; can be repeated.",
)
DATA = typer.Option(
    None,
    "--data",
    metavar="SPEC",
    help="Clips to use, such as folders:clips/ (a folder for each class), list:clips.csv or "
    "my_package.data:make; by default those that the cards name.",
)
ARGUMENT = typer.Option(
    [],
    metavar="NAME=VALUE",
    help="Another argument of the builder, its value as JSON: 'clip_shape=[3,16,224,224]'; can be repeated.",
)
WRONG_USE = 1
INTERRUPTED = 130
PIPE_WIDTH = 1000
MAX_LINES = 20
MAX_LINE = 2000
JSON = typer.Option(False, "--json", help="Print one line of JSON instead.")


class Engine(str, Enum):
    """What computes the edge side."""

    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"


def progress() -> "Console":
    """Where people read how things go: standard error."""
    from rich.console import Console

    return Console(stderr=True)


def say(text: str) -> None:
    """A line about how things go."""
    progress().print(text, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(json.dumps(value) + "\n")


def print_text(text: str) -> None:
    """Plain text on standard output."""
    sys.stdout.write(_without_controls(text) + "\n")


def _without_controls(text: str) -> str:
    """A text whose characters only show themselves: names in cards may steer a terminal."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], num_text_columns: int = 1) -> None:
    """A table on standard output; an empty header makes none, and columns after the first hold numbers."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    cells = [[_without_controls(cell).replace("\n", " ") for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, show_header=bool(header))
    for index in range(max(map(len, [header, *cells]))):
        name = header[index] if header else ""
        table.add_column(name, justify="left" if index < num_text_columns else "right", overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    console = Console()
    if console.is_terminal:
        console.print(table, highlight=False)
        return
    wide = Console(width=PIPE_WIDTH)  # never fold what a program may read
    with wide.capture() as capture:
        wide.print(table, highlight=False)
    print_text("\n".join(line.rstrip() for line in capture.get().splitlines()))


def fail(message: str, code: int) -> NoReturn:
    """The message on standard error, then exit. Of a very long one, the middle is left out."""
    lines = [_shown(line) for line in message.splitlines() if line.strip()]
    first, *rest = lines or ["unknown error"]
    if len(rest) > MAX_LINES:
        rest = [*rest[: MAX_LINES // 2], "...", *rest[-MAX_LINES // 2 :]]
    sys.stderr.write("\n".join([f"approxbit: {first}", *("  " + line for line in rest)]) + "\n")
    raise SystemExit(code)


def _shown(line: str) -> str:
    """A line of a message without control characters, and no longer than anybody reads: cards hold both."""
    half = MAX_LINE // 2
    shown = line if len(line) <= MAX_LINE else f"{line[:half]} ... {line[-half:]}"
    return _without_controls(shown).rstrip()


def read_arguments(texts: List[str]) -> Dict[str, Any]:
    """What `--argument NAME=VALUE` says, values as JSON or else as text.

    Raises:
        ValueError: One of them is not of that form.
    """
    arguments: Dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
        if not equals or not name:
            raise ValueError(
                f"expected --argument NAME=VALUE, such as clip_shape=[3,16,224,224], found {text!r}"
            )
    return arguments
