"""The numbers in the README are those of the cards and LUTs that ship."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "figures.py"
spec = importlib.util.spec_from_file_location("figures", PATH)
figures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(figures)


def test_the_readme_shows_what_was_measured():
    text = figures.README.read_text()
    assert figures.replace_figures(text, figures.all_tables()) == text


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="expected the markers"):
        figures.replace_figures("no markers here", "tables")
