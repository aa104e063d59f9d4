"""`approxbit train`."""

from typing import List

import typer

from approxbit.cli.console import INTERRUPTED, TRUST, fail


def train(context: typer.Context, trust: List[str] = TRUST) -> None:
    """Train a backbone or codecs by a recipe: approxbit train --config RECIPE.yaml [OVERRIDES].

    All that follows goes to the recipe's own parser; `approxbit train -- --help` shows its options.
    Ctrl-C ends it with 130; the same command then goes on where it was.
    """
    from approxbit.training.cli import main

    try:
        main(list(context.args))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from the last checkpoint, if there is one", INTERRUPTED)
