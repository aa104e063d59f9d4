"""`approxbit prior`."""

from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import typer

from approxbit.cli.console import DATA, FAMILY, JSON, TRUST, print_json, print_table, progress

if TYPE_CHECKING:
    from approxbit.datasets.source import ClipSource
    from approxbit.datasets.windows import Windows

CHECKPOINTS = typer.Option(None, help="Folder of all families; by default the one that the zoo finds.")
CLIPS = typer.Option(8000, min=1, help="Training clips whose codes the priors learn from.")
TEST_CLIPS = typer.Option(2400, min=1, help="Test clips whose codes are coded to measure them.")
PRESET = typer.Option(
    "small",
    help="fast, or small: fewer bytes, about four times the time; or global: the fewest bytes for codes of "
    "few bits.",
)
WINDOWS = typer.Option(
    400,
    min=0,
    help="Long training videos whose windows the tables of updates learn from; 0 leaves these tables out.",
)
STEPS = typer.Option(400, min=1, help="Steps of training for each prior.")
SEED = typer.Option(0, help="For all random numbers.")
CONFIGURATIONS = typer.Option(
    [],
    "--configuration",
    help="Of a codec that gets one, such as 16-Enc-B5; can be repeated. By default all.",
)


def prior(
    family: str = FAMILY,
    checkpoints: Optional[Path] = CHECKPOINTS,
    data: Optional[str] = DATA,
    clips: int = CLIPS,
    test_clips: int = TEST_CLIPS,
    preset: str = PRESET,
    windows: int = WINDOWS,
    steps: int = STEPS,
    seed: int = SEED,
    configuration: List[str] = CONFIGURATIONS,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Give codecs of a family their priors for entropy coding; the codecs themselves stay as they are.

    Each file and card is written again, with another fingerprint: both sides of a link need the new files.
    """
    import sys

    from approxbit.training.prior_family import train_priors

    source, of_stream = _find_sources(
        family, checkpoints, data, {"train": clips, "test": test_clips}, windows
    )
    results = []
    with redirect_stdout(sys.stderr):  # progress bars
        for each in train_priors(
            family, source, checkpoints, preset, steps, seed, of_stream, tuple(configuration)
        ):
            results.append(each)
            text = f"{each.name}: {each.raw_bytes} -> {each.coded_bytes:.1f} bytes"
            progress().print(text, highlight=False, markup=False)
    if as_json:
        print_json([asdict(each) for each in results])
        return
    shifts = sorted({shift for each in results for shift in each.update_bytes})
    header = ["codec", "raw B", "coded B", "saved %", "before rounding B", "tables B"]
    header += [f"moved by {shift} frames B" for shift in shifts]
    rows = [
        [
            each.name,
            str(each.raw_bytes),
            f"{each.coded_bytes:.1f}",
            f"{each.saved_percent:.1f}",
            "-" if each.ideal_bytes is None else f"{each.ideal_bytes:.1f}",
            str(each.tables_bytes),
            *(f"{each.update_bytes[shift]:.1f}" for shift in shifts),
        ]
        for each in results
    ]
    print_table(header, rows)


def _find_sources(
    family: str, checkpoints: Optional[Path], data: Optional[str], num_clips: Dict[str, int], num_windows: int
) -> "Tuple[ClipSource, Optional[Windows]]":
    """Clips of a family's data, and windows of twice as long ones."""
    from approxbit.datasets.first import FirstClips
    from approxbit.datasets.table import find_source, open_source
    from approxbit.datasets.windows import windows_of
    from approxbit.zoo import load_family

    models = load_family(family, checkpoints)
    if not models:
        raise ValueError(f"the family {family} must have at least one configuration, found none")
    clip_shape = next(iter(models.values())).backbone.clip_shape
    found = open_source(data) if data else find_source(family, checkpoints)
    source = found.fitted(clip_shape)
    counts = {"train": num_windows, "test": max(1, num_windows // 4)}
    of_stream = windows_of(FirstClips(source, counts), clip_shape[1]) if num_windows else None
    return FirstClips(source, num_clips), of_stream
