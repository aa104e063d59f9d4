"""`approxbit train`."""

from typing import List

import typer

from approxbit.cli.console import TRUST


def train(context: typer.Context, trust: List[str] = TRUST) -> None:
    """Train a backbone or codecs by a recipe: approxbit train --config RECIPE.yaml [OVERRIDES].

    All that follows goes to the recipe's own parser; `approxbit train -- --help` shows its options.
    """
    from approxbit.training.cli import main

    main(list(context.args))
