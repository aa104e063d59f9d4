from __future__ import annotations

from pathlib import Path

import pytest

from approxbit.datasets.class_names import read_class_names
from approxbit.errors import DatasetError


@pytest.mark.parametrize(
    "text", ["pull\n\n push it \r\n", '["pull", "push it"]', '{"push it": "1", "pull": 0}']
)
def test_names_of_classes_are_read_in_the_order_of_their_indices(tmp_path: Path, text: str) -> None:
    (tmp_path / "names").write_text(text)
    assert read_class_names(tmp_path / "names") == ["pull", "push it"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected names of classes, each once, found none"),
        (b"a\nb\na\n", "each once, found a more than once"),
        (b'["a", 1]', r"names: \[1\]: expected text, found 1"),
        (b'{"a": "0", "b": "2"}', "expected the 2 indices 0 to 1"),
        (b"\xff\xfe", "expected text in UTF-8"),
    ],
)
def test_what_are_no_names_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "names").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_class_names(tmp_path / "names")
