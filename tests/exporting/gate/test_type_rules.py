"""Each rule about the boundary and the types of a graph: a graph that breaks it, and one that keeps it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from approxbit.exporting.gate import GateReport, Target, check_graph, load_target, target_names

NOTHING: MappingProxyType[str, np.ndarray] = MappingProxyType({})
FLOAT16, FLOAT, UINT8 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.UINT8
KERNEL = np.ones((3, 3, 1, 1, 1), np.float16)
XAVIER = load_target("xavier-jp5")
ORIN = load_target("orin-jp6")


def node(
    operator: str, inputs: str, outputs: str = "x", name: str = "it", **attributes: Any
) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), name, **attributes)


def cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return node("Cast", source, target, f"cast_{target}", to=to)


def problems_of(rule: str, report: GateReport) -> list[str]:
    return [f"{each.node}: {each.problem}" for each in report.violations if each.rule == rule]


HALF_CONV = (cast("clip", "half", FLOAT16), node("Conv", "half kernel", "product", "conv"))
"""clip -> a convolution in FLOAT16 -> product."""
MIXED = (*HALF_CONV, cast("product", "x", FLOAT))


@pytest.mark.parametrize("name", target_names())
def test_the_packing_tail_passes_everywhere(name: str, hand_made: Any) -> None:
    target = load_target(name)
    is_mixed = target.precision == "strong-fp16"
    nodes, constants = (MIXED, {"kernel": KERNEL}) if is_mixed else ((), NOTHING)
    report = check_graph(hand_made.edge(nodes, constants, target.opset, target.ir), target)
    assert str(report).endswith(f"passes the gate of {name}")
    assert report.passes


def test_the_packing_tail_may_compute_in_half_precision(hand_made: Any) -> None:
    model = hand_made.edge(
        HALF_CONV, {"kernel": KERNEL, "zero": np.zeros((), np.float16)}, 18, last="product"
    )
    assert check_graph(model, ORIN).passes


def test_a_server_graph_passes_with_the_batch_that_its_target_asks_for(hand_made: Any) -> None:
    batched = replace(XAVIER, dynamic_batch=8)
    assert check_graph(hand_made.server(), XAVIER, "server").passes
    assert check_graph(hand_made.server(batch="batch"), batched, "server").passes


def test_a_fixed_batch_is_found_where_it_must_be_open(hand_made: Any) -> None:
    report = check_graph(hand_made.server(batch=2), replace(XAVIER, dynamic_batch=8), "server")
    assert problems_of("fixed_shapes", report) == [
        "None: the batch of 'packed' must be open, found [2]",
        "None: the batch of 'answer' must be open, found [2]",
    ]


def test_an_open_batch_is_found_where_it_must_be_fixed(hand_made: Any) -> None:
    report = check_graph(hand_made.server(batch="batch"), XAVIER, "server")
    assert problems_of("fixed_shapes", report) == [
        "None: 'packed' must have a fixed shape, found [None, 12]",
        "None: 'answer' must have a fixed shape, found [None, 5]",
    ]


def test_an_open_size_behind_an_open_batch_is_found(hand_made: Any) -> None:
    model = hand_made.server(batch="batch")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"
    (found,) = problems_of("fixed_shapes", check_graph(model, replace(XAVIER, dynamic_batch=8), "server"))
    assert "'packed' must have a fixed shape but for the batch, found [None, None]" in found


def test_the_roles_have_boundaries_of_their_own(hand_made: Any) -> None:
    found = problems_of("boundary", check_graph(hand_made.edge(), XAVIER, "server"))
    assert found == [
        "None: expected one input, packed UINT8 with 2 axes, found clip FLOAT [1, 3, 2, 4, 4]",
        "None: expected one output, answer FLOAT with 2 or 3 axes, found packed UINT8 [1, 12]",
    ]
    found = problems_of("boundary", check_graph(hand_made.server(), XAVIER, "whole"))
    assert found == ["None: expected one input, clip FLOAT with 5 axes, found packed UINT8 [1, 12]"]
    assert check_graph(hand_made.whole(), XAVIER, "whole").passes


def test_an_unknown_role_is_refused(hand_made: Any) -> None:
    role: Any = "half"
    with pytest.raises(ValueError, match="role must be one of edge, server, whole, found 'half'"):
        check_graph(hand_made.edge(), XAVIER, role)


def test_a_code_may_leave_as_int32_where_the_target_says_so(hand_made: Any) -> None:
    target = replace(XAVIER, output_type="int32")
    model = hand_made.edge()
    (found,) = problems_of("boundary", check_graph(model, target))
    assert "expected one output, packed INT32" in found
    model.graph.node[-1].CopyFrom(cast("bytes", "packed", TensorProto.INT32))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    assert check_graph(model, target).passes


@pytest.mark.parametrize("kind", ["INT64", "BOOL", "DOUBLE"])
def test_an_argument_that_became_an_input_is_found(kind: str, hand_made: Any) -> None:
    model = hand_made.edge()
    stray = helper.make_tensor_value_info("size", TensorProto.DataType.Value(kind), (1,))
    model.graph.input.append(stray)
    report = check_graph(model, XAVIER)
    (found,) = problems_of("boundary_types", report)
    assert f"'size' must have one of the types FLOAT, FLOAT16, UINT8, INT32, found {kind}" in found
    (found,) = problems_of("boundary", report)
    assert found.endswith(f"found clip FLOAT [1, 3, 2, 4, 4]; size {kind} [1]")


def without_last_cast(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    del model.graph.node[-1]
    model.graph.node.extend(nodes)
    return model


BYTES_AS_BOOL = (cast("bytes", "y", TensorProto.BOOL), node("Cast", "y", "packed", to=UINT8))
RESHAPED = (cast("bytes", "y", UINT8), node("Identity", "y", "packed"))
READ_ON = (cast("bytes", "packed", UINT8), node("Cast", "packed", "y", to=FLOAT))


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (BYTES_AS_BOOL, "it: the UINT8 output 'packed' must be made by a Cast from .*, found Cast from BOOL"),
        (RESHAPED, "it: the UINT8 output 'packed' must be made by a Cast from .*, found Identity from UINT8"),
        (READ_ON, "it: it reads the UINT8 output 'packed'; nothing may follow the last Cast"),
    ],
)
def test_uint8_is_made_by_a_last_cast_from_float(
    nodes: Sequence[onnx.NodeProto], says: str, hand_made: Any
) -> None:
    model = without_last_cast(hand_made.edge(), *nodes)
    found = problems_of("uint8", check_graph(model, XAVIER))
    assert any(re.search(says, each) for each in found), found


def test_uint8_inside_the_graph_is_found(hand_made: Any) -> None:
    model = without_last_cast(hand_made.edge(), *RESHAPED)
    found, _ = sorted(problems_of("uint8", check_graph(model, XAVIER)))
    assert found == "cast_y: 'y' is UINT8 inside the graph; onnx-tensorrt 8.5 takes it at the boundary only"
    onnxruntime = replace(load_target("onnxruntime"), opset=16, layer_norm="decomposed")
    assert check_graph(model, onnxruntime).passes


def test_a_uint8_input_goes_into_casts_to_float_only(hand_made: Any) -> None:
    model = hand_made.server()
    model.graph.node[0].CopyFrom(cast("packed", "whole", TensorProto.INT32))
    model.graph.node.insert(1, cast("whole", "bytes", FLOAT))
    (found,) = problems_of("uint8", check_graph(model, XAVIER, "server"))
    assert found == "cast_whole: it reads the UINT8 input 'packed', which may go into a Cast to float only"


@pytest.mark.parametrize("target", ["xavier-jp5", "orin-jp6"])
def test_whole_numbers_are_not_multiplied(target: str, hand_made: Any) -> None:
    nodes = (
        cast("bytes", "whole", TensorProto.INT32),
        node("MatMul", "whole square", "y"),
        cast("y", "x", FLOAT),
    )
    model = hand_made.server(nodes, {"square": np.ones((12, 12), np.int32)})
    (found,) = problems_of("float_operators", check_graph(model, load_target(target), "server"))
    assert re.search("it: onnx-tensorrt .* computes it in FLOAT and FLOAT16 only, found INT32", found)


def test_double_is_found_wherever_it_is(hand_made: Any) -> None:
    nodes = (
        cast("clip", "double", TensorProto.DOUBLE),
        node("Add", "double large", "sum"),
        cast("sum", "x", FLOAT),
    )
    model = hand_made.edge(nodes, {"large": np.ones((200, 3, 2, 4, 4))[:1], "unused": np.ones((100, 100))})
    found = problems_of("inner_types", check_graph(model, XAVIER))
    assert sorted(each.split(",")[0] for each in found) == [
        "None: 'large' is DOUBLE",
        "None: 'unused' is DOUBLE",
        "cast_double: 'double' is DOUBLE",
        "it: 'sum' is DOUBLE",
    ]


def test_a_list_of_tensors_is_found(hand_made: Any) -> None:
    nodes = (node("SequenceConstruct", "clip clip", "list", "join"), node("SequenceAt", "list first"))
    report = check_graph(hand_made.edge(nodes, {"first": np.array(0)}), XAVIER)
    (found,) = problems_of("inner_types", report)
    assert found.startswith("join: 'list' is SEQUENCE, expected one of FLOAT, ")
    assert len(problems_of("operators", report)) == 2


def test_a_value_whose_type_nobody_knows_is_found(hand_made: Any) -> None:
    report = check_graph(hand_made.edge([node("Magic", "clip", domain="com.example")]), XAVIER)
    (found,) = problems_of("known_types", report)
    assert found == "it: the type of 'x' cannot be inferred, so it cannot be checked"


def test_large_weights_have_types_too(hand_made: Any) -> None:
    nodes = (node("MatMul", "bytes wide", "y", "widen"), node("MatMul", "y narrow"))
    constants = {"wide": np.ones((12, 4096), np.float32), "narrow": np.ones((4096, 12), np.float32)}
    assert check_graph(hand_made.server(nodes, constants), XAVIER, "server").passes
    constants["narrow"] = constants["narrow"].astype(np.float64)
    (found,) = problems_of("inner_types", check_graph(hand_made.server(nodes, constants), XAVIER, "server"))
    assert found.startswith("None: 'narrow' is DOUBLE")


@pytest.mark.parametrize("target", [XAVIER, replace(XAVIER, precision="fp32")])
def test_half_precision_is_found_where_the_file_must_be_float32(target: Target, hand_made: Any) -> None:
    (found,) = problems_of("half_precision", check_graph(hand_made.edge(MIXED, {"kernel": KERNEL}), target))
    assert found.endswith(f" is FLOAT16 (3 values are); a {target.precision} file has none")


def test_a_strongly_typed_graph_must_be_mixed(hand_made: Any) -> None:
    nodes = (node("Conv", "clip kernel"),)
    model = hand_made.edge(nodes, {"kernel": KERNEL.astype(np.float32)}, opset=18)
    (found,) = problems_of("half_precision", check_graph(model, ORIN))
    assert "no product of this one is in FLOAT16" in found


@pytest.mark.parametrize("operator", ["Softmax", "LayerNormalization"])
def test_softmax_and_layer_norm_must_read_float32_in_a_mixed_graph(operator: str, hand_made: Any) -> None:
    gain = " gain" if operator == "LayerNormalization" else ""
    constants = {"kernel": KERNEL, "gain": np.ones(4, np.float16)}
    nodes = (*HALF_CONV, node(operator, f"product{gain}", "y"), cast("y", "x", FLOAT))
    (found,) = problems_of("float32_islands", check_graph(hand_made.edge(nodes, constants, 18), ORIN))
    assert found == "it: it must read FLOAT, found FLOAT16: its squares and sums overflow in half precision"
    constants["gain"] = np.ones(4, np.float32)
    nodes = (*MIXED[:-1], cast("product", "y", FLOAT), node(operator, f"y{gain}"))
    assert check_graph(hand_made.edge(nodes, constants, 18), ORIN).passes


@pytest.mark.parametrize("name", ["", "greater"])
def test_a_node_that_must_be_pinned_needs_a_name_of_its_own(name: str, hand_made: Any) -> None:
    report = check_graph(hand_made.edge([node("Softmax", "clip", name=name)]), XAVIER)
    (found,) = problems_of("pinnable_names", report)
    assert "it must be pinned to FP32 by its name, and it has none of its own" in found
    assert check_graph(hand_made.edge([node("Softmax", "clip")]), XAVIER).passes
