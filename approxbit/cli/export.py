"""`approxbit export`: a model for a device."""

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

import typer

from approxbit.cli.console import TRUST, print_text, say

if TYPE_CHECKING:
    from approxbit.offload import OffloadedModel

CONFIG = typer.Option(
    ...,
    "--config",
    help="A family such as digits-movinet, for `approxbit run` and `approxbit.Edge`; one model of it, such "
    "as digits-movinet/16-Enc-B5; or, untrained, of a builder, such as mvitv2_b/64-Enc-B8 and "
    "my_package.models:make/64-Enc-B8.",
)
TARGET = typer.Option("onnxruntime", help="Of one model: a name under export/targets, or a JSON file.")
OUT = typer.Option(
    None,
    help="Folder for the artefact of one model, where an older export is replaced; or for the graphs of a "
    "family, which a device finds by APPROXBIT_CACHE. By default graphs for this machine, in its cache.",
)
WHOLE = typer.Option(False, "--whole", help="Also write whole.onnx, for a device that falls back to itself.")
TRITON = typer.Option(None, help="Also write a model repository of the Triton Inference Server here.")


def export(
    config: str = CONFIG,
    target: str = TARGET,
    out: Optional[Path] = OUT,
    whole: bool = WHOLE,
    triton: Optional[Path] = TRITON,
    trust: List[str] = TRUST,
) -> None:
    """Write both halves of a model as ONNX, check them against the target, say what to do on the device.

    Of a family, or without a folder to write to: the graphs that this package itself runs on a device, of
    every model and of the whole backbone; those that are there already are kept.
    """
    from approxbit.families import split_name

    if out is None or not split_name(config)[1]:
        if triton is not None or target != "onnxruntime":
            raise ValueError(
                "--target and --triton need one model and --out, such as digits-movinet/16-Enc-B5"
            )
        _prepare(config, out)
        return
    _export_one(config, target, out, whole, triton)


def _prepare(name: str, out: Optional[Path]) -> None:
    from approxbit.exporting.prepare import prepare_family
    from approxbit.families import split_name

    family, configuration = split_name(name)
    chosen = [configuration] if configuration else None
    print_text(str(prepare_family(family, cache=out, configurations=chosen, announce=say)))


def _export_one(config: str, target: str, out: Path, whole: bool, triton: Optional[Path]) -> None:
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
