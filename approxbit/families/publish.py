"""A family of this machine -> a repository on the Hugging Face Hub, which `approxbit.load` reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Union

from approxbit.errors import HashMismatchError, WeightsError
from approxbit.families.cards import BackboneCard, Card, CodecCard, Provenance
from approxbit.families.folder import (
    BACKBONE,
    LUT_FILE,
    find_checkpoints,
    find_configurations,
    locate_backbone,
    locate_family,
)
from approxbit.families.hub import (
    CARD,
    PREFIX,
    WEIGHTS,
    check_is_here,
    explained,
    import_hub,
    is_of_family,
    parse_hub_name,
)
from approxbit.families.model_card import write_model_card
from approxbit.families.named import read_backbone_card, read_codec_card
from approxbit.files import PathLike, format_json, sha256_of_file, to_json
from approxbit.select import LUT

README = "README.md"
Content = Union[bytes, Path]


class _Whole(NamedTuple):
    """A family with its backbone."""

    backbone: BackboneCard
    codecs: list[CodecCard]
    lut: Path | None
    weights: dict[str, Path]


def push(family: str, to: str, checkpoints: PathLike | None = None, private: bool = False) -> str:
    """Publish a family: cards, weights, LUT and a model card, in one commit.

    The repository is made if it is not there. What an earlier push of the family left in it and the family no
    longer has goes. A family of codecs alone takes the backbone with it that it was trained for.

    Args:
        family: Such as `digits-movinet`.
        to: The repository, `owner/name`; others load it as `hf://owner/name`.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.
        private: Whether a repository that is made shall be seen by its owner alone.

    Returns:
        The address of the commit.

    Raises:
        ValueError: There is no such family, it has no backbone, or `to` is no name of a repository.
        HashMismatchError: A file of weights is not the one that its card describes, or the backbone not the
            one of a codec.
        WeightsError: A card cannot be read, or the hub refuses.
        LUTError: The LUT cannot be read.
        ImportError: huggingface_hub is not installed.
    """
    repository, revision, configuration = parse_hub_name(to if to.startswith(PREFIX) else PREFIX + to)
    if revision != "main" or configuration:
        raise ValueError(f"expected a repository as owner/name, found {to!r}")
    check_is_here(family)
    whole = _gather(find_checkpoints(checkpoints, family), family)
    files = _files_of(whole)
    lut = LUT.load(whole.lut) if whole.lut else None
    files[README] = write_model_card(repository, whole.backbone, whole.codecs, lut).encode()
    hub = import_hub()
    api = hub.HfApi()
    with explained(f"{PREFIX}{repository}"):
        api.create_repo(repository, private=private or None, exist_ok=True)
        known = [each.rfilename for each in api.model_info(repository).siblings or []]
        commit = api.create_commit(
            repository,
            [
                *(hub.CommitOperationAdd(name, content) for name, content in files.items()),
                *(
                    hub.CommitOperationDelete(name)
                    for name in known
                    if is_of_family(name) and name not in files
                ),
            ],
            commit_message=f"Publish {family}",
        )
    return str(commit.commit_url)


def _gather(root: Path, family: str) -> _Whole:
    """Everything of a family, checked, under the one name of the family."""
    folder = locate_family(root, family)
    paths = sorted(set(find_configurations(folder).values()))
    codecs = [read_codec_card(root, f"{family}/{path.stem}") for path in paths]
    owners = {each.backbone for each in codecs} or {family}
    if len(owners) > 1:
        raise ValueError(f"expected a family with codecs for one backbone, found {', '.join(sorted(owners))}")
    (owner,) = owners
    backbone = read_backbone_card(root, owner)
    weights = {BACKBONE: locate_backbone(root, owner).with_suffix(WEIGHTS)}
    weights.update({path.stem: path.with_suffix(WEIGHTS) for path in paths})
    _check(backbone, weights[BACKBONE])
    for path, codec in zip(paths, codecs):
        _check(codec, weights[path.stem])
        if codec.backbone_fingerprint != backbone.weights.fingerprint:
            raise HashMismatchError(
                f"{path}: was trained for the backbone {codec.backbone_fingerprint}, "
                f"found {backbone.weights.fingerprint}"
            )
    lut = folder / LUT_FILE
    return _Whole(
        replace(backbone, name=family, provenance=_without_places(backbone.provenance)),
        [replace(each, backbone=family, provenance=_without_places(each.provenance)) for each in codecs],
        lut if lut.is_file() else None,
        weights,
    )


def _without_places(provenance: Provenance) -> Provenance:
    """With the names alone of folders of clips: where they lie on this machine is nobody's business."""
    if provenance.data is None:
        return provenance
    arguments = {
        name: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for name, value in provenance.data.arguments.items()
    }
    return replace(provenance, data=replace(provenance.data, arguments=arguments))


def _check(card: Card, weights: Path) -> None:
    found = sha256_of_file(weights, WeightsError)
    if found != card.weights.sha256:
        raise HashMismatchError(
            f"{weights}: the card promises a file of SHA-256 {card.weights.sha256}, found {found}"
        )


def _files_of(whole: _Whole) -> dict[str, Content]:
    files: dict[str, Content] = {f"{stem}{WEIGHTS}": path for stem, path in whole.weights.items()}
    files[f"{BACKBONE}{CARD}"] = _to_bytes(whole.backbone)
    files.update({f"{each.configuration}{CARD}": _to_bytes(each) for each in whole.codecs})
    if whole.lut is not None:
        files[LUT_FILE] = whole.lut
    return files


def _to_bytes(card: Any) -> bytes:
    return format_json({"kind": card.kind, **to_json(card)}).encode()
