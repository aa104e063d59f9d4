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


DOCUMENTS = (REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md"))
OPENINGS = [read_opening(recipe)["command"] for recipe in RECIPES]
FOUND = [line for path in DOCUMENTS for line in re.findall(r"^approxbit train .*", path.read_text(), re.M)]
COMMANDS = [line for line in FOUND if "mine.yaml" not in line]  # `approxbit new` writes that one


# Lightning 2.6 calls a name of jsonargparse that the latter is about to drop.
@pytest.mark.filterwarnings(r"ignore:\s*(By default only one Jsonargparse|.*add_instantiator)")
@pytest.mark.parametrize("command", [*OPENINGS, *COMMANDS])
def test_a_training_command_of_a_recipe_or_a_document_parses(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from approxbit.training.cli import read_recipe

    program, subcommand, *arguments = shlex.split(command, comments=True)
    assert (program, subcommand) == ("approxbit", "train")
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", [program])  # LightningCLI warns if pytest's own stand there
    parsed = read_recipe(arguments, instantiate=False).config
    assert parsed.model.class_path.startswith(("approxbit.training.", "approxbit.baselines."))
    assert parsed.data.class_path.startswith("approxbit.")


def test_a_recipe_names_itself() -> None:
    assert RECIPES
    assert COMMANDS
    assert all(recipe in command for recipe, command in zip(RECIPES, OPENINGS, strict=True))
