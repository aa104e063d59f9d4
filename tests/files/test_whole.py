"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from approxbit.errors import ApproxBitError
from approxbit.files import read_bytes, sha256_of, sha256_of_file, whole_file, write_whole


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_the_mode(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["os.replace", "os.fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    failure: BaseException, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def fail(*arguments: object) -> None:
        raise failure

    monkeypatch.setattr(where, fail)
    with pytest.raises(type(failure)):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    names = []
    with contextlib.suppress(RuntimeError), whole_file(tmp_path / "clip.mp4") as name:
        names.append(Path(name))
        names[0].write_bytes(b"half")
        raise RuntimeError
    assert (names[0].parent, names[0].suffix, names[0].exists()) == (tmp_path, ".mp4", False)
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "clip.mp4"):
        pass  # nothing was written
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    with pytest.raises(FileNotFoundError, match=r"there is no such folder: '.*/a/b'"):
        write_whole(path, b"")
    assert list(tmp_path.iterdir()) == []
    write_whole(path, "Käse", make_parents=True)
    assert path.read_bytes() == "Käse".encode()


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"content")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"content"


def test_a_link_stays_one_and_a_device_stays_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "null").symlink_to("/dev/null")
    write_whole(tmp_path / "null", b"gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"")


def test_text_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "file", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_those_of_the_standard(tmp_path: Path) -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(b"abc") == sha256_of_file(tmp_path / "abc", ApproxBitError) == expected
    long = b"a" * 1_000_000  # FIPS 180-2, B.3
    (tmp_path / "long").write_bytes(long)
    expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert sha256_of_file(tmp_path / "long", ApproxBitError) == sha256_of(long) == expected
    for read in (sha256_of_file, read_bytes):
        with pytest.raises(ApproxBitError, match="none: cannot be read: No such file"):
            read(tmp_path / "none", ApproxBitError)
