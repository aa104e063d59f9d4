"""Downloads: whole or not at all, into a cache folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from approxbit.errors import WeightsError

MAX_BYTES = 4 << 30
NUM_ATTEMPTS = 4
TIMEOUT_S = 30.0
PIECE_BYTES = 1 << 20
SHOWN_FROM_BYTES = 8 << 20


def default_cache() -> Path:
    """`$APPROXBIT_CACHE/official`, or `~/.cache/approxbit/official`."""
    return Path(os.environ.get("APPROXBIT_CACHE") or Path.home() / ".cache" / "approxbit") / "official"


def download(url: str, cache: Path) -> Path:
    """The file behind a URL, from the cache where it is there already.

    The file is written under another name and renamed when it is complete. A connection that breaks is taken
    up again where it ended, as long as the server has the same file; a call that breaks leaves nothing.

    Args:
        url: Of http or https.
        cache: Folder for all downloads. The name of the file in it ends like the URL's path.

    Raises:
        WeightsError: The server cannot be reached, or sends less than it announces or more than 4 GiB.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2] or "download"
    target = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=cache)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _Transfer(url, file).run()
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return target


class _Transfer:
    """One file on its way, over as many connections as it takes."""

    def __init__(self, url: str, file: IO[bytes]) -> None:
        self.url = url
        self.file = file
        self.total: int | None = None
        self.tag = ""

    def run(self) -> None:
        """Write all of the file.

        Raises:
            WeightsError: It did not arrive whole, or is too large.
        """
        reason = ""
        with _progress() as progress:
            name = urlsplit(self.url).path.rpartition("/")[2]
            bar = progress.add_task(name, total=None, visible=False)
            for _ in range(NUM_ATTEMPTS):
                try:
                    self._receive(progress, bar)
                except HTTPError as error:
                    reason = f"{error.code} {error.reason}"
                    if error.code < 500:
                        break  # the server is well, and does not have or does not give the file
                except (OSError, HTTPException) as error:
                    reason = str(error) or type(error).__name__
                else:
                    if self.total is None or self.file.tell() == self.total:
                        return
                    reason = f"{self.file.tell():,} of {self.total:,} bytes arrived"
        raise WeightsError(f"{self.url}: cannot be downloaded: {reason}")

    def _receive(self, progress: Progress, bar: TaskID) -> None:
        """Add what one connection brings; a server that cannot continue makes it start again."""
        start = self.file.tell()
        headers = {"User-Agent": "approxbit", "Accept-Encoding": "identity"}
        if start and self.tag:
            headers |= {"Range": f"bytes={start}-", "If-Range": self.tag}
        with urlopen(Request(self.url, headers=headers), timeout=TIMEOUT_S) as response:
            if response.status != 206:
                start = 0
                self.file.seek(0)
                self.file.truncate()
                self.tag = response.headers.get("ETag", "")
            length = response.headers.get("Content-Length")
            self.total = None if length is None else start + int(length)
            self._check_size(self.total or 0)
            is_long = self.total is None or self.total >= SHOWN_FROM_BYTES
            progress.update(bar, total=self.total, completed=start, visible=is_long)
            while piece := response.read(PIECE_BYTES):
                self.file.write(piece)
                self._check_size(self.file.tell())
                progress.update(bar, completed=self.file.tell())

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > MAX_BYTES:
            raise WeightsError(f"{self.url}: at most {MAX_BYTES:,} bytes were expected, found {num_bytes:,}")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
