"""What becomes a file: bytes written whole, dataclasses as strict JSON, hashes."""

from approxbit.files.strict_json import format_json, from_json, load_json, parse_json, save_json, to_json
from approxbit.files.whole import PathLike, read_bytes, sha256_of, sha256_of_file, whole_file, write_whole

__all__ = [
    "PathLike",
    "format_json",
    "from_json",
    "load_json",
    "parse_json",
    "read_bytes",
    "save_json",
    "sha256_of",
    "sha256_of_file",
    "to_json",
    "whole_file",
    "write_whole",
]
