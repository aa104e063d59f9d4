"""`approxbit measure`."""

from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Dict, List, Optional

import typer

from approxbit.cli.console import DATA, FAMILY, JSON, THREADS, TRUST, Engine, print_json, print_text, say
from approxbit.cli.select import print_lut

CLIPS = typer.Option(2400, min=1, help="Clips for the accuracies, at most.")
TIMED = typer.Option(60, min=1, help="Clips for the latencies.")
SPLIT = typer.Option(
    "validation", help="Of the data, whose clips to take; `test` spoils the test for what goes by the LUT."
)
BACKEND = typer.Option(
    None,
    help="What computes the edge side; by default ONNX Runtime, whose graphs are exported at first use, and "
    "torch for a family without codecs. The server side is torch's.",
)
TIMES_ONLY = typer.Option(
    False, "--times-only", help="Measure the latencies of the LUT that is there; bytes and accuracies stay."
)
OUT = typer.Option(
    None,
    help="Where to write the LUT; by default beside the family's checkpoints, unless they are on the hub.",
)


def measure(
    family: str = FAMILY,
    data: Optional[str] = DATA,
    split: str = SPLIT,
    clips: int = CLIPS,
    timed_clips: int = TIMED,
    times_only: bool = TIMES_ONLY,
    threads: int = THREADS,
    backend: Optional[Engine] = BACKEND,
    out: Optional[Path] = OUT,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Measure the LUT of a family on this machine: latency parts, bytes and accuracy of every arm."""
    import sys

    from approxbit.datasets.table import open_source
    from approxbit.errors import LUTError
    from approxbit.families import find_checkpoints
    from approxbit.families.hub import is_hub_name
    from approxbit.files import load_json
    from approxbit.profiling import profile_family
    from approxbit.select import LUT

    if out is None and is_hub_name(family):
        raise ValueError(
            f"expected --out FILE, as {family} cannot be written to; `select --lut FILE` reads it"
        )
    path = out if out is not None else find_checkpoints(family=family) / family / "lut.json"
    say(f"measuring {family}")
    with redirect_stdout(sys.stderr):  # progress bars
        lut = profile_family(
            family,
            open_source(data) if data else None,
            split=split,
            num_clips=clips,
            num_timed=timed_clips,
            num_threads=threads,
            backend=backend.value if backend else "",
            announce=say,
            known=LUT.load(path) if times_only else None,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    lut.save(path)
    if as_json:
        print_json(load_json(path, Dict[str, Any], LUTError))
        return
    print_lut(lut)
    print_text(f"LUT: {path}")
