"""`approxbit train`."""

import typer


def train(context: typer.Context) -> None:
    """Train a backbone or codecs by a recipe: approxbit train --config RECIPE.yaml [OVERRIDES].

    All that follows goes to the recipe's own parser; `approxbit train -- --help` shows its options.
    """
    from approxbit.training.cli import main

    main(list(context.args))
