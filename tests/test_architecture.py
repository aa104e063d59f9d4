"""Who may import whom: the layout of the package, checked over its syntax trees."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from rooms import MODULE_PATHS, PACKAGE, REPOSITORY, is_torch_free, module_name, room_of

from approxbit.engines.build_script import DEVICE_ROOMS

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# From the ground up: a room may import the rooms named beside it, and all of them stand above it.
FOUNDATION = {"errors", "configuration", "trust", "files", "drawing", "processes"}
MODELS = FOUNDATION | {"tasks", "wire", "backbones", "codec", "offload"}
DEVICE = {*DEVICE_ROOMS}
ALLOWED_ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "configuration": set(),
    "trust": {"errors"},
    "files": set(),
    "drawing": {"files"},
    "processes": {"errors", "files"},
    "tasks": FOUNDATION,
    "wire": FOUNDATION,
    "link": FOUNDATION,
    "select": FOUNDATION | {"link"},
    "families": FOUNDATION | {"tasks", "select"},
    "video": FOUNDATION,
    "engines": FOUNDATION | {"tasks", "wire", "families", "video"},
    "edge": FOUNDATION | {"tasks", "wire", "link", "select", "families", "video", "engines"},
    # The torch wall.
    "backbones": FOUNDATION,
    "codec": FOUNDATION | {"backbones"},
    "offload": MODELS | {"engines"},
    "datasets": FOUNDATION | {"tasks", "families", "video"},
    "zoo": MODELS | {"families"},
    "exporting": MODELS | {"families", "engines", "datasets", "zoo"},
    "server": MODELS | {"tasks", "families", "video", "engines", "zoo"},
    "training": MODELS | {"families", "datasets", "zoo"},
    "profiling": MODELS | DEVICE | {"datasets", "zoo", "exporting", "server"},
    "baselines": MODELS | DEVICE | {"datasets", "zoo", "exporting", "training", "profiling"},
    "report": FOUNDATION | {"link", "select"},
    "demo": MODELS | DEVICE | {"datasets", "zoo", "exporting", "server", "profiling", "baselines", "report"},
}
ALLOWED_ROOMS["cli"] = set(ALLOWED_ROOMS)
ALLOWED_ROOMS["__main__"] = {"cli"}
ALLOWED_ROOMS["__init__"] = set(ALLOWED_ROOMS)
for _room in ALLOWED_ROOMS:
    ALLOWED_ROOMS[_room] = ALLOWED_ROOMS[_room] - {_room}

ALLOWED_PACKAGES: dict[str, set[str]] = {
    "errors": set(),
    "configuration": set(),
    "trust": set(),
    "files": set(),
    "drawing": set(),
    "processes": set(),
    "tasks": {"numpy"},
    "wire": {"numpy", "numba"},
    "link": {"numpy"},
    "select": {"numpy"},
    "families": {"huggingface_hub"},
    "video": {"numpy", "av", "gi"},
    "engines": {"numpy", "onnxruntime", "tensorrt"},
    "edge": {"numpy", "grpc"},
    "backbones": {
        "torch",
        "torchvision",
        "transformers",
        "tokenizers",  # which transformers brings along
        "safetensors",
        "jaxtyping",
    },
    "codec": {"torch", "jaxtyping"},
    "offload": {"torch", "jaxtyping", "numpy"},
    "datasets": {
        "torch",
        "torchvision",
        "numpy",
        "scipy",
        "sklearn",
        "av",
        "pytorchvideo",
        "jaxtyping",
        "rich",
    },
    "zoo": {"torch", "safetensors"},
    "exporting": {
        "torch",
        "torchvision",
        "transformers",
        "numpy",
        "jaxtyping",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "onnxslim",
        "rich",
    },
    "server": {"torch", "numpy", "grpc", "ray"},
    "training": {
        "torch",
        "torchvision",
        "numpy",
        "lightning",
        "lightning_utilities",
        "jsonargparse",
        "jaxtyping",
        "safetensors",
        "rich",
    },
    "profiling": {"torch", "numpy", "jaxtyping", "rich"},
    "baselines": {"torch", "numpy", "av", "jaxtyping", "vector_quantize_pytorch"},
    "report": {"numpy", "matplotlib"},
    "demo": {"numpy", "torch", "rich"},
    "cli": {"numpy", "typer", "rich"},
    "__main__": set(),
    "__init__": set(),
}
HEAVY = {"torch", "torchvision", "lightning", "jaxtyping", "safetensors", "sklearn", "scipy"}

# Names that Python 3.8 lacks at run time, though its parser takes them.
TOO_NEW_NAMES = {"removeprefix", "removesuffix", "pairwise", "bit_count", "slots", "kw_only", "strict"}
BUILTIN_GENERICS = {"list", "dict", "tuple", "set", "frozenset", "type"}

SOURCES = {module_name(path): path.read_text() for path in MODULE_PATHS}
TREES = {module: ast.parse(source) for module, source in SOURCES.items()}


def imports_of(module: str) -> Iterator[str]:
    """Every module that a module imports, at the top or inside a function."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in TREES else str(node.module)


INTERNAL_IMPORTS = {
    module: {name for name in imports_of(module) if name.split(".")[0] == "approxbit"} for module in TREES
}
TORCH_FREE = sorted(filter(is_torch_free, TREES))


def test_every_room_stands_in_the_tables() -> None:
    rooms = {room_of(module) for module in TREES}
    assert rooms <= set(ALLOWED_ROOMS)
    assert set(ALLOWED_PACKAGES) == set(ALLOWED_ROOMS)


def test_the_table_has_arrows_only_downwards() -> None:
    order = list(ALLOWED_ROOMS)
    for room in set(order) - {"cli", "__init__"}:
        higher = set(order[order.index(room) :])
        assert not ALLOWED_ROOMS[room] & higher, room


def test_a_module_imports_only_rooms_below_its_own() -> None:
    for module in TREES:
        room = room_of(module)
        found = {room_of(name) for name in INTERNAL_IMPORTS[module]} - {room}
        assert found <= ALLOWED_ROOMS[room], f"{module} imports {sorted(found - ALLOWED_ROOMS[room])}"


def test_a_module_imports_only_packages_of_its_room() -> None:
    for module in TREES:
        packages = {name.split(".")[0] for name in imports_of(module)}
        third_party = packages - set(sys.stdlib_module_names) - {"approxbit"}
        allowed = ALLOWED_PACKAGES[room_of(module)]
        assert third_party <= allowed, f"{module} imports {sorted(third_party - allowed)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    finished: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in finished:
            for name in sorted(INTERNAL_IMPORTS[module] & set(TREES)):
                visit(name, (*way, module))
            finished.add(module)

    for module in sorted(TREES):
        visit(module, ())


def test_the_rooms_of_the_device_are_the_lowest_and_never_reach_torch() -> None:
    assert tuple(ALLOWED_ROOMS)[: len(DEVICE_ROOMS)] == DEVICE_ROOMS
    for room in DEVICE_ROOMS:
        assert ALLOWED_ROOMS[room] <= DEVICE, room
        assert not ALLOWED_PACKAGES[room] & HEAVY, room


# Rooms that may know a data set; all others know its task. The digits 0 to 9 in prose, and the shipped
# families by their names, such as `digits-movinet`, are no knowledge of it.
DATA_ROOMS = {"datasets", "demo"}
DATA_WORDS = re.compile(r"Digits|action_digit|action x digit|action_names|\bMARGINAL\b|\bJOINT\b")
DATA_NAMES = {"digits", "marginal", "marginals"}


def data_words_of(source: str) -> set[str]:
    """Words of one data set in code, text and comments; and those that names and whole texts are made of."""
    names = []
    for node in ast.walk(ast.parse(source)):
        names += [getattr(node, field, None) for field in ("id", "attr", "arg", "name", "asname", "module")]
        names += [node.value] if isinstance(node, ast.Constant) else []
    words = {word for name in names if isinstance(name, str) for word in re.split(r"[_.]", name)}
    return {*DATA_WORDS.findall(source), *(words & DATA_NAMES)}


def test_only_data_sets_and_the_demo_know_a_data_set() -> None:
    found = {
        module: data_words_of(source)
        for module, source in SOURCES.items()
        if room_of(module) not in DATA_ROOMS
    }
    assert {module: words for module, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from approxbit.datasets.digits import TASK",
        "def movinet_digits(): ...",
        "movinet('digits')",
        "def run(marginals=True): ...",
        "self.action_names = ()",
        "# the clips of Digits-in-Motion",
        "label_set = 'action_digit'",
        "x == MARGINAL",
    ],
)
def test_words_of_a_data_set_are_seen(source: str) -> None:
    assert data_words_of(source)


@pytest.mark.parametrize(
    "source", ["'16 hexadecimal digits'", "zoo.load('digits-movinet/16-Enc-B5')", "joint = a + b  # digits"]
)
def test_numerals_and_families_are_no_words_of_a_data_set(source: str) -> None:
    assert not data_words_of(source)


def test_the_linter_holds_the_device_to_python_3_8() -> None:
    table = (REPOSITORY / "pyproject.toml").read_text().split("[tool.ruff.per-file-target-version]\n")[1]
    lines = set(table.split("\n\n")[0].splitlines())
    single = {"__init__", *(room for room in DEVICE_ROOMS if (PACKAGE / f"{room}.py").is_file())}
    paths = {f"approxbit/{room}.py" for room in single}
    paths |= {f"approxbit/{room}/*" for room in {*DEVICE_ROOMS, "cli"} - single} | {"export/*"}
    assert lines == {f'"{path}" = "py38"' for path in paths}


class TooNew(NamedTuple):
    line: int
    what: str


def too_new_for_3_8(source: str) -> list[TooNew]:
    """What parses on Python 3.8 and fails when it runs."""
    tree = ast.parse(source)
    postponed = "from __future__ import annotations" in source
    unevaluated = set(_annotation_nodes(tree)) if postponed else set(_local_annotation_nodes(tree))
    imported = _imported_names(tree)
    found = []
    for node in ast.walk(tree):
        if node in unevaluated:
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.value, (ast.Name, ast.Attribute)):
            name = ast.unparse(node.value)
            if name in BUILTIN_GENERICS or _is_generic_of_the_standard_library(name, imported):
                found.append(TooNew(node.lineno, f"{name}[...]"))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            if any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right)):
                found.append(TooNew(node.lineno, "X | None"))
        elif isinstance(node, ast.Attribute) and node.attr in TOO_NEW_NAMES:
            found.append(TooNew(node.lineno, node.attr))
        elif isinstance(node, ast.keyword) and node.arg in TOO_NEW_NAMES:
            found.append(TooNew(node.value.lineno, f"{node.arg}="))
        elif isinstance(node, ast.ImportFrom) and node.module in {"functools", "itertools"}:
            found += [
                TooNew(node.lineno, alias.name) for alias in node.names if alias.name in ("cache", "pairwise")
            ]
    return sorted(found)


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """Where each imported name comes from, such as `Callable` from `collections.abc.Callable`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _is_generic_of_the_standard_library(name: str, imported: dict[str, str]) -> bool:
    """Whether a dotted name is a class that takes a subscript from Python 3.9 on, such as `re.Pattern`."""
    first, *rest = name.split(".")
    path = ".".join([imported.get(first, ""), *rest])
    if path.split(".")[0] not in sys.stdlib_module_names - {"typing"}:
        return False
    found = pkgutil.resolve_name(path)
    return isinstance(found, type) and hasattr(found, "__class_getitem__")


def _annotation_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.AST):
                yield from ast.walk(annotation)


def _local_annotation_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations of variables in functions, which Python never evaluates."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.AnnAssign):
                    yield from ast.walk(node.annotation)


def test_a_module_of_the_device_runs_on_python_3_8() -> None:
    for module in [*TORCH_FREE, *(name for name in TREES if room_of(name) == "cli")]:
        ast.parse(SOURCES[module], feature_version=(3, 8))
    assert {module: found for module in TORCH_FREE if (found := too_new_for_3_8(SOURCES[module]))} == {}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("Shape = tuple[int, int]", "tuple[...]"),
        ("def f(x: list[int]): ...", "list[...]"),
        ("def f(x: int | None): ...", "X | None"),
        ("@dataclass(slots=True)\nclass A: ...", "slots="),
        ("zip(a, b, strict=True)", "strict="),
        ("name.removeprefix('a')", "removeprefix"),
        ("from functools import cache", "cache"),
        ("from collections.abc import Callable\nSay = Callable[[str], None]", "Callable[...]"),
        ("from collections import deque as queue\nNames = queue[str]", "queue[...]"),
        ("import collections.abc\nNames = collections.abc.Set[str]", "collections.abc.Set[...]"),
        ("import os\nPath = os.PathLike[str]", "os.PathLike[...]"),
        ("from re import Pattern\nclass A(Pattern[str]): ...", "Pattern[...]"),
        ("from queue import Queue\ndef f(): return Queue[int]()", "Queue[...]"),
        ("from contextlib import AbstractContextManager as C\ndef f() -> C[int]: ...", "C[...]"),
    ],
)
def test_the_check_for_python_3_8_sees_what_it_must(source: str, what: str) -> None:
    assert [each.what for each in too_new_for_3_8(source)] == [what]


@pytest.mark.parametrize(
    "source",
    [
        "from __future__ import annotations\ndef f(x: list[int]) -> int | None: ...",
        "from __future__ import annotations\nimport os\ndef f(x: os.PathLike[str]): ...",
        "from typing import Callable\nSay = Callable[[str], None]",
        "import os, sys\nprint(os.environ['PATH'], sys.argv[1])",
        "import re\ndef f():\n    match: re.Match[str]",
        "from signal import Signals\nprint(Signals['SIGTERM'])",
    ],
)
def test_the_check_for_python_3_8_lets_pass_what_runs_there(source: str) -> None:
    assert too_new_for_3_8(source) == []


def test_the_package_never_imports_what_lies_beside_it() -> None:
    beside = {"recipes", "export", "benchmarks", "tests"}
    for module in TREES:
        assert not {name.split(".")[0] for name in imports_of(module)} & beside, module


def test_files_stay_short() -> None:
    lengths = {module: len(source.splitlines()) for module, source in SOURCES.items()}
    assert {module: length for module, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_stay_short() -> None:
    long = {
        f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}
