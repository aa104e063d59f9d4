"""Generated parts of documents: what lies between two markers."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "benchmarks" / "RESULTS.md"


def replace_between(text: str, begin: str, end: str, content: str) -> str:
    """`text` with what lies between the markers replaced; the markers stay.

    Raises:
        ValueError: The markers are not there.
    """
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"expected the markers {begin!r} and {end!r}, found none")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def write_between(path: Path, begin: str, end: str, content: str) -> None:
    """Replace what lies between the markers of a file."""
    path.write_text(replace_between(path.read_text(), begin, end, content))
