"""Dataclasses as strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approxbit.errors import ApproxBitError
from approxbit.files import (
    format_json,
    from_json,
    load_json,
    parse_json,
    save_json,
    to_json,
)


class MenuError(ApproxBitError):
    pass


class Size(Enum):
    SMALL = "small"
    LARGE = 2


@dataclass(frozen=True)
class Dish:
    name: str
    price: float
    size: Size = Size.SMALL

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError(f"price: expected 0 or more, found {self.price}")


@dataclass(frozen=True)
class Menu:
    kind: ClassVar[str] = "menu"
    dishes: tuple[Dish, ...]
    range: tuple[int, float]
    days: Sequence[str] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    open: bool = True
    seats: int | None = None
    owner: Optional[str] = None  # noqa: UP045 - both spellings are read
    shares: list[float] = field(default_factory=list)
    length: int = field(default=0, init=False)


@dataclass(frozen=True)
class Dated:
    day: str = field(default_factory=lambda: "today")


@dataclass(frozen=True)
class Cash:
    json_kind: ClassVar[str] = "cash"
    coins: tuple[int, ...]


@dataclass(frozen=True)
class Card:
    json_kind: ClassVar[str] = "card"
    number: str


@dataclass(frozen=True)
class Bill:
    paid: Union[Cash, Card]  # noqa: UP007 - both spellings are read
    tip: Cash | Card


HEADER = {"format": "menu", "version": 1}
DOCUMENT: dict[str, Any] = {**HEADER, "dishes": [{"name": "soup", "price": 3}], "range": [1, 2.5]}


def attempt(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What was read, or None and why not; other errors than the documented one pass."""
    try:
        return read(*arguments), ""
    except MenuError as error:
        return None, str(error)


def load(path: Path, document: Any) -> Menu:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return load_json(path, Menu, MenuError, HEADER)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "menu.json"
    menu = Menu(
        dishes=(Dish("Käse", 2.5, Size.LARGE), Dish("\0 \N{GRINNING FACE}", 0)),
        range=(-(1 << 63), 5e-324),
        days=("monday",),
        prices={"a b": 1, "": 0.1},
        notes={"deep": [None, {"x": [True, "text", (1 << 64) - 1]}]},
        open=False,
        seats=4,
        owner="me",
        shares=[1, 0.5],
    )
    save_json(path, menu, HEADER)
    assert load_json(path, Menu, MenuError, HEADER) == menu
    assert [entry.name for entry in tmp_path.iterdir()] == ["menu.json"]


def test_the_kind_of_a_dataclass_says_which_one_of_a_union_it_is() -> None:
    bill = Bill(Card("12"), Cash((1, 2)))
    document = {"paid": {"kind": "card", "number": "12"}, "tip": {"kind": "cash", "coins": [1, 2]}}
    assert to_json(bill) == document
    assert from_json(Bill, document, "", MenuError) == bill
    assert from_json(Cash, document["tip"], "", MenuError) == bill.tip
    assert document["tip"] == {"kind": "cash", "coins": [1, 2]}  # what was given is left as it was


@pytest.mark.parametrize(
    ("paid", "message"),
    [
        (3, "paid: expected a JSON object, found 3"),
        ({"number": "12"}, r"paid\.kind: expected one of 'card', 'cash', found None"),
        ({"kind": ["card"], "number": "12"}, r"paid\.kind: expected one of .*, found \['card'\]"),
        (
            {"kind": "cash", "number": "12"},
            r"paid: expected the keys coins; missing: 'coins'; unknown: 'number'",
        ),
    ],
)
def test_what_is_none_of_a_union_is_named(paid: Any, message: str) -> None:
    with pytest.raises(MenuError, match=message):
        from_json(Bill, {"paid": paid, "tip": {"kind": "cash", "coins": []}}, "", MenuError)
    with pytest.raises(MenuError, match="kind: expected one of 'cash', found 'card'"):
        from_json(Cash, {"kind": "card", "coins": []}, "", MenuError)


def test_the_file_is_readable(tmp_path: Path) -> None:
    save_json(tmp_path / "menu.json", Menu((Dish("Käse", 2.5),), (1, 2), shares=[0.5, -1e-7]), {"version": 1})
    assert (tmp_path / "menu.json").read_text(encoding="utf-8").splitlines()[:12] == [
        "{",
        '  "version": 1,',
        '  "dishes": [',
        "    {",
        '      "name": "Käse",',
        '      "price": 2.5,',
        '      "size": "small"',
        "    }",
        "  ],",
        '  "range": [1, 2],',
        '  "days": [],',
        '  "prices": {},',
    ]


def test_only_lists_of_numbers_are_pulled_onto_one_line() -> None:
    document = {"shape": [None, 3, -1.5e-07], "text": "[\n  1,\n  2\n]", "names": ["1", "2"], "flags": [True]}
    text = format_json(document)
    assert json.loads(text) == document
    assert '"shape": [null, 3, -1.5e-07]' in text
    assert '"names": [\n    "1",\n    "2"\n  ]' in text


def test_a_default_that_is_made_anew_is_no_default_of_a_file() -> None:
    assert from_json(Dated, {"day": "yesterday"}, "", MenuError).day == "yesterday"
    with pytest.raises(MenuError, match="missing: 'day'"):
        from_json(Dated, {}, "", MenuError)


def test_defaults_may_be_left_out_and_whole_numbers_stay_so(tmp_path: Path) -> None:
    menu = load(tmp_path / "menu.json", DOCUMENT)
    assert menu == Menu((Dish("soup", 3),), (1, 2.5))
    assert type(menu.dishes[0].price) is int


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "card"}, "format: expected 'menu', found 'card'"),
        ({"version": True}, "version: expected 1, found True"),
        ({"version": 1.0}, "version: expected 1, found 1.0"),
        ({"dishes": {}}, r"dishes: expected a list, found \{\}"),
        ({"dishes": [3]}, r"dishes\[0\]: expected a JSON object, found 3"),
        (
            {"dishes": [{"name": "x"}]},
            r"dishes\[0\]: expected the keys name, price, size; missing: 'price'; u",
        ),
        ({"dishes": [{"name": "x", "price": 1, "Price": 2}]}, r"missing: none; unknown: 'Price'"),
        ({"dishes": [{"name": None, "price": 1}]}, r"dishes\[0\].name: expected text, found None"),
        ({"dishes": [{"name": "x", "price": True}]}, r"dishes\[0\].price: expected a number, found True"),
        ({"dishes": [{"name": "x", "price": -1}]}, r"dishes\[0\]\.price: expected 0 or more, found -1"),
        (
            {"dishes": [{"name": "x", "price": 1, "size": "2"}]},
            r"\.size: expected one of 'small', 2, found '2'",
        ),
        ({"range": [1]}, r"range: expected a list of 2, found \[1\]"),
        ({"range": [1.0, 2]}, r"range\[0\]: expected a whole number, found 1.0"),
        ({"range": [1 << 64, 2]}, r"range\[0\]: expected a whole number of at most 64 bits, found 18446744"),
        ({"range": [1, 10**400]}, r"range\[1\]: expected a whole number of at most 64 bits, found 1000000"),
        ({"days": "monday"}, "days: expected a list, found 'monday'"),
        ({"days": ["\ud800"]}, r"days\[0\]: expected text without half characters, found '\\ud800'"),
        ({"prices": {"a b": "1"}}, r"prices\['a b'\]: expected a number, found '1'"),
        ({"prices": {"\udfff": 1}}, "prices: expected text without half characters"),
        ({"notes": {"deep": [{"x": "\ud800"}]}}, r"notes.deep\[0\].x: expected text without"),
        ({"notes": {"big": -(1 << 64)}}, "notes.big: expected a whole number of at most 64 bits"),
        ({"open": 1}, "open: expected true or false, found 1"),
        ({"seats": "x" * 200}, r"seats: expected a whole number, found 'x+\.\.\.x+'$"),
        ({"length": 3}, "missing: none; unknown: 'length'"),
        ({"kind": "menu"}, "unknown: 'kind'"),
    ],
)
def test_what_is_wrong_is_named_with_its_entry(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "menu.json"
    with pytest.raises(MenuError, match=message) as caught:
        load(path, {**DOCUMENT, **changes})
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 250


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, found Expecting value"),
        (b"\xff\xfe", "expected JSON, found .*can't decode"),
        ("{}".encode("utf-16"), "expected JSON, found .*can't decode"),
        (b"\xef\xbb\xbf{}", "expected JSON, found .*BOM"),
        (b"[]", r"expected a JSON object, found \[\]"),
        (b"[" * 100_000, "expected JSON, found .*recursion"),
        (b'{"notes": ' * 100_000, "expected JSON, found .*recursion"),
        (b'{"a": NaN}', "expected JSON, found NaN, which JSON does not know"),
        (b'{"a": -Infinity}', "expected JSON, found -Infinity, which JSON does not know"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "expected JSON, found the key 'c' twice in one object"),
        (b'{"format": "menu", "version": ' + b"9" * 5000 + b"}", "expected"),
        (
            json.dumps({**DOCUMENT, "range": [1, 2]}).replace("2]", "1e999]").encode(),
            r"range\[1\]: .*found inf",
        ),
    ],
)
def test_what_is_no_json_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "menu.json"
    path.write_bytes(content)
    with pytest.raises(MenuError, match=message):
        load_json(path, Menu, MenuError, HEADER)


@pytest.mark.parametrize("depth", [50, 200, 400, 600, 900, 2000])
def test_a_value_of_any_depth_is_read_or_refused(depth: int, tmp_path: Path) -> None:
    deep = "[" * depth + "]" * depth
    text = json.dumps({**DOCUMENT, "notes": {"deep": 0}}).replace('"deep": 0', f'"deep": {deep}')
    value, refusal = attempt(load, tmp_path / "menu.json", text)
    if depth < 100:
        assert isinstance(value.notes["deep"], list)
    if depth > 1000 or value is None:
        assert "nested too deeply" in refusal or "recursion" in refusal


def test_a_wrong_value_of_great_depth_is_named() -> None:
    deep: Any = 0
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(MenuError, match=r"^here: days\[0\]: expected text, found \[\[\[\[?\.\.\.\]\]\]"):
        from_json(Menu, {"dishes": [], "range": [1, 2], "days": [deep]}, "here", MenuError)
    with pytest.raises(MenuError, match="nested too deeply"):
        from_json(Menu, {"dishes": [], "range": [1, 2], "notes": {"deep": deep}}, "here", MenuError)
    while deep:  # a chain this long must not be freed at one go
        deep = deep[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), ("a\0b", "null")):
        with pytest.raises(MenuError, match=f": cannot be read: .*{reason}"):
            load_json(path, Menu, MenuError)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "menu.json"
    save_json(path, Menu((Dish("soup", 1),), (1, 2)), HEADER)
    content = path.read_bytes().rstrip()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(MenuError, match="expected JSON"):
            load_json(path, Menu, MenuError, HEADER)


texts = st.text(st.characters(exclude_categories=("Cs",)))
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(1 << 63), (1 << 64) - 1)
anything = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
dishes = st.builds(Dish, texts, floats.map(abs), st.sampled_from(Size))
menus = st.builds(
    Menu,
    dishes=st.lists(dishes, max_size=3).map(tuple),
    range=st.tuples(integers, floats),
    days=st.lists(texts, max_size=3).map(tuple),
    prices=st.dictionaries(texts, floats, max_size=3),
    notes=st.dictionaries(texts, anything, max_size=3),
    open=st.booleans(),
    seats=st.none() | integers,
    owner=st.none() | texts,
    shares=st.lists(floats, max_size=3),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters()), inner, max_size=4)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(Menu.__dataclass_fields__, inner))
        | st.fixed_dictionaries({"name": inner, "price": inner})
    ),
    max_leaves=30,
)


@given(menus)
def test_any_menu_is_itself_after_a_round_trip_through_text(menu: Menu) -> None:
    text = format_json(to_json(menu)).encode()
    assert from_json(Menu, parse_json(text, "text", MenuError), "text", MenuError) == menu


@given(json_values)
def test_any_value_is_read_or_refused(value: Any) -> None:
    text = json.dumps(value)
    menu, refusal = attempt(lambda: from_json(Menu, parse_json(text, "text", MenuError), "text", MenuError))
    refusal.encode()  # it can be printed
    assert menu is None or from_json(Menu, to_json(menu), "text", MenuError) == menu


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    _, refusal = attempt(parse_json, content, "bytes", MenuError)
    assert refusal == "" or refusal.startswith("bytes: expected JSON, found")


@given(menus, st.data())
def test_a_menu_with_any_entry_replaced_is_read_or_refused(menu: Menu, data: st.DataObject) -> None:
    document = to_json(menu)
    target: Any = document
    while True:
        steps = list(target) if isinstance(target, dict) else range(len(target))
        step = data.draw(st.sampled_from(steps))
        if not isinstance(target[step], (dict, list)) or not target[step] or data.draw(st.booleans()):
            break
        target = target[step]
    target[step] = data.draw(json_values)
    read, refusal = attempt(from_json, Menu, document, "document", MenuError)
    assert isinstance(read, Menu) or refusal.startswith("document: ")


@pytest.mark.parametrize(
    ("menu", "error", "message"),
    [
        (Menu((), (1, math.nan)), ValueError, r"range\[1\]: expected a finite number, found nan"),
        (Menu((), (1 << 64, 1)), ValueError, r"range\[0\]: expected a whole number of at most 64 bits"),
        (Menu((), (1, 2), owner="\ud800"), ValueError, "owner: expected text without half characters"),
        (Menu((), (1, 2), notes={"a": {1: 2}}), ValueError, "notes.a: expected text, found 1"),
        (Menu((), (1, 2), notes={"a": [b"x"]}), TypeError, r"notes.a\[0\]: JSON has no form for bytes"),
        (Menu((), (1, 2), seats=True), ValueError, "Menu: seats: expected a whole number, found True"),
        (Menu((), (1, 2, 3)), ValueError, "Menu: range: expected a list of 2"),  # type: ignore[arg-type]
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    menu: Menu, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        save_json(tmp_path / "menu.json", menu)
    assert list(tmp_path.iterdir()) == []


def test_hints_that_json_is_not_read_as_are_the_programmers_mistake() -> None:
    for hint, value in ((set, []), (dict[int, str], {}), (bytes, ""), (int | str, 1), (list, [])):
        odd = make_dataclass("odd", [("entry", hint)])
        with pytest.raises(TypeError, match="entry: JSON is not read as"):
            from_json(odd, {"entry": value}, "", MenuError)


def test_a_type_that_is_not_there_is_the_programmers_mistake() -> None:
    @dataclass
    class Odd:
        entry: Nowhere  # type: ignore[name-defined]

    with pytest.raises(TypeError, match="this Python cannot evaluate the type hints of Odd: name 'Nowhere'"):
        from_json(Odd, {"entry": 1}, "", MenuError)
