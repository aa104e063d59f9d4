"""The LUT's file: strict JSON with a format name and a version.

The keys are the fields of `LUT` and `LUTRow`, plus `format` and `version`. A row may leave out the fields
that have a default; every other key must be there, and no other key may be.
"""

import json
import os
import tempfile
from dataclasses import MISSING, Field, fields
from typing import Any, Dict, List, Tuple, Union

from approxbit.errors import LUTError

PathLike = Union[str, "os.PathLike[str]"]

FORMAT = "approxbit-lut"
VERSION = 1


def write(path: PathLike, lut: Any) -> None:
    """Write `lut` to a temporary file beside `path` and move it into place."""
    folder = os.path.dirname(os.path.abspath(os.fspath(path)))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".lut-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_to_text(lut))
        os.chmod(temporary, 0o644)  # mkstemp makes private files; a LUT is to be read by others
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _to_text(lut: Any) -> str:
    header: Dict[str, Any] = {"format": FORMAT, "version": VERSION}
    header.update((item.name, getattr(lut, item.name)) for item in fields(lut) if item.name != "rows")
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in header.items()]
    rows = ",\n".join("    " + json.dumps(_row_to_dict(row)) for row in lut.rows)
    return "\n".join(["{", *lines, '  "rows": [', rows, "  ]", "}", ""])


def _row_to_dict(row: Any) -> Dict[str, Any]:
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    return {name: value for name, value in values.items() if value is not None and value != {}}


def read(path: PathLike, lut_type: Any, row_type: Any) -> Any:
    """Build a `lut_type` of `row_type`s from the file at `path`.

    Raises:
        LUTError: The file cannot be read or is not a well-formed LUT.
    """
    name = os.fspath(path)
    document = _parse(name)
    if not isinstance(document, dict):
        raise LUTError(f"{name}: expected a JSON object, found {_short(document)}")
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        if key not in document or document[key] != expected or isinstance(document[key], bool):
            found = _short(document[key]) if key in document else "nothing"
            raise LUTError(f"{name}: {key}: expected {expected!r}, found {found}")
    header = {key: value for key, value in document.items() if key not in ("format", "version")}
    for key in ("rows", "accuracy_names"):
        if not isinstance(header.get(key, []), list):
            raise LUTError(f"{name}: {key}: expected a list, found {_short(header[key])}")
    header["rows"] = [
        _build(name, f"rows[{index}]: ", row_type, row) for index, row in enumerate(header.get("rows", []))
    ]
    return _build(name, "", lut_type, header)


def _parse(name: str) -> Any:
    try:
        with open(name, encoding="utf-8") as file:
            return json.load(file, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except OSError as error:
        raise LUTError(f"{name}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LUTError(f"{name}: expected JSON, found {error}") from error


def _no_twins(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"a key twice in one object: {[key for key, _ in pairs]}")
    return result


def _no_constant(text: str) -> float:
    raise ValueError(f"{text}, which JSON does not know")


def _build(name: str, entry: str, kind: Any, values: Any) -> Any:
    """Make a dataclass of `values`, whose keys must be its fields."""
    if not isinstance(values, dict):
        raise LUTError(f"{name}: {entry}expected a JSON object, found {_short(values)}")
    known = {item.name: item for item in fields(kind)}
    required = [key for key, item in known.items() if entry == "" or _is_required(item)]
    missing = [key for key in required if key not in values]
    unknown = [key for key in values if key not in known]
    if missing or unknown:
        expected = ", ".join(required)
        message = "{}: {}expected the keys {}; missing: {}; unknown: {}"
        raise LUTError(message.format(name, entry, expected, missing or "none", unknown or "none"))
    try:
        return kind(**values)
    except ValueError as error:
        raise LUTError(f"{name}: {entry}{error}") from error


def _is_required(item: "Field[Any]") -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
