"""The command line: each command is a typed function in a file of its own.

Progress goes to standard error, results to standard output. Heavy rooms are imported inside the commands, so
that `approxbit --help` works on a device that has nothing but the base install.
"""

import os
import warnings
from typing import Any, List, Optional

import typer

from approxbit.cli.console import WRONG_USE, fail
from approxbit.cli.demo import demo
from approxbit.cli.evaluate import evaluate
from approxbit.cli.export import export
from approxbit.cli.import_backbone import import_backbone
from approxbit.cli.inspect import inspect
from approxbit.cli.measure import measure
from approxbit.cli.models import list_models
from approxbit.cli.new import new
from approxbit.cli.prior import prior
from approxbit.cli.push import push
from approxbit.cli.run import run
from approxbit.cli.select import select
from approxbit.cli.serve import serve
from approxbit.cli.train import train
from approxbit.errors import ApproxBitError, advise_install

app = typer.Typer(
    help="Video models shared by an edge device and a server through learned binary codes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would be most of the time that --help takes
)
_TAKES_ALL = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command(short_help="Answer videos over a shaped link; write a report.")(demo)
app.command(short_help="Answer your own video files.")(run)
app.command(short_help="Start a project for your own model and data.")(new)
app.command("import-backbone", short_help="Make a family of a published checkpoint.")(import_backbone)
app.command(short_help="Train a backbone or codecs by a recipe.", context_settings=_TAKES_ALL)(train)
app.command(short_help="Give codecs their tables for entropy coding.")(prior)
app.command(short_help="Measure the LUT of a family on this machine.")(measure)
app.command(short_help="Measure how right a family's answers are.")(evaluate)
app.command(short_help="Write the graphs of a model for a device.")(export)
app.command(short_help="Publish a family on the Hugging Face Hub.")(push)
app.command(short_help="Serve all configurations of a family.")(serve)
app.command(short_help="Say which arm serves an SLA best.")(select)
app.command("list", short_help="List the models and what was measured.")(list_models)
app.command(short_help="Show what is known of a family or a model.")(inspect)

NOT_INSTALLED = 2


def main(arguments: Optional[List[str]] = None) -> None:
    """Run one command and exit: 0, or 1 after an error, or 2 when the command line or a package is lacking.

    An error is a message on standard error; APPROXBIT_TRACEBACK=1 shows where it came from.
    """
    warnings.formatwarning = _format_warning
    try:
        app(args=arguments, prog_name="approxbit")
    except (ApproxBitError, ValueError, OSError, ImportError) as error:
        if os.environ.get("APPROXBIT_TRACEBACK"):
            raise
        if not isinstance(error, ImportError):
            fail(str(error), WRONG_USE)
        if error.name is None:  # one of ours, which already names what to install
            fail(str(error), NOT_INSTALLED)
        fail(f"this needs {advise_install(error.name)}", NOT_INSTALLED)


def _format_warning(message: Any, *_: Any, **__: Any) -> str:
    """A warning for people who did not write the line that it comes from."""
    return f"approxbit: {message}\n"
