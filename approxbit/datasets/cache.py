"""Where files lie that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def find_cache(cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder `cache`; by default `$APPROXBIT_CACHE`, else `~/.cache/approxbit`; perhaps not there."""
    return Path(cache or os.environ.get("APPROXBIT_CACHE") or Path.home() / ".cache" / "approxbit")
