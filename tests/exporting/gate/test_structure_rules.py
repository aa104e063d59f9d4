"""Each rule about the file and its operators: a graph that breaks it, and one that keeps it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from approxbit.errors import GateError
from approxbit.exporting.gate import GateReport, Target, check_graph, load_target, structure_rules

NOTHING: MappingProxyType[str, np.ndarray] = MappingProxyType({})
SCALE = np.ones(3, np.float32)


def node(
    operator: str, inputs: str, outputs: str = "x", name: str = "it", **attributes: Any
) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), name, **attributes)


def target_at(name: str, **changes: Any) -> Target:
    return replace(load_target(name), **changes)


def found_by(rule: str, report: GateReport) -> list[str]:
    return [str(each) for each in report.violations if each.rule == rule]


def branch(name: str, operator: str) -> onnx.GraphProto:
    made = helper.make_tensor_value_info(f"{name}_value", TensorProto.FLOAT, (1, 3, 2, 4, 4))
    inner = helper.make_node(operator, ["clip"], [f"{name}_value"], f"{name}_node")
    return helper.make_graph([inner], name, [], [made])


class Case(NamedTuple):
    """A graph of a few nodes, and what a rule says to it; nothing, if it passes."""

    title: str
    rule: str
    says: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: Any = NOTHING
    target: str = "xavier-jp5"
    opset: int = 16


MEAN = node("ReduceMean", "clip axes")
INSTANCE_NORM = node("InstanceNormalization", "clip scale shift")
COMPUTED_SHIFT = node("Mul", "scale scale", "shift", "compute")
LAYER_NORM = node("LayerNormalization", "clip gain")
GAIN = {"gain": np.ones(4, np.float32)}
PADS = {
    "pads": np.zeros(4, np.int64),
    "none": np.zeros((), np.float32),
    "axes": np.array([3, 4]),
    "nothing": np.zeros(2, np.int64),
}

MOVED_MEAN = (node("Add", "axes nothing", "moved", "move"), node("ReduceMean", "clip moved"))
MOVED_PAD = (node("Add", "axes nothing", "moved", "move"), node("Pad", "clip pads none moved"))
PAD = node("Pad", "clip pads none axes")
POOL = {"kernel_shape": [1, 1, 1]}
FAR_POOL = node("MaxPool", "clip", kernel_shape=[1, 2, 2], dilations=[1, 2, 2], pads=[0, 0, 0, 0, 2, 2])
INDICES = node("MaxPool", "clip", "x indices", **POOL)
WRAP = node("Pad", "clip pads", mode="wrap")
GROUP_NORM = node("GroupNormalization", "clip gain gain", num_groups=1)
PAD_ALL = {"pads": np.zeros(10, np.int64)}

BROKEN = [
    Case("mean 8.5", "inputs", "axes must be left out: .* reduces over all axes", (MEAN,), PADS, opset=18),
    Case("mean 8.6", "inputs", "left out.* torchscript exporter", (MEAN,), PADS, "orin-jp6.0", 18),
    Case("mean 10", "inputs", "axes must be constant.* initializer", MOVED_MEAN, PADS, "orin-jp6", 18),
    Case("pad 8.6", "inputs", "left out.* give pads for every axis", (PAD,), PADS, "orin-jp6.0", 18),
    Case("pad 10", "inputs", "axes must be constant", MOVED_PAD, PADS, "orin-jp6", 18),
    Case("shift", "inputs", "B must be constant", (COMPUTED_SHIFT, INSTANCE_NORM), {"scale": SCALE}),
    Case("wrap", "attributes", "constant or edge or reflect, found wrap", (WRAP,), PAD_ALL),
    Case("pool", "attributes", r"dilations must be 1, found \[1, 2, 2\]", (FAR_POOL,)),
    Case("indices", "single_outputs", "found indices as well", (INDICES,)),
    Case("norm 8.5", "operators", "not among .* onnx-tensorrt 8.5.* opset 16", (LAYER_NORM,), GAIN, opset=17),
    Case("domain", "operators", "domain 'com.example'", (node("Magic", "clip", domain="com.example"),)),
    Case("group norm", "operators", "below opset 21", (GROUP_NORM,), GAIN, "orin-jp6", 18),
]  # fmt: skip

KEPT = [
    Case("mean of an attribute", "inputs", "", (node("ReduceMean", "clip", axes=[4]),)),
    Case("mean of all", "inputs", "", (node("ReduceMean", "clip"),)),
    Case("mean of a constant", "inputs", "", (MEAN,), PADS, "orin-jp6", 18),
    Case("pad of a constant", "inputs", "", (PAD,), PADS, "orin-jp6", 18),
    Case("constant shift", "inputs", "", (INSTANCE_NORM,), {"scale": SCALE, "shift": SCALE}),
    Case("shift 8.6", "inputs", "", (COMPUTED_SHIFT, INSTANCE_NORM), {"scale": SCALE}, "orin-jp6.0", 17),
    Case("edge", "attributes", "", (node("Pad", "clip pads", mode="edge"),), PAD_ALL),
    Case("pool", "attributes", "", (node("MaxPool", "clip", dilations=[1, 1, 1], **POOL),)),
    Case("no indices", "single_outputs", "", (node("MaxPool", "clip", **POOL),)),
    Case("norm 8.6", "operators", "", (LAYER_NORM,), GAIN, "orin-jp6.0", 17),
]  # fmt: skip


def titles(case: Case) -> str:
    return case.title


@pytest.mark.parametrize("case", BROKEN, ids=titles)
def test_a_rule_names_node_operator_target_and_remedy(case: Case, hand_made: Any) -> None:
    model = hand_made.edge(case.nodes, case.constants, case.opset)
    target = load_target(case.target)
    (found,) = found_by(case.rule, check_graph(model, target))
    assert re.search(case.says, found)
    assert "'it': " in found
    assert f"[{target.reader}, rule {case.rule}]; remedy: " in found


@pytest.mark.parametrize("case", KEPT, ids=titles)
def test_a_rule_is_silent_about_what_the_target_takes(case: Case, hand_made: Any) -> None:
    model = hand_made.edge(case.nodes, case.constants, case.opset)
    report = check_graph(model, load_target(case.target))
    assert {each.rule for each in report.violations} <= {"half_precision"}  # these few nodes are all float32


@pytest.mark.parametrize(
    ("operator", "remedy"),
    [
        ("Attention", r"by hand as \(q \* scale\) @ k\^T"),
        ("BitShift", "weighted sum"),
        ("BitwiseOr", "weighted sum"),
        ("ConcatFromSequence", "no lists"),
        ("Einsum", "MatMul"),
        ("If", "the branch is known"),
        ("Loop", "unroll"),
        ("NonZero", "Where"),
        ("RandomNormalLike", "eval mode"),
        ("Scan", "unroll"),
        ("ScatterElements", "Concat"),
        ("ScatterND", "Concat"),
        ("SequenceAt", "no lists"),
        ("SequenceEmpty", "no lists"),
        ("SequenceInsert", "no lists"),
        ("SplitToSequence", "fixed sizes"),
        ("Swish", "below opset 24"),
        ("Det", "other operators"),
    ],
)
@pytest.mark.parametrize("target", ["xavier-jp5", "orin-jp6.0", "orin-jp6", "orin-jp7", "server"])
def test_no_target_takes_an_operator_outside_its_table(
    operator: str, remedy: str, target: str, hand_made: Any
) -> None:
    report = check_graph(hand_made.edge([node(operator, "clip")]), load_target(target))
    (found,) = found_by("operators", report)
    assert re.search(
        f"'it': {operator} is not among the operators of onnx-tensorrt .*remedy: .*{remedy}", found
    )


def test_sub_graphs_are_looked_into(hand_made: Any) -> None:
    branches = {"then_branch": branch("then", "Det"), "else_branch": branch("else", "Relu")}
    model = hand_made.edge([node("If", "yes", **branches)], {"yes": np.array(True)})
    found = found_by("operators", check_graph(model, load_target("xavier-jp5")))
    assert [text.split(":")[0] for text in found] == ["If-16 'it'", "Det-16 'then_node'"]


def test_an_unnamed_node_is_named_by_what_it_makes(hand_made: Any) -> None:
    model = hand_made.edge([node("NonZero", "clip", name="")])
    (found,) = found_by("operators", check_graph(model, load_target("xavier-jp5")))
    assert found.startswith("NonZero-16 '(makes x)': ")


def test_an_opset_that_was_not_asked_for_is_found(hand_made: Any) -> None:
    report = check_graph(hand_made.edge(opset=18, ir=8), load_target("orin-jp6.0"))
    (found,) = found_by("opset", report)
    assert "the file is at opset 18, the target asks for 17" in found
    assert "torchscript exporter" in found
    assert report.opset == 18


def test_a_file_without_an_opset_is_found(hand_made: Any) -> None:
    model = hand_made.edge()
    del model.opset_import[:]
    (found,) = found_by("opset", check_graph(model, load_target("xavier-jp5")))
    assert "the file is at opset None" in found


def test_a_newer_ir_version_is_found_and_an_older_one_is_not(hand_made: Any) -> None:
    target = load_target("xavier-jp5")
    (found,) = found_by("ir_version", check_graph(hand_made.edge(ir=9), target))
    assert "the file has IR version 9, the target's newest is 8" in found
    assert check_graph(hand_made.edge(ir=7), target).passes


def test_what_the_checker_of_onnx_says_is_reported(hand_made: Any) -> None:
    model = hand_made.edge([node("MatMul", "clip matrix")], {"matrix": np.ones((5, 5), np.float32)})
    (found,) = found_by("well_formed", check_graph(model, load_target("xavier-jp5")))
    assert re.search("the checker of onnx says: .*MatMul", found, re.DOTALL)


def with_function(model: onnx.ModelProto) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Relu", ["a"], ["b"], "inner")]
    model.functions.append(helper.make_function("local", "Rectify", ["a"], ["b"], body, imports))
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


def test_local_functions_are_refused_where_the_parser_cannot_read_them(hand_made: Any) -> None:
    model = with_function(hand_made.edge([node("Rectify", "clip", domain="local")], opset=18))
    (found,) = found_by("local_functions", check_graph(model, load_target("orin-jp6.0")))
    assert "onnx-tensorrt 8.6 does not read local functions (Rectify)" in found
    assert "inline_local_functions" in found
    report = check_graph(model, load_target("onnxruntime"))
    assert report.passes
    assert report.operators["Relu"] == 1


def test_a_target_may_ask_for_a_decomposed_layer_norm_where_the_native_one_exists(hand_made: Any) -> None:
    model = hand_made.edge([LAYER_NORM], GAIN, opset=17)
    (found,) = found_by("layer_norm", check_graph(model, target_at("orin-jp6.0", layer_norm="decomposed")))
    assert "asks for a LayerNorm that is written out" in found
    assert check_graph(model, load_target("orin-jp6.0")).passes


def test_small_weights_beside_the_file_are_found(hand_made: Any, tmp_path: Path) -> None:
    kernel = np.ones((3, 3, 5, 5, 5), np.float32)
    model = hand_made.edge([node("Conv", "clip kernel", pads=[2] * 6)], {"kernel": kernel})
    path = tmp_path / "edge.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=1000)
    (found,) = check_graph(path, load_target("xavier-jp5")).violations
    assert found.rule == "weight_storage"
    assert (
        "1 of 5 constants lie in another file (kernel, for one), though all have 4,568 bytes" in found.problem
    )


def test_large_weights_in_the_file_are_found_and_beside_it_are_not(
    hand_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure_rules, "LARGEST_INLINE_BYTES", 1000)
    kernel = np.ones((3, 3, 5, 5, 5), np.float32)
    model = hand_made.edge([node("Conv", "clip kernel", pads=[2] * 6)], {"kernel": kernel})
    target = load_target("xavier-jp5")
    (found,) = check_graph(model, target).violations
    assert "weights of 4,568 bytes lie in the file" in found.problem
    onnx.save(model, tmp_path / "edge.onnx", save_as_external_data=True, size_threshold=1000)
    assert check_graph(tmp_path / "edge.onnx", target).passes


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edge.onnx"
    path.write_bytes(b"this is no model")
    with pytest.raises(GateError, match=r"edge\.onnx must be an ONNX model, found something else"):
        check_graph(path, load_target("xavier-jp5"))


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_graph(tmp_path / "edge.onnx", load_target("xavier-jp5"))
