"""Every recipe parses, and opens with what it costs and gives."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
RECIPES = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / "recipes").rglob("*.yaml"))


def opening_comment(path: Path) -> str:
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lower())
    return "\n".join(lines)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_parses(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from approxbit.training.cli import parse_recipe

    monkeypatch.chdir(REPOSITORY)
    parsed = parse_recipe(REPOSITORY / recipe)
    assert parsed.model.class_path.startswith("approxbit.")


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_opens_with_command_hardware_wall_time_and_expected_metric(recipe: Path) -> None:
    opening = opening_comment(REPOSITORY / recipe)
    for word in ("command:", "hardware:", "wall time:", "expected:"):
        assert word in opening, f"{recipe} does not say its {word}"
    assert f"--config {recipe}" in opening


def test_there_are_recipes() -> None:
    assert RECIPES
