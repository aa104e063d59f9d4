"""Words and tokens, in answers and in questions; see `FORMAT.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_range, problem
from approxbit.wire.ids import are_wide, check_ids, read_ids, write_ids

MAX_TEXT_BYTES = 2**16
MAX_TOKEN_IDS = 2**14

# Text is shown in terminals, where other control characters could do anything.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Text:
    """Words, in an answer or a question.

    Attributes:
        value: At most 65536 bytes of UTF-8, without control characters but line feeds and tabs.

    Raises:
        ValueError: It is not as described.
    """

    value: str

    is_wide = False

    def __post_init__(self) -> None:
        if _CONTROL_CHARACTERS.search(self.value):
            raise ValueError(problem("text", "no control characters", ascii(self.value[:64])))
        check_range("bytes of the text", len(self.to_bytes()), 0, MAX_TEXT_BYTES)

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        return self.value.encode("utf-8")

    @classmethod
    def from_bytes(cls, data: BytesLike, is_wide: bool = False) -> Text:
        """Read the text.

        Raises:
            ValueError: It has control characters.
            WireError: It is too long, or not UTF-8.
        """
        if len(data) > MAX_TEXT_BYTES:
            raise WireError(problem("bytes of the text", f"at most {MAX_TEXT_BYTES}", len(data)))
        try:
            return cls(bytes(data).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise WireError(problem("text", "UTF-8", bytes(data[:16]).hex())) from error


@dataclass(frozen=True)
class Tokens:
    """Ids of text tokens, in an answer or a question.

    Attributes:
        ids: At most 16384, 0 to 2^32 - 1 each. Whose vocabulary they are from, the server's model says.

    Raises:
        TypeError: One is not an integer.
        ValueError: There are too many, or one is out of bounds.
    """

    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        check_range("number of tokens", len(self.ids), 0, MAX_TOKEN_IDS)
        object.__setattr__(self, "ids", check_ids("token", self.ids))

    @property
    def is_wide(self) -> bool:
        """Whether the ids take 32 bits each."""
        return are_wide(self.ids)

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        return write_ids(self.ids)

    @classmethod
    def from_bytes(cls, data: BytesLike, is_wide: bool) -> Tokens:
        """Read the tokens.

        Raises:
            WireError: There are too many, or no whole number of them.
        """
        width = 4 if is_wide else 2
        if len(data) > width * MAX_TOKEN_IDS:
            raise WireError(problem("bytes of the tokens", f"at most {width * MAX_TOKEN_IDS}", len(data)))
        return cls(read_ids("tokens", data, is_wide))
