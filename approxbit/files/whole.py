"""Files that appear whole or not at all, and hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Union

PathLike = Union[str, "os.PathLike[str]"]

_BLOCK_BYTES = 1 << 20


@contextmanager
def whole_file(path: PathLike, make_parents: bool = False) -> Iterator[str]:
    """Yield another name to write to; the file moves to `path` at the end of the block, or goes if it fails.

    The umask decides the mode, as for any new file. A link at `path` stays one. What is no regular file, such
    as `/dev/null`, cannot be replaced and is written to directly.

    Args:
        path: Where the file shall appear. The other name is in the same folder and has the same suffix.
        make_parents: Whether to make the folder where it is missing.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        yield target
        return
    folder, name = os.path.split(target)
    if make_parents:
        os.makedirs(folder, exist_ok=True)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", folder)
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}{os.path.splitext(name)[1]}")
    try:
        yield temporary
        with open(temporary, "rb") as file:  # else power lost after the move may leave an empty file
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def write_whole(path: PathLike, content: bytes | str, make_parents: bool = False) -> None:
    """Write a file that appears whole or not at all; text as UTF-8. See `whole_file`.

    Raises:
        OSError: It cannot be written. What was there before is still there.
        UnicodeEncodeError: The text holds half of a surrogate pair.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with whole_file(path, make_parents) as temporary, open(temporary, "wb") as file:
        file.write(data)


def read_bytes(path: PathLike, error: type[Exception]) -> bytes:
    """The content of a file.

    Raises:
        error: The file cannot be read. The message names it.
    """
    return b"".join(_read_blocks(path, error))


def sha256_of(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: PathLike, error: type[Exception]) -> str:
    """64 hexadecimal digits of a file's content, of which only a block at a time is in memory.

    Raises:
        error: The file cannot be read. The message names it.
    """
    digest = hashlib.sha256()
    for block in _read_blocks(path, error):
        digest.update(block)
    return digest.hexdigest()


def _read_blocks(path: PathLike, error: type[Exception]) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while True:
                block = file.read(_BLOCK_BYTES)
                if not block:
                    return
                yield block
    except (OSError, ValueError) as failure:  # a name with a zero byte is a ValueError
        message = f"{os.fspath(path)}: cannot be read: {getattr(failure, 'strerror', None) or failure}"
        raise error(message) from failure
