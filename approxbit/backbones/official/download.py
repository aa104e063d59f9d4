"""Downloads: whole or not at all, into a cache folder."""

from __future__ import annotations

import os
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from torch.hub import download_url_to_file

from approxbit.errors import HashMismatchError, WeightsError
from approxbit.files import sha256_of, whole_file

TIMEOUT_S = 30.0


def default_cache() -> Path:
    """`$APPROXBIT_CACHE/official`, or `~/.cache/approxbit/official`."""
    return Path(os.environ.get("APPROXBIT_CACHE") or Path.home() / ".cache" / "approxbit") / "official"


def download(url: str, cache: Path, sha256: str | None = None) -> Path:
    """The file behind a URL, from the cache where it is there already.

    It appears in the cache when it is complete: when it has the hash, or, where none is known, as many bytes
    as the server announces.

    Args:
        url: Of http or https.
        cache: Folder for all downloads. The name of the file in it ends like the URL's path.
        sha256: What the SHA-256 of the file must begin with, in small letters, if that is known.

    Raises:
        HashMismatchError: The file that arrived has another SHA-256.
        WeightsError: The server cannot be reached, or sends less than it announces.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2] or "download"
    target = cache / f"{sha256_of(url.encode())[:12]}-{name}"
    if target.exists():
        return target
    with whole_file(target, make_parents=True) as arrived:
        try:
            announced = _announced_bytes(url)
            download_url_to_file(url, arrived, hash_prefix=sha256, progress=sys.stderr.isatty())
        except RuntimeError as error:
            raise HashMismatchError(f"{url}: another file was expected: {error}") from error
        except (OSError, HTTPException) as error:
            reason = error.reason if type(error) is URLError else str(error) or type(error).__name__
            raise WeightsError(f"{url}: cannot be downloaded: {reason}") from error
        num_bytes = os.path.getsize(arrived)
        if sha256 is None and announced not in (None, num_bytes):
            raise WeightsError(f"{url}: cannot be downloaded: {num_bytes:,} of {announced:,} bytes arrived")
    return target


def _announced_bytes(url: str) -> int | None:
    """How long the server says that the file is, which torch.hub does not compare with what it gets.

    A server that does not answer is noticed here too: torch.hub would wait for it without end.
    """
    question = Request(url, headers={"User-Agent": "approxbit"}, method="HEAD")
    try:
        with urlopen(question, timeout=TIMEOUT_S) as answer:
            length = answer.headers["Content-Length"]
    except HTTPError:
        return None  # some servers give the file and refuse this question
    return int(length) if length and length.isdigit() else None
