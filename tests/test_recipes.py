"""Every recipe opens with what it costs and gives, and the command it names parses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
RECIPES = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "recipes").rglob("*.yaml"))


def read_opening(recipe: str) -> dict[str, str]:
    """The `word: text` lines of the comment that a recipe begins with."""
    comment = re.match(r"(#.*\n)+", (REPOSITORY / recipe).read_text())
    lines = comment[0].splitlines() if comment else []
    found = (re.match(r"#\s+(command|hardware|wall time|expected):\s+(.+)", line) for line in lines)
    return {each[1]: each[2] for each in found if each}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_opens_with_command_hardware_wall_time_and_expected_metric(recipe: str) -> None:
    assert set(read_opening(recipe)) == {"command", "hardware", "wall time", "expected"}


# Lightning 2.6 calls a name of jsonargparse that the latter is about to drop.
@pytest.mark.filterwarnings(r"ignore:\s*(By default only one Jsonargparse|.*add_instantiator)")
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_of_a_recipe_parses(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from approxbit.training.cli import read_recipe

    program, subcommand, *arguments = shlex.split(read_opening(recipe)["command"])
    assert (program, subcommand) == ("approxbit", "train")
    assert recipe in arguments
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", [program])  # LightningCLI warns if pytest's own stand there
    parsed = read_recipe(arguments, instantiate=False).config
    assert parsed.model.class_path.startswith(("approxbit.training.", "approxbit.baselines."))
    assert parsed.data.class_path.startswith("approxbit.")


def test_there_are_recipes() -> None:
    assert RECIPES
