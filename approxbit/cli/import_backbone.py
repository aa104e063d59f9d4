"""`approxbit import-backbone`: weights that their authors published, as a family."""

import shlex
from pathlib import Path
from typing import List, Optional

import typer

from approxbit.cli.console import ARGUMENT, JSON, TRUST, print_json, print_text, read_arguments, say

CHECKPOINT = typer.Option(
    None,
    help="A file of SlowFast, mmaction2, torchvision or Atze00, or with the builder's own names; an address; "
    "or a short name such as mvitv2-b-ssv2, which also says the builder and the number of classes.",
)
BUILDER = typer.Option(None, help="Such as mvitv2_b, or an import path of yours, my_package.models:make.")
NEW_FAMILY = typer.Option(..., "--family", help="Name of the family to make.")
NUM_CLASSES = typer.Option(
    None, min=1, help="Classes of the answer, where they are not the builder's default."
)
LABELS = typer.Option(
    None,
    help="Names of the classes: text with one on each line, a JSON list, or a JSON table of name to index.",
)
LICENSE = typer.Option("NOASSERTION", help="SPDX identifier of the weights' license, for the card.")
CHECKPOINTS = typer.Option(
    None, help="Folder of all families; by default $APPROXBIT_CHECKPOINTS, else checkpoints here."
)


def import_backbone(
    family: str = NEW_FAMILY,
    checkpoint: Optional[str] = CHECKPOINT,
    builder: Optional[str] = BUILDER,
    num_classes: Optional[int] = NUM_CLASSES,
    labels: Optional[Path] = LABELS,
    argument: List[str] = ARGUMENT,
    license: str = LICENSE,
    checkpoints: Optional[Path] = CHECKPOINTS,
    trust: List[str] = TRUST,
    as_json: bool = JSON,
) -> None:
    """Make a family of a published checkpoint: its backbone, checked key by key, and its card.

    The card says the SHA-256 of the file. Codecs are then trained for the family by a recipe.
    """
    from dataclasses import asdict

    from approxbit.backbones.official import KNOWN_CHECKPOINTS
    from approxbit.datasets.class_names import read_class_names
    from approxbit.families.folder import own_checkpoints
    from approxbit.tasks import Classification
    from approxbit.zoo import import_backbone as make_family

    known = KNOWN_CHECKPOINTS.get(checkpoint or "")
    builder = builder or (known.builder if known else None)
    if builder is None:
        raise ValueError("expected --builder, such as mvitv2_b or my_package.models:make")
    names = read_class_names(labels) if labels else []
    arguments = read_arguments(argument)
    num_classes = num_classes or (known.num_classes if known else None)
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    words = [
        ("--checkpoint", checkpoint and checkpoint.rpartition("/")[2]),  # names alone: no path of a machine
        ("--builder", builder),
        *(("--argument", each) for each in argument),
        ("--num-classes", num_classes and str(num_classes)),
        ("--family", family),
        ("--labels", labels and labels.name),
    ]
    command = [word for name, value in words if value for word in (name, value)]
    card, report = make_family(
        own_checkpoints(checkpoints) / family,
        builder,
        checkpoint,
        arguments,
        Classification.of_names(names),
        shlex.join(["approxbit", "import-backbone", *command]),
        license,
    )
    if report is not None:
        say(str(report))
    if as_json:
        print_json({"family": family, **asdict(card.provenance), "fingerprint": card.weights.fingerprint})
        return
    print_text(f"{family}: {card.builder}, {len(card.weights.shapes)} tensors, {len(names)} names of classes")
