"""`approxbit export`: a model for a device."""

from pathlib import Path
from typing import TYPE_CHECKING, List

import typer

from approxbit.cli.console import TRUST, say

if TYPE_CHECKING:
    from approxbit.offload import OffloadedModel

CONFIG = typer.Option(
    ...,
    "--config",
    help="Such as digits-movinet/16-Enc-B5; or, untrained, of a builder, such as mvitv2_b/64-Enc-B8 and "
    "my_package.models:make/64-Enc-B8.",
)
TARGET = typer.Option("onnxruntime", help="The target: a name under export/targets, or a JSON file.")
OUT = typer.Option(..., help="Folder for the artefact; an older export in it is replaced.")
WHOLE = typer.Option(False, "--whole", help="Also write whole.onnx, for a device that falls back to itself.")
TRITON = typer.Option(None, help="Also write a model repository of the Triton Inference Server here.")


def export(
    config: str = CONFIG,
    target: str = TARGET,
    out: Path = OUT,
    whole: bool = WHOLE,
    triton: Path = TRITON,
    trust: List[str] = TRUST,
) -> None:
    """Write both halves of a model as ONNX, check them against the target, say what to do on the device."""
    from approxbit.exporting.export import export_model
    from approxbit.exporting.gate import load_target
    from approxbit.exporting.triton import write_triton_repository

    chosen = load_target(target)
    model = _find_model(config)
    say(f"exporting {config} for {chosen.name}")
    folder = export_model(model, chosen, out, config, whole=whole)
    typer.echo(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if triton is not None:
        typer.echo(f"{write_triton_repository(folder, triton)}: the server half for Triton")
    guide = folder / "README.txt"
    if guide.is_file():
        typer.echo(guide.read_text())


def _find_model(name: str) -> "OffloadedModel":
    """A trained model of the zoo, or an untrained one of a builder."""
    from approxbit.trust import trust_package_of
    from approxbit.zoo import build, is_builder, load

    builder = name.partition("/")[0]
    if not is_builder(builder):
        return load(name)
    trust_package_of(builder)
    say(f"{name} is built anew: the weights of its codec are random, and those that {builder} does not load")
    return build(name).eval()
