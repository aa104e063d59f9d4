"""What an answer says, and what a packet may want it to say; see `FORMAT.md`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Mapping, Union

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.classes import DEFAULT_TOP, MAX_TOP, Logits, TopK
from approxbit.wire.frame import BytesLike, Cursor, check_integer, check_range, problem
from approxbit.wire.tensor import TensorAnswer
from approxbit.wire.text import MAX_TOKEN_IDS, Text, Tokens

_WANTED = struct.Struct(">BH")


class AnswerKind(IntEnum):
    """What kind of content an answer has."""

    LOGITS = 0
    TOP_K = 1
    TEXT = 2
    TOKENS = 3
    TENSOR = 4


_MOST = {
    AnswerKind.LOGITS: (0, 0),
    AnswerKind.TOP_K: (1, MAX_TOP),
    AnswerKind.TEXT: (0, MAX_TOKEN_IDS),
    AnswerKind.TOKENS: (0, MAX_TOKEN_IDS),
    AnswerKind.TENSOR: (0, 0),
}


def kind_of(number: int) -> AnswerKind:
    """The kind of a number.

    Raises:
        ValueError: There is none.
    """
    check_range("kind of the answer", number, min(AnswerKind), max(AnswerKind))
    return AnswerKind(number)


@dataclass(frozen=True)
class Wanted:
    """Which answer is wanted.

    Attributes:
        kind: Its kind.
        most: Of `TOP_K` how many classes, 1 to 255; of `TEXT` and `TOKENS` at most how many tokens, 1 to
            16384, or 0 for as many as the server likes; else 0.

    Raises:
        TypeError: A field is not an integer.
        ValueError: There is no such kind, or `most` is none of its numbers.
    """

    kind: AnswerKind = AnswerKind.TOP_K
    most: int = DEFAULT_TOP

    def __post_init__(self) -> None:
        low, high = _MOST[kind_of(self.kind)]
        object.__setattr__(self, "kind", kind_of(self.kind))
        object.__setattr__(self, "most", check_integer("most", self.most, low, high))

    def of_logits(self, logits: np.ndarray) -> Logits | TopK:
        """The content that is wanted, of what a classifier says.

        Raises:
            ValueError: Logits do not answer what is wanted, or are not finite float32 `[class]`.
        """
        if self.kind == AnswerKind.LOGITS:
            return Logits(logits)
        if self.kind == AnswerKind.TOP_K:
            return TopK.of_logits(logits, self.most)
        raise ValueError(problem("wanted answer", "LOGITS or TOP_K of a classifier", self.kind.name))

    def to_bytes(self) -> bytes:
        """The inverse of `read`.

        Example:
            >>> Wanted().to_bytes().hex(), Wanted(AnswerKind.LOGITS, 0).to_bytes().hex()
            ('010005', '000000')
        """
        return _WANTED.pack(self.kind, self.most)

    @classmethod
    def read(cls, cursor: Cursor) -> Wanted:
        """What comes next in a message.

        Raises:
            ValueError: A field is out of its bounds.
            WireError: There are too few bytes.
        """
        return cls(*cursor.unpack(_WANTED, "wanted answer"))


DEFAULT_WANTED = Wanted()
"""Where neither packet nor session say what is wanted: the five likeliest classes."""


Content = Union[Logits, TopK, Text, Tokens, TensorAnswer]

CONTENTS: Mapping[AnswerKind, Any] = {
    AnswerKind.LOGITS: Logits,
    AnswerKind.TOP_K: TopK,
    AnswerKind.TEXT: Text,
    AnswerKind.TOKENS: Tokens,
    AnswerKind.TENSOR: TensorAnswer,
}


def content_kind(content: Content) -> AnswerKind:
    """What kind of content this is.

    Raises:
        TypeError: It is none.
    """
    for kind, each in CONTENTS.items():
        if type(content) is each:
            return kind
    expected = ", ".join(each.__name__ for each in CONTENTS.values())
    raise TypeError(problem("content", f"one of {expected}", type(content).__name__))


def read_content(kind: AnswerKind, is_wide: bool, data: BytesLike) -> Content:
    """The content of an answer; the inverse of its `to_bytes`.

    Raises:
        ValueError: It is malformed.
        WireError: The same.
    """
    if is_wide and kind not in (AnswerKind.TOP_K, AnswerKind.TOKENS):
        raise WireError(problem("width of numbers", f"none with {kind.name}", "32 bits"))
    content: Content = CONTENTS[kind].from_bytes(data, is_wide)
    return content
