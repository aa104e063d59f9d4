"""Which of TensorRT's names our code touches, read from its syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# What our variables for TensorRT's objects are called, and what they are.
CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "layer": "ILayer",
    "tensor": "ITensor",
    "error": "ParserError",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_context": "IExecutionContext",
}
MODULES = {"trt"}


@dataclass
class TouchedNames:
    """Dotted names below `tensorrt`, and the keywords that a call gives."""

    names: set[str] = field(default_factory=set)
    keywords: dict[str, set[str]] = field(default_factory=dict)


def touched_names(paths: list[Path]) -> TouchedNames:
    """All names that the files touch."""
    touched = TouchedNames()
    for path in paths:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                name = _dotted_name(node)
                if name is not None:
                    touched.names.add(name)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.keywords:
                name = _dotted_name(node.func)
                if name is not None:
                    keywords = {keyword.arg for keyword in node.keywords if keyword.arg}
                    touched.keywords.setdefault(name, set()).update(keywords)
            if isinstance(node, ast.ClassDef):
                touched.names.update(_overridden(node))
    return touched


def _dotted_name(node: ast.Attribute) -> str | None:
    """`trt.A.B` -> `A.B`; `engine.x` -> `ICudaEngine.x`; None for what is not TensorRT's."""
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute) and value.attr not in MODULES | {"_context"}:
        parts.append(value.attr)
        value = value.value
    base = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    if base in MODULES:
        return ".".join(reversed(parts))
    if base in CLASSES:
        return f"{CLASSES[base]}.{parts[-1]}"
    return None


def _overridden(node: ast.ClassDef) -> Iterator[str]:
    """What a class of ours overrides in one of TensorRT's."""
    for base in node.bases:
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id in MODULES:
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    yield f"{base.attr}.{each.name}"
