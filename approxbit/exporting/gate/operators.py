"""Which ONNX operators a target takes, and with which restrictions: the facts, one table for each parser.

A table is a whitelist. An operator stands in it only where the parser of that version is documented to take
it, and where approxbit can need it: what is missing fails the gate, loudly, and nothing passes by guess.
The TensorRT tables follow the operator lists of onnx-tensorrt 8.5, 8.6, 10.1 and 11.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple


class InputRule(NamedTuple):
    """How a parser restricts one input of an operator: it must be left out, or be a constant of the file."""

    operator: str
    position: int
    input_name: str
    must_be: Literal["absent", "constant"]
    why: str
    remedy: str


class AttributeRule(NamedTuple):
    """Values that a parser takes for an attribute; of a list, each item is one of them."""

    operator: str
    attribute: str
    allowed: tuple[object, ...]


@dataclass(frozen=True)
class OperatorTable:
    """What one parser takes.

    Attributes:
        parser: Its name and version.
        opsets: The oldest and the newest opset that it documents.
        precisions: The `Target.precision`s that it can build.
        operators: Of the standard domain.
        input_rules: Restrictions of inputs.
        attribute_rules: Restrictions of attributes.
        single_output: Operators of which it takes the first output only.
        float_only: Operators that it computes in FLOAT and FLOAT16 only.
        has_local_functions: Whether it reads functions that the file brings.
        has_uint8_inside: Whether UINT8 tensors may occur elsewhere than at the boundary of the graph.
    """

    parser: str
    opsets: tuple[int, int]
    precisions: frozenset[str]
    operators: frozenset[str]
    input_rules: tuple[InputRule, ...] = ()
    attribute_rules: tuple[AttributeRule, ...] = ()
    single_output: frozenset[str] = frozenset()
    float_only: frozenset[str] = frozenset()
    has_local_functions: bool = False
    has_uint8_inside: bool = False


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_TENSORRT_8_5 = _names(
    # arithmetic
    "Abs Add Ceil Clip Cos Div Erf Exp Floor Log Max Mean Min Mul Neg Pow Reciprocal Round Sign Sin Sqrt",
    "Sub Sum",
    # activations
    "Elu HardSigmoid HardSwish LeakyRelu PRelu Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu",
    # comparisons
    "And Equal Greater GreaterOrEqual Less LessOrEqual Not Or Where",
    # layers
    "AveragePool BatchNormalization Conv ConvTranspose Dropout Gemm GlobalAveragePool GlobalMaxPool",
    "InstanceNormalization LogSoftmax MatMul MaxPool Pad Resize Softmax",
    # reductions
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum",
    "ReduceSumSquare",
    # layout
    "Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Reshape Slice SpaceToDepth Split",
    "Squeeze Tile Transpose Unsqueeze",
    # constants, shapes and types
    "Cast Constant ConstantOfShape DequantizeLinear Identity QuantizeLinear Range Shape Size",
)
_TENSORRT_8_6 = _TENSORRT_8_5 | {"LayerNormalization"}
_TENSORRT_10 = _TENSORRT_8_6 | {"Gelu"}
_TENSORRT_11 = _TENSORRT_10 | {"GroupNormalization"}  # of opset 21; ONNX itself gave up that of opset 18
_ONNX_RUNTIME = _TENSORRT_11 | {"ArgMax", "CumSum", "Einsum", "Mod", "Trilu"}

# Their axes became an input in opset 18; those of ReduceSum in opset 13, which every parser knows.
_LATE_REDUCTIONS = sorted(name for name in _TENSORRT_8_5 if name.startswith("Reduce") and name != "ReduceSum")


def _constant(operator: str, position: int, input_name: str) -> InputRule:
    why = "the parser needs its value when it builds"
    remedy = "compute it when the graph is exported, so that it is an initializer"
    return InputRule(operator, position, input_name, "constant", why, remedy)


def _no_axes(operator: str) -> InputRule:
    why = "the parser ignores it without a word and reduces over all axes"
    remedy = "export at opset 16 or 17 with the torchscript exporter, which writes axes as an attribute"
    return InputRule(operator, 1, "axes", "absent", why, remedy)


_CONSTANT_EVERYWHERE = (
    _constant("ReduceSum", 1, "axes"),
    _constant("Split", 1, "split"),
    _constant("Squeeze", 1, "axes"),
    _constant("Unsqueeze", 1, "axes"),
)
_INPUTS_8_6 = (
    *_CONSTANT_EVERYWHERE,
    *map(_no_axes, _LATE_REDUCTIONS),
    InputRule(
        "Pad", 3, "axes", "absent", "the parser rejects it", "give pads for every axis, or pad in Conv"
    ),
)
_INPUTS_8_5 = (
    *_INPUTS_8_6,
    _constant("InstanceNormalization", 1, "scale"),
    _constant("InstanceNormalization", 2, "B"),
)
_INPUTS_10 = (
    *_CONSTANT_EVERYWHERE,
    *(_constant(operator, 1, "axes") for operator in _LATE_REDUCTIONS),
    _constant("Pad", 3, "axes"),
)
_ATTRIBUTES = (
    AttributeRule("AveragePool", "dilations", (1,)),
    AttributeRule("BatchNormalization", "training_mode", (0,)),
    AttributeRule("LayerNormalization", "stash_type", (1,)),
    AttributeRule("MaxPool", "dilations", (1,)),
    AttributeRule("Pad", "mode", ("constant", "edge", "reflect")),
    AttributeRule("Resize", "antialias", (0,)),
    AttributeRule(
        "Resize",
        "coordinate_transformation_mode",
        ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"),
    ),
    AttributeRule("Resize", "mode", ("nearest", "linear")),
)
_SINGLE_OUTPUT = _names("BatchNormalization Dropout LayerNormalization MaxPool")
_FLOAT_ONLY = _names("Conv ConvTranspose Gemm MatMul Softmax")
_WEAK = frozenset({"fp32", "weak-fp16"})
_STRONG = frozenset({"fp32", "strong-fp16"})

_PARSER_8_5 = OperatorTable(
    parser="onnx-tensorrt 8.5",
    opsets=(9, 17),
    precisions=_WEAK,
    operators=_TENSORRT_8_5,
    input_rules=_INPUTS_8_5,
    attribute_rules=_ATTRIBUTES,
    single_output=_SINGLE_OUTPUT,
    float_only=_FLOAT_ONLY | {"ReduceSum"},
)
_PARSER_8_6 = replace(
    _PARSER_8_5, parser="onnx-tensorrt 8.6", operators=_TENSORRT_8_6, input_rules=_INPUTS_8_6
)
# 10.3, which JetPack 6 brings, has no published list: this is what 10.1 and 11.1 have in common.
_PARSER_10 = replace(
    _PARSER_8_6,
    parser="onnx-tensorrt 10",
    opsets=(9, 20),
    precisions=_WEAK | _STRONG,
    operators=_TENSORRT_10,
    input_rules=_INPUTS_10,
    float_only=_FLOAT_ONLY,
    has_local_functions=True,
)
# Holds for 10.16 as well as for 11.x; what only 11.x takes (Swish, Attention) is therefore not in it.
_PARSER_11 = replace(
    _PARSER_10,
    parser="onnx-tensorrt 11",
    opsets=(9, 24),
    precisions=_STRONG,
    operators=_TENSORRT_11,
)
# The oldest version that the onnxruntime target is for, 1.18, ends at opset 21.
_PARSER_ONNX_RUNTIME = OperatorTable(
    parser="ONNX Runtime",
    opsets=(9, 21),
    precisions=_STRONG,
    operators=_ONNX_RUNTIME,
    has_local_functions=True,
    has_uint8_inside=True,
)

OPERATOR_TABLES: Mapping[str, OperatorTable] = {
    "tensorrt-8.5": _PARSER_8_5,
    "tensorrt-8.6": _PARSER_8_6,
    "tensorrt-10": _PARSER_10,
    "tensorrt-11": _PARSER_11,
    "onnxruntime": _PARSER_ONNX_RUNTIME,
}
"""What each kind of target takes, by the name that a target's `operator_table` gives it."""

_FIXED = "unroll it: the shapes are fixed, so the number of passes is known"
_PACK_IN_FLOAT = "pack bits by a weighted sum in floating point: multiply by 128 ... 1, then ReduceSum"
_REMEDIES: Mapping[str, str] = {
    "Attention": "write attention by hand as (q * scale) @ k^T, softmax, @ v, and export below opset 23",
    "BitShift": _PACK_IN_FLOAT,
    "ConcatFromSequence": "join tensors with Concat; no lists inside the graph",
    "Einsum": "write the product as Transpose, Reshape and MatMul",
    "GroupNormalization": "export below opset 21, where it becomes InstanceNormalization",
    "If": "decide when the graph is exported: the shapes are fixed, so the branch is known",
    "LayerNormalization": "write it out as mean, difference, power, root and quotient: export at opset 16",
    "Loop": _FIXED,
    "NonZero": "choose positions with constant indices, or with Where",
    "Scan": _FIXED,
    "SplitToSequence": "split with fixed sizes, so that it becomes Split",
    "Swish": "export below opset 24, where it becomes Sigmoid and Mul",
}
_REMEDIES_BY_PREFIX: Mapping[str, str] = {
    "Bitwise": _PACK_IN_FLOAT,
    "Random": "a frozen model is deterministic: export it in eval mode",
    "Scatter": "build the tensor with Concat instead of writing into a part of it",
    "Sequence": "join tensors with Concat; no lists inside the graph",
}


def remedy_for(operator: str) -> str:
    """What to do about an operator that a target does not take."""
    families = (text for prefix, text in _REMEDIES_BY_PREFIX.items() if operator.startswith(prefix))
    other = "express the module with other operators, or choose a target whose table has it"
    return _REMEDIES.get(operator) or next(families, other)
