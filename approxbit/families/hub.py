"""Families on the Hugging Face Hub: `hf://owner/name`, or one model of one, `hf://owner/name/16-Enc-B5`.

A repository holds one family, flat: its cards, weights and LUT, as they lie in a family's folder. Cards come
first, as they are small; a file of weights comes when it is loaded, and only if the hub says that it has the
size and the SHA-256 that its card promises. Nothing else of a repository is ever downloaded. What was is kept
in the hub's own cache, and stays usable without a network.

    <cache>/hub/<owner>--<name>/<commit>/origin.json     `Origin`: where the family came from
    <cache>/hub/<owner>--<name>/<commit>/<family>        a link to the snapshot in the hub's cache

The upper line makes a folder of one family, which everything reads as it reads any other.
"""

from __future__ import annotations

import math
import os
import re
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Sequence

from approxbit.configuration import Configuration
from approxbit.errors import HashMismatchError, WeightsError
from approxbit.families.cards import WeightsRecord
from approxbit.families.folder import BACKBONE, LUT_FILE, check_family, find_cache, find_checkpoints
from approxbit.files import PathLike, load_json, save_json

PREFIX = "hf://"
ORIGIN = "origin.json"
CARD = ".json"
WEIGHTS = ".safetensors"

MAX_CARDS = 256
MAX_CARD_BYTES = 8 * 2**20
MAX_WEIGHTS_BYTES = 32 * 2**30
HEADER_BYTES = 2**20
"""What a file of weights may take beside its tensors, and `HEADER_BYTES_PER_TENSOR` for each of them."""
HEADER_BYTES_PER_TENSOR = 1024
LARGEST_ITEM_BYTES = 8

_WORD = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_HUB_NAME = re.compile(rf"hf://({_WORD}/{_WORD})(?:@([^@/\s]+))?(?:/([^@/\s]+))?")


class HubName(NamedTuple):
    """What a name of the hub says.

    Attributes:
        repository: `owner/name`.
        revision: A branch, a tag or a commit.
        configuration: Of a model; empty for the family.
    """

    repository: str
    revision: str
    configuration: str


@dataclass(frozen=True)
class Origin:
    """Where a downloaded family came from.

    Attributes:
        repository: `owner/name`.
        commit: 40 hexadecimal digits.
    """

    repository: str
    commit: str


def is_hub_name(name: str) -> bool:
    """Whether a family or a model is named that lies on the hub."""
    return isinstance(name, str) and name.startswith(PREFIX)


def parse_hub_name(name: str) -> HubName:
    """Read `hf://owner/name[@revision][/configuration]`; a `/` in a revision is written `%2F`.

    Raises:
        ValueError: It is not of that form.

    Example:
        >>> parse_hub_name("hf://me/acts@v2/16-Enc-B5")
        HubName(repository='me/acts', revision='v2', configuration='16-Enc-B5')
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"expected hf://owner/name[@revision][/configuration], found {name!r}")
    repository, revision, configuration = match.groups()
    return HubName(repository, (revision or "main").replace("%2F", "/"), configuration or "")


def split_name(name: str) -> tuple[str, str]:
    """The family and the configuration in a name; of a family, the configuration is empty.

    Example:
        >>> split_name("digits-movinet/16-Enc-B5"), split_name("hf://me/acts@v2")
        (('digits-movinet', '16-Enc-B5'), ('hf://me/acts@v2', ''))
    """
    if not is_hub_name(name):
        family, _, configuration = name.partition("/")
        return family, configuration
    configuration = parse_hub_name(name).configuration
    return (name[: -len(configuration) - 1] if configuration else name), configuration


def locate(name: str, checkpoints: PathLike | None = None) -> tuple[Path, str]:
    """The folder of all families in which a family or a model lies, and its name there.

    Of a family on the hub, the cards are downloaded first. Within one process a revision stays what it was
    when it was first asked for.

    Args:
        name: `digits-movinet`, `digits-movinet/16-Enc-B5`, or the like on the hub.
        checkpoints: See `find_checkpoints`; without a meaning for a family on the hub.

    Raises:
        ValueError: There is no folder of checkpoints, or the name is malformed.
        WeightsError: The hub cannot be reached, or what it has is no family.
        ImportError: huggingface_hub is needed and not installed.
    """
    if not is_hub_name(name):
        family = name.partition("/")[0] if isinstance(name, str) else ""  # who reads it says what is wrong
        return find_checkpoints(checkpoints, family), name
    repository, revision, configuration = parse_hub_name(name)
    root, family = _fetch_cards(repository, revision)
    return root, f"{family}/{configuration}" if configuration else family


def find_weights(card: Path, record: WeightsRecord) -> Path:
    """The file of weights beside a card; one that lies on the hub is downloaded first.

    Args:
        card: As `locate_backbone` or `locate_codec` gives it.
        record: What the card says of the file.

    Raises:
        WeightsError: The hub cannot be reached, or has a file of another size.
        HashMismatchError: It has a file of another SHA-256.
    """
    path, origin = card.with_suffix(WEIGHTS), card.parents[1] / ORIGIN
    if not path.exists() and origin.is_file():
        _fetch_weights(load_json(origin, Origin, WeightsError), path.name, record)
    return path


def check_is_here(family: str) -> None:
    """Make sure that a family can be changed.

    Raises:
        ValueError: It lies on the hub.
    """
    if is_hub_name(family):
        raise ValueError(f"expected a family that lies here and can be changed, found {family}, a download")


class _File(NamedTuple):
    num_bytes: int
    sha256: str
    """As the hub keeps it of large files; empty for a small one."""


class _Listing(NamedTuple):
    commit: str
    files: Mapping[str, _File]


@lru_cache(maxsize=None)
def _fetch_cards(repository: str, revision: str) -> tuple[Path, str]:
    """The folder of a repository's family, and the family's name."""
    first, source = f"{BACKBONE}{CARD}", f"{PREFIX}{repository}@{revision}"
    if _is_offline():
        path = _download(repository, revision, first, local_files_only=True)
    else:
        listing = _list_files(repository, revision)
        cards = {name: file for name, file in listing.files.items() if name.endswith(CARD)}
        if first not in cards or len(cards) > MAX_CARDS:
            raise WeightsError(
                f"{source}: expected what `approxbit push` writes, {first} and at most {MAX_CARDS} cards, "
                f"found {', '.join(sorted(cards)[:9]) or 'none'}"
            )
        for name, file in cards.items():
            if file.num_bytes > MAX_CARD_BYTES:
                raise WeightsError(
                    f"{source}: {name}: expected {MAX_CARD_BYTES} bytes at most, found {file.num_bytes}"
                )
        paths = [_download(repository, revision, name) for name in cards]
        if {each.parent.name for each in paths} != {listing.commit}:
            raise WeightsError(f"{source} has changed while it was read: try again")
        path = paths[0]
    return _link(path.parent, Origin(repository, path.parent.name), source)


def _link(snapshot: Path, origin: Origin, source: str) -> tuple[Path, str]:
    """Give a snapshot the name of its family, in a folder of its own."""
    said = load_json(snapshot / f"{BACKBONE}{CARD}", Dict[str, Any], WeightsError).get("name")
    try:
        family = check_family(str(said))
    except ValueError as error:
        raise WeightsError(f"{source}: {BACKBONE}{CARD}: name: {error}") from error
    root = find_cache() / "hub" / origin.repository.replace("/", "--") / origin.commit
    root.mkdir(parents=True, exist_ok=True)
    save_json(root / ORIGIN, origin)
    link, temporary = root / family, root / f".{uuid.uuid4().hex}"
    temporary.symlink_to(snapshot.absolute(), target_is_directory=True)
    os.replace(temporary, link)
    return root, family


def _fetch_weights(origin: Origin, name: str, record: WeightsRecord) -> None:
    source = f"{PREFIX}{origin.repository}@{origin.commit}: {name}"
    if not _is_offline():
        found = _list_files(origin.repository, origin.commit).files.get(name)
        most = min(MAX_WEIGHTS_BYTES, _most_bytes(record.shapes))
        if found is None:
            raise WeightsError(f"{source}: expected this file beside its card, found none")
        if found.num_bytes > most:
            raise WeightsError(
                f"{source}: expected {most} bytes at most by its card, found {found.num_bytes}"
            )
        if found.sha256 not in ("", record.sha256):
            raise HashMismatchError(
                f"{source}: the card promises a file of SHA-256 {record.sha256}, found {found.sha256}"
            )
    _download(origin.repository, origin.commit, name, local_files_only=_is_offline())


def _most_bytes(shapes: Mapping[str, Sequence[int]]) -> int:
    """What a file of such tensors takes at most, header included."""
    items = sum(max(0, math.prod(shape)) for shape in shapes.values())
    return LARGEST_ITEM_BYTES * items + HEADER_BYTES + HEADER_BYTES_PER_TENSOR * len(shapes)


@lru_cache(maxsize=None)
def _list_files(repository: str, revision: str) -> _Listing:
    """Those files of a repository that can belong to a family, with what the hub says of them."""
    api = import_hub().HfApi()
    with explained(f"{PREFIX}{repository}@{revision}"):
        info = api.model_info(repository, revision=revision, files_metadata=True)
    files = {}
    for each in info.siblings or []:
        if is_of_family(each.rfilename):
            if each.size is None:
                raise WeightsError(f"{PREFIX}{repository}: {each.rfilename}: the hub does not say its size")
            files[each.rfilename] = _File(each.size, each.lfs.sha256 if each.lfs else "")
    return _Listing(str(info.sha), files)


def is_of_family(name: str) -> bool:
    """Whether a file of a repository can belong to a family: by its name, which is never a path.

    Example:
        >>> [is_of_family(name) for name in ("16-Enc-B5.json", "lut.json", "README.md", "a/backbone.json")]
        [True, True, False, False]
    """
    stem, suffix = os.path.splitext(name)
    if name == LUT_FILE or (stem == BACKBONE and suffix in (CARD, WEIGHTS)):
        return True
    try:
        return suffix in (CARD, WEIGHTS) and str(Configuration.parse(stem)) == stem
    except ValueError:
        return False


def _download(repository: str, revision: str, name: str, local_files_only: bool = False) -> Path:
    download = import_hub().hf_hub_download
    with explained(f"{PREFIX}{repository}@{revision}: {name}"):
        return Path(download(repository, name, revision=revision, local_files_only=local_files_only))


def _is_offline() -> bool:
    return bool(import_hub().constants.HF_HUB_OFFLINE)


def import_hub() -> Any:
    """The hub's client.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants  # no attribute before
    except ModuleNotFoundError as error:
        raise ImportError("families on the hub need huggingface_hub: pip install 'approxbit[hub]'") from error
    return huggingface_hub


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one sentence that begins with `source`."""
    try:
        yield
    except Exception as error:  # which errors its HTTP library has depends on the version
        reason = " ".join([line for line in str(error).splitlines() if line.strip()][:2])
        raise WeightsError(f"{source}: the hub says: {type(error).__name__}: {reason}") from error
