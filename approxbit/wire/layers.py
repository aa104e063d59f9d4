"""The payload of a layered packet: a directory, then the layers; see `FORMAT.md`.

num_layers (1) | for each layer: bits (varint), bytes (varint), checksum (2) | layer | layer ...
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_range, problem

MAX_LAYERS = 255
_MOST_IN_VARINT = 2**28 - 1


@dataclass(frozen=True)
class Layers:
    """Layers of a code, in their order.

    Attributes:
        cuts: After how many bits each layer ends, rising.
        parts: The bytes of each layer.

    Raises:
        ValueError: There is no layer, too many, not one cut for each, or the cuts do not rise.
    """

    cuts: tuple[int, ...]
    parts: tuple[bytes, ...]

    def __post_init__(self):
        check_range("num_layers", len(self.parts), 1, MAX_LAYERS)
        if len(self.cuts) != len(self.parts):
            raise ValueError(problem("cuts", f"one for each of {len(self.parts)} layers", self.cuts))
        if any(low >= high for low, high in zip((0, *self.cuts), self.cuts)):
            raise ValueError(problem("cuts", "rising numbers of bits", self.cuts))

    def to_bytes(self) -> bytes:
        """The payload; the inverse of `from_bytes`."""
        return self.directory() + b"".join(self.parts)

    def directory(self) -> bytes:
        """What stands before the layers."""
        entries = [bytes([len(self.parts)])]
        for before, cut, part in zip((0, *self.cuts), self.cuts, self.parts):
            entries += [_write_varint(cut - before), _write_varint(len(part)), _checksum(part)]
        return b"".join(entries)

    def keep(self, num_layers: int) -> Layers:
        """The first layers alone.

        Raises:
            ValueError: There are not so many, or `num_layers` is below 1.
        """
        check_range("num_layers", num_layers, 1, len(self.parts))
        return Layers(self.cuts[:num_layers], self.parts[:num_layers])

    @classmethod
    def from_bytes(cls, payload: BytesLike, codebook_size: int) -> Layers:
        """Read a payload; the inverse of `to_bytes`.

        Raises:
            WireError: It is malformed, or holds more bits than the codebook has.
        """
        layers, directory, missing_bytes = cls.from_prefix(payload, codebook_size)
        num_bytes = len(directory) + sum(map(len, layers.parts))
        if missing_bytes or len(payload) != num_bytes:
            raise WireError(
                problem("payload", "the layers of its directory, intact", f"{len(payload)} bytes")
            )
        return layers

    @classmethod
    def from_prefix(cls, payload: BytesLike, codebook_size: int) -> tuple[Layers, bytes, int]:
        """The layers that are there, whole and intact, of a payload that may end behind its directory.

        Returns:
            The layers, the directory of all, and how many bytes of further layers it promises.

        Raises:
            WireError: The directory is malformed or incomplete, or the first layer is.
        """
        data = bytes(payload)
        entries, start = _read_directory(data, codebook_size)
        directory, cuts, parts, promised = data[:start], [], [], sum(entry[1] for entry in entries)
        for cut, num_bytes, checksum in entries:
            part = data[start : start + num_bytes]
            if len(part) != num_bytes or _checksum(part) != checksum:
                break
            cuts.append(cut)
            parts.append(part)
            start += num_bytes
        if not parts:
            raise WireError(problem("layers", "the first one, intact", f"{len(data) - start} bytes"))
        return cls(tuple(cuts), tuple(parts)), directory, promised - sum(map(len, parts))


def _read_directory(data: bytes, codebook_size: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """Cut, bytes and checksum of each layer, and where the first layer begins."""
    num_layers = data[0] if data else 0
    if not 1 <= num_layers <= codebook_size:
        raise WireError(problem("num_layers", f"1 to {min(codebook_size, MAX_LAYERS)}", num_layers))
    entries, cut, start = [], 0, 1
    for _ in range(num_layers):
        num_bits, start = _read_varint(data, start)
        num_bytes, start = _read_varint(data, start)
        cut += num_bits
        if num_bits == 0 or cut > codebook_size:
            raise WireError(problem("bits of the layers", f"rising to at most {codebook_size}", cut))
        entries.append((cut, num_bytes, data[start : start + 2]))
        start += 2
    if start > len(data):
        raise WireError(problem("directory of the layers", f"{start} bytes", len(data)))
    return entries, start


def _write_varint(number: int) -> bytes:
    """7 bits in each byte, lowest first, with the highest bit set where more follow.

    Example:
        >>> _write_varint(5).hex(), _write_varint(300).hex()
        ('05', 'ac02')
    """
    check_range("number", number, 0, _MOST_IN_VARINT)
    digits = []
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    """A number and where it ends; only the shortest form of a number is taken."""
    number = 0
    for place, digit in enumerate(data[start : start + 4]):
        number |= (digit & 127) << 7 * place
        if digit < 128:
            if digit == 0 and place:
                break
            return number, start + place + 1
    raise WireError(
        problem("directory of the layers", "numbers of 1 to 4 bytes", data[start : start + 4].hex())
    )


def _checksum(part: bytes) -> bytes:
    """CRC-16 of a layer: polynomial 0x1021, initially 0 (CRC-16/XMODEM)."""
    return binascii.crc_hqx(part, 0).to_bytes(2, "big")
