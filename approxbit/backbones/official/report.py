"""What `load_official` says that it did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOut:
    """Keys that were not loaded, or were left as they are, and why."""

    keys: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        shown = ", ".join(self.keys[:4]) + (", ..." if len(self.keys) > 4 else "")
        return f"{len(self.keys)} {'key' if len(self.keys) == 1 else 'keys'} ({self.reason}): {shown}"


@dataclass(frozen=True)
class LoadReport:
    """What was loaded into a backbone, and from where.

    Attributes:
        source: The path, the URL or the name that was asked for.
        sha256: Of the file, 64 hexadecimal digits.
        is_hash_known: Whether that was compared with a hash that the caller or the file's name promised.
        origin: `slowfast`, `mmaction2`, `torchvision`, `atze00` or `approxbit`: whose names the keys of
            the file follow. `unsplit` of a model that `split` has made a backbone of.
        num_tensors: How many tensors were loaded, buffers included.
        num_parameters: How many numbers the parameters among them hold.
        left_out: All keys of the file or of the backbone that this leaves.
    """

    source: str
    sha256: str
    is_hash_known: bool
    origin: str
    num_tensors: int
    num_parameters: int
    left_out: tuple[LeftOut, ...]

    def __str__(self) -> str:
        """One paragraph.

        Example:
            >>> print(LoadReport("a.pyth", "fe8d", True, "slowfast", 2, 96, (LeftOut(("cfg",), "a text"),)))
            Loaded 2 tensors (96 parameters) of origin slowfast from a.pyth (SHA-256 fe8d, as promised). \
Left out: 1 key (a text): cfg.
        """
        found = "as promised" if self.is_hash_known else "found; nobody promises one, so note it"
        left_out = "; ".join(str(each) for each in self.left_out) or "nothing"
        return (
            f"Loaded {self.num_tensors} tensors ({self.num_parameters:,} parameters) of origin {self.origin} "
            f"from {self.source} (SHA-256 {self.sha256}, {found}). Left out: {left_out}."
        )
