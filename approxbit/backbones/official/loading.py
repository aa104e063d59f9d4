"""Published weights into a backbone: all of them, or an error and the backbone as it was."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from approxbit.backbones.base import Backbone
from approxbit.backbones.official.download import default_cache, download
from approxbit.backbones.official.files import read_content, refuse_tensorflow
from approxbit.backbones.official.fit import fit
from approxbit.backbones.official.known import KNOWN_CHECKPOINTS
from approxbit.backbones.official.origins import convert
from approxbit.backbones.official.report import LoadReport
from approxbit.errors import HashMismatchError, WeightsError
from approxbit.files import sha256_of_file

# mmaction2 and torchvision end the names of their files with the start of the SHA-256.
NAMED_HASH = re.compile(r"-([0-9a-f]{8})\.pth$")


def load_official(
    backbone: Backbone,
    path_or_url: str | Path,
    *,
    sha256: str | None = None,
    cache: str | Path | None = None,
    replace_head: bool = False,
) -> LoadReport:
    """Fill a backbone with published weights: every tensor of it, or none and an error.

    Reads the checkpoints of SlowFast and mmaction2 (MViTv2), torchvision (MViTv2-S) and Atze00 (MoViNet, base
    and stream), and safetensors files under the backbone's own key names. What a file is shows in its
    content, not in its name. Pickles are read with `weights_only=True`. Tables of relative positions of
    another size are refused, and never interpolated. Checkpoints of TensorFlow are refused with the command
    that converts them.

    Args:
        backbone: What to fill. Parameters keep their dtype and device.
        path_or_url: A file; an address of http, https or file; or a name in `KNOWN_CHECKPOINTS`,
            such as `mvitv2-b-ssv2`. A local file with such a name is reached as `./name`.
        sha256: What the file's SHA-256 must be, 64 hexadecimal digits. Where the name of a file ends like
            `-d5de5da6.pth`, as mmaction2's and torchvision's do, those 8 digits are checked in any case.
        cache: Folder for downloads; by default `$APPROXBIT_CACHE/official`, else
            `~/.cache/approxbit/official`.
        replace_head: Whether a head for another number of classes is left out, and the backbone's kept.

    Returns:
        What was loaded and what was left out; as text, one paragraph.

    Raises:
        ValueError: There is no such file or name, or the arguments do not fit.
        HashMismatchError: The file is not the one that `sha256` or its own name promises.
        MissingKeyError: A tensor of the backbone is missing, or a key is not the backbone's.
        WrongShapeError: A tensor has another shape than the backbone's.
        WeightsError: The file cannot be downloaded or read.

    Example:
        >>> import tempfile, torch
        >>> from approxbit.backbones.movinet import movinet
        >>> model = movinet("small", num_classes=24)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(model.state_dict(), f"{folder}/weights")
        ...     load_official(model, f"{folder}/weights").origin
        'atze00'
    """
    source = str(path_or_url)
    _check_arguments(backbone, sha256)
    path, promised = _locate(source, sha256, Path(cache) if cache is not None else default_cache())
    found = _check_hash(path, promised)
    content = read_content(path)
    state = backbone.state_dict()
    converted = convert(source, content, state.keys())
    tensors, left_out = fit(source, converted, state, replace_head)
    backbone.load_state_dict({**state, **tensors}, strict=True)
    backbone.fingerprint = 0  # that of the weights before
    num_parameters = sum(tensors[name].numel() for name, _ in backbone.named_parameters() if name in tensors)
    left_out = content.left_out + left_out
    return LoadReport(
        source, found, promised is not None, converted.origin, len(tensors), num_parameters, left_out
    )


def _check_arguments(backbone: Backbone, sha256: str | None) -> None:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"sha256 must be 64 hexadecimal digits, found {sha256!r}")
    if any(tensor.is_meta for tensor in backbone.state_dict().values()):
        raise ValueError(f"a {type(backbone).__name__} with memory was expected, found it on the meta device")


def _locate(source: str, sha256: str | None, cache: Path) -> tuple[Path, str | None]:
    """The local file, and what its SHA-256 must begin with, if that is known."""
    url = KNOWN_CHECKPOINTS[source].url if source in KNOWN_CHECKPOINTS else source
    parts = urlsplit(url)
    named = NAMED_HASH.search(parts.path)
    promised = sha256.lower() if sha256 else named and named[1]
    if parts.scheme in ("http", "https"):
        return download(url, cache, promised), promised
    path = Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(source)
    if path.is_dir() or path.with_name(path.name + ".index").is_file():
        refuse_tensorflow(path, "a folder, or the prefix of several files")
    if not path.exists():
        raise ValueError(
            f"expected a file, an address or one of {', '.join(KNOWN_CHECKPOINTS)}, found {source!r}"
        )
    return path, promised


def _check_hash(path: Path, promised: str | None) -> str:
    """The SHA-256 of a file, which begins with what was promised."""
    found = sha256_of_file(path, WeightsError)
    if promised and not found.startswith(promised):
        raise HashMismatchError(f"{path}: the SHA-256 must begin with {promised}, found {found}")
    return found
