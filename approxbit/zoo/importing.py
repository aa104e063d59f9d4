"""A checkpoint that its authors published -> a family."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from approxbit.backbones.official.loading import load_official
from approxbit.backbones.official.report import LoadReport
from approxbit.families.cards import BackboneCard, Provenance
from approxbit.families.folder import BACKBONE
from approxbit.files import PathLike
from approxbit.tasks import Task
from approxbit.trust import is_import_path, trust_package_of
from approxbit.zoo.builders import build_backbone
from approxbit.zoo.store import save_backbone

NO_ASSERTION = "NOASSERTION"  # what SPDX says of a license that nobody has looked up


def import_backbone(
    folder: PathLike,
    builder: str,
    checkpoint: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    task: Task | None = None,
    command: str = "",
    license: str = NO_ASSERTION,
) -> tuple[BackboneCard, LoadReport | None]:
    """Make a family of published weights, with a card that says the SHA-256 of their file.

    Args:
        folder: The family's folder, without a backbone yet; its name is the family's.
        builder: Key of `approxbit.zoo.BUILDERS`, or an import path of the user's own, whose package is
            trusted from now on.
        checkpoint: A file, an address or a short name, as `load_official` takes them. Code behind an import
            path may load its weights itself; then there is none.
        arguments: Keyword arguments of the builder, such as `num_classes` and `clip_shape`.
        task: What an answer means; by default classes of which no name is known.
        command: For the card: the command line that does it again.
        license: For the card: SPDX identifier of the weights' license.

    Returns:
        The card, and what was loaded from the checkpoint.

    Raises:
        ValueError: There is no such builder or checkpoint, a builder of ours has no checkpoint, the family
            has a backbone already, or the task is for another number of classes.
        WeightsError: The checkpoint does not fit the backbone, or cannot be had.
    """
    card = Path(folder) / f"{BACKBONE}.json"
    if card.exists():
        raise ValueError(f"expected a new family, found {card}: choose another name, or remove it first")
    if checkpoint is None and not is_import_path(builder):
        raise ValueError(f"expected a checkpoint: without one, the weights of {builder} are random")
    trust_package_of(builder)
    backbone = build_backbone(builder, arguments)
    report = None if checkpoint is None else load_official(backbone, checkpoint)
    made = Provenance(command=command, license=license, checkpoint_sha256=report.sha256 if report else "")
    return save_backbone(folder, backbone, builder, arguments, task, made), report
