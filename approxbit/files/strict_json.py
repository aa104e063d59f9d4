"""Dataclasses as strict JSON.

A dataclass is read by its type hints:

    hint                            in JSON                               in Python
    str, bool                       text; true or false                   the same
    int                             a whole number of at most 64 bits     the same; never a bool
    float                           a finite number                       the same: 3 stays the int 3
    an Enum                         the value of a member                 the member
    a dataclass                     an object, its fields as keys         the dataclass
    Union[X, Y] of dataclasses      an object, its `kind` says which      the dataclass
    Optional[X]                     null or X                             None or X
    Tuple[X, ...], Sequence[X]      a list                                a tuple
    Tuple[X, Y]                     a list of that length                 a tuple
    List[X]                         a list                                a list
    Mapping[str, X], Dict[str, X]   an object                             a dict
    Any                             anything                              what `json` makes of it

A field with a default may be left out, unless a function other than `list` or `dict` makes it: the day of
reading is not that of writing. A key that is no field may not be there. Only a
dataclass whose class has a `json_kind` has the further key `kind`, which holds it.

The running Python must be able to evaluate the hints. In a room that runs on Python 3.8, the module of such a
dataclass does not postpone its annotations, and uses the names of `typing`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from approxbit.files.whole import PathLike, read_bytes, write_whole

Kind = TypeVar("Kind")

NUM_FOUND = 80  # characters of a wrong value that a message repeats

_UNIONS = (Union, getattr(types, "UnionType", Union))  # the second one is that of `X | None`
_SCALARS: dict[Any, tuple[str, tuple[type, ...]]] = {
    str: ("text", (str,)),
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    type(None): ("null", (type(None),)),
}
_LISTS: dict[Any, Callable[[list[Any]], Any]] = {tuple: tuple, list: list, Sequence: tuple}
_OBJECTS = (dict, Mapping)
_NUMBER = r"(?:null|-?\d[-+.\deE]*)"
_NUMBERS = re.compile(rf"\[\n\s+({_NUMBER}(?:,\n\s+{_NUMBER})*)\n\s*\]")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FIRST_NAME = re.compile(r"\w+(?=[:.\[])")


def save_json(path: PathLike, value: Any, header: Mapping[str, Any] | None = None) -> None:
    """Write a dataclass so that `load_json` reads an equal one; the file appears whole or not at all.

    Args:
        path: The file.
        value: An instance of a dataclass.
        header: What stands before its fields, such as a format's name and version.

    Raises:
        ValueError: A value is not of its field's type, or JSON has no form for it.
        TypeError: As `ValueError`, where JSON has no form for the type.
    """
    document = to_json(value)
    from_json(type(value), document, type(value).__name__, ValueError)
    write_whole(path, format_json({**(header or {}), **document}))


def load_json(
    path: PathLike, kind: type[Kind], error: type[Exception], header: Mapping[str, Any] | None = None
) -> Kind:
    """Read what `save_json` wrote: `from_json` of a file.

    Raises:
        error: The file cannot be read, or is not well-formed in whatever way. The message names the file, the
            entry, what was expected and what was found.
    """
    source = os.fspath(path)
    return from_json(kind, parse_json(read_bytes(path, error), source, error), source, error, header)


def parse_json(content: bytes | str, source: str, error: type[Exception]) -> Any:
    """Read JSON as its standard has it: in UTF-8, no key twice in an object, no NaN.

    Raises:
        error: It is something else, or nested too deeply. The message begins with `source`.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as failure:
        raise error(f"{source}: expected JSON, found {failure}") from failure


def from_json(
    kind: type[Kind],
    document: Any,
    source: str,
    error: type[Exception],
    header: Mapping[str, Any] | None = None,
) -> Kind:
    """Make a dataclass of what `json` or `parse_json` gave; the inverse of `to_json`.

    Args:
        kind: A dataclass, or any other hint of those above.
        document: What was read.
        source: Where it comes from, for messages.
        error: What to raise.
        header: Keys that must stand beside the fields, and their values.

    Raises:
        error: The document does not fit. The message names the entry, what was expected and what was found.
        TypeError: `kind` has a hint that is none of those above, or that this Python cannot evaluate.
    """
    reader = _Reader(source, error)
    try:
        made: Kind = reader.read(kind, reader.behind_header(document, header or {}), "")
    except RecursionError as failure:
        raise error(f"{source}: expected JSON of few levels, found it nested too deeply") from failure
    return made


def to_json(value: Any, entry: str = "") -> Any:
    """What `json` can write: dataclasses and mappings as dicts, sequences as lists, enums as their values.

    Raises:
        ValueError: A number is not finite or has more than 64 bits, or a text is half of a surrogate pair.
        TypeError: JSON has no form for a value. Both messages name the entry.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        kind = {"kind": value.json_kind} if hasattr(value, "json_kind") else {}
        return {**kind, **{name: to_json(getattr(value, name), _below(entry, name)) for name in names}}
    if isinstance(value, Enum):
        return to_json(value.value, entry)
    if isinstance(value, Mapping):
        texts = {_Reader("", ValueError).read(str, key, entry): item for key, item in value.items()}
        return {key: to_json(item, _below(entry, key)) for key, item in texts.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, f"{entry}[{index}]") for index, item in enumerate(value)]
    if value is None or isinstance(value, (str, int, float)):
        return _Reader("", ValueError).plain(value, entry)
    raise TypeError(f"{entry or 'the value'}: JSON has no form for {type(value).__name__}")


def format_json(document: Any) -> str:
    """JSON that people can read: each entry on a line of its own, but lists of numbers on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return _NUMBERS.sub(lambda match: "[" + " ".join(match[1].split()) + "]", text) + "\n"


class _Reader:
    """Makes Python values of JSON values, and says where one does not fit."""

    def __init__(self, source: str, error: type[Exception]):
        self._source = source
        self._error = error

    def fail(self, entry: str, message: str) -> NoReturn:
        raise self._error(": ".join(filter(None, (self._source, entry, message))))

    def expect(self, holds: bool, entry: str, expected: str, found: object) -> None:
        if not holds:
            self.fail(entry, f"expected {expected}, found {_shorten(found)}")

    def behind_header(self, document: Any, header: Mapping[str, Any]) -> Any:
        if not header:
            return document
        entries = self.entries(document, "")
        for key, expected in header.items():
            if key not in entries:
                self.fail(key, f"expected {expected!r}, found nothing")
            found = entries.pop(key)
            self.expect(type(found) is type(expected) and found == expected, key, repr(expected), found)
        return entries

    def read(self, hint: Any, value: Any, entry: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any:
            return self.anything(value, entry)
        if hint in _SCALARS:
            expected, allowed = _SCALARS[hint]
            self.expect(type(value) in allowed, entry, expected, value)
            return self.plain(value, entry)
        if origin in _UNIONS and len(arguments) == 2 and type(None) in arguments:
            inner = arguments[arguments[0] is type(None)]
            return None if value is None else self.read(inner, value, entry)
        kinds = {each.json_kind: each for each in arguments or (hint,) if hasattr(each, "json_kind")}
        if kinds and origin in (None, *_UNIONS):
            entries = self.entries(value, entry)
            found = entries.pop("kind", None)
            self.expect(found in list(kinds), _below(entry, "kind"), f"one of {_list(sorted(kinds))}", found)
            return self.make(kinds[found], entries, entry)
        if origin in _LISTS and arguments:
            return _LISTS[origin](self.items(origin, arguments, value, entry))
        if origin in _OBJECTS and arguments and arguments[0] is str:
            pairs = self.entries(value, entry).items()
            return {key: self.read(arguments[1], item, _below(entry, key)) for key, item in pairs}
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self.member(hint, value, entry)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self.make(hint, value, entry)
        raise TypeError(f"{entry or 'the value'}: JSON is not read as {hint!r}")

    def anything(self, value: Any, entry: str) -> Any:
        if isinstance(value, list):
            return [self.anything(item, f"{entry}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, dict):
            pairs = self.entries(value, entry).items()
            return {key: self.anything(item, _below(entry, key)) for key, item in pairs}
        return self.plain(value, entry)

    def plain(self, value: Any, entry: str) -> Any:
        if isinstance(value, str):
            self.expect(_HALF_CHARACTER.search(value) is None, entry, "text without half characters", value)
        elif isinstance(value, int):
            self.expect(-(1 << 63) <= value < 1 << 64, entry, "a whole number of at most 64 bits", value)
        elif isinstance(value, float):
            self.expect(math.isfinite(value), entry, "a finite number", value)
        return value

    def items(self, origin: Any, hints: tuple[Any, ...], value: Any, entry: str) -> list[Any]:
        self.expect(isinstance(value, list), entry, "a list", value)
        if origin is not tuple or hints[1:] == (...,):
            hints = hints[:1] * len(value)
        self.expect(len(value) == len(hints), entry, f"a list of {len(hints)}", value)
        return [
            self.read(hint, item, f"{entry}[{index}]") for index, (hint, item) in enumerate(zip(hints, value))
        ]

    def entries(self, value: Any, entry: str) -> dict[str, Any]:
        self.expect(isinstance(value, dict), entry, "a JSON object", value)
        for key in value:
            self.plain(key, entry)
        return dict(value)

    def member(self, kind: type[Enum], value: Any, entry: str) -> Enum:
        for member in kind:
            if type(member.value) is type(value) and member.value == value:
                return member
        expected = _list([member.value for member in kind])
        return self.fail(entry, f"expected one of {expected}, found {_shorten(value)}")

    def make(self, kind: Any, value: Any, entry: str) -> Any:
        entries = self.entries(value, entry)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        missing = [name for name, field in fields.items() if _is_required(field) and name not in entries]
        unknown = [name for name in entries if name not in fields]
        if missing or unknown:
            found = f"missing: {_list(missing)}; unknown: {_list(unknown)}"
            self.fail(entry, f"expected the keys {', '.join(fields)}; {found}")
        hints = _hints_of(kind)
        values = {name: self.read(hints[name], item, _below(entry, name)) for name, item in entries.items()}
        try:
            return kind(**values)
        except (ValueError, TypeError, self._error) as failure:
            named = _FIRST_NAME.match(str(failure))
            joint = "." if entry and named and named[0] in fields else ": "
            message = joint.join(filter(None, (entry, str(failure))))
            raise self._error(": ".join(filter(None, (self._source, message)))) from failure


@lru_cache(maxsize=None)
def _hints_of(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except (TypeError, NameError) as error:
        raise TypeError(f"this Python cannot evaluate the type hints of {kind.__name__}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory not in (list, dict)


def _below(entry: str, key: str) -> str:
    """The entry of a key: `rows[3].edge_ms`, or `artefacts['8-Enc-B3']` where the key is no plain name."""
    if _NAME.fullmatch(key) is None:
        return f"{entry}[{_shorten(key)}]"
    return f"{entry}.{key}" if entry else key


def _list(keys: list[Any]) -> str:
    return ", ".join([_shorten(key) for key in keys[:5]] + ["..."] * (len(keys) > 5)) or "none"


def _shorten(value: object) -> str:
    """`repr`, cut off where it is long, and never too deep to be made."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxlong, short.maxother = 3, NUM_FOUND, NUM_FOUND, NUM_FOUND
    text = short.repr(value)
    return text if len(text) <= NUM_FOUND else text[: NUM_FOUND - 3] + "..."


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {_shorten(key)} twice in one object")
        result[key] = value
    return result


def _no_constant(text: str) -> float:
    raise ValueError(f"{text}, which JSON does not know")
