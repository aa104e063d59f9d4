"""`approxbit new`."""

from typing import List, Optional

import typer

from approxbit.cli.console import ARGUMENT, TRUST, print_text, read_arguments

NAME = typer.Argument(..., help="Of the project: its recipe is NAME.yaml and its family checkpoints/NAME.")
BACKBONE = typer.Option(
    ...,
    help="A builder (mvitv2_b), a function of yours (my_package.models:make) that gives what approxbit.split "
    "makes of your model, or a family of yours (import-backbone makes one).",
)
DATA = typer.Option(
    ..., metavar="SPEC", help="Clips to learn from, such as folders:clips/ or list:clips.csv."
)
WEIGHTS = typer.Option(None, help="For a builder: a published checkpoint by its name, path or address.")
CONFIGURATION = typer.Option("", help="Of the codec; by default 16 bits, about a third into the work.")


def new(
    name: str = NAME,
    backbone: str = BACKBONE,
    data: str = DATA,
    argument: List[str] = ARGUMENT,
    weights: Optional[str] = WEIGHTS,
    configuration: str = CONFIGURATION,
    trust: List[str] = TRUST,
) -> None:
    """Start a project: save your backbone as a family, and write the recipe that trains a codec for it."""
    from approxbit.training.project import start_project

    recipe = start_project(name, backbone, data, weights, read_arguments(argument), configuration)
    print_text(f"wrote {recipe}; next: approxbit train --config {recipe}")
