"""What the gate says, in words and for the card."""

from __future__ import annotations

import builtins
import json
from typing import Any

import onnx
import pytest

from approxbit.errors import ExportError, GateError
from approxbit.exporting.gate import GateReport, Violation, check_graph, load_target

WHOLE_FILE = Violation("opset", "the file is at opset 18", "export again", "TensorRT 8.5.2")
ONE_NODE = Violation("inputs", "axes", "make it constant", "TensorRT 10.3.0", "/norm/mean", "ReduceMean-18")


def make_report(*violations: Violation) -> GateReport:
    return GateReport("orin-jp6", "edge", 18, 10, {"Add": 1, "Conv": 2}, violations)


def test_a_violation_names_what_is_wrong_where_and_what_to_do() -> None:
    assert str(WHOLE_FILE) == "the file is at opset 18 [TensorRT 8.5.2, rule opset]; remedy: export again"
    expected = "ReduceMean-18 '/norm/mean': axes [TensorRT 10.3.0, rule inputs]; remedy: make it constant"
    assert str(ONE_NODE) == expected


def test_a_report_without_violations_passes() -> None:
    report = make_report()
    assert report.passes
    assert str(report) == "the edge graph (opset 18, 3 nodes) passes the gate of orin-jp6"
    report.raise_for_violations()


def test_a_report_with_violations_is_raised_in_its_own_words() -> None:
    report = make_report(WHOLE_FILE, ONE_NODE)
    assert not report.passes
    with pytest.raises(GateError) as caught:
        report.raise_for_violations()
    assert str(caught.value).splitlines() == [
        "the edge graph (opset 18, 3 nodes) fails the gate of orin-jp6; violations: 2",
        f"- {WHOLE_FILE}",
        f"- {ONE_NODE}",
    ]
    assert isinstance(caught.value, ExportError)


def test_a_long_report_is_cut_in_words_and_whole_on_the_card() -> None:
    report = make_report(*[ONE_NODE] * 25)
    assert str(report).splitlines()[-1] == "- and 5 more"
    assert len(report.as_dict()["violations"]) == 25


def test_the_card_holds_the_report_as_json() -> None:
    written = json.loads(json.dumps(make_report(ONE_NODE).as_dict()))
    assert written == {
        "target": "orin-jp6",
        "role": "edge",
        "opset": 18,
        "ir": 10,
        "operators": {"Add": 1, "Conv": 2},
        "violations": [
            {
                "rule": "inputs",
                "problem": "axes",
                "remedy": "make it constant",
                "reader": "TensorRT 10.3.0",
                "node": "/norm/mean",
                "operator": "ReduceMean-18",
            }
        ],
        "passes": False,
    }


def test_the_gate_counts_the_operators(hand_made: Any) -> None:
    report = check_graph(hand_made.edge(), load_target("xavier-jp5"))
    assert report.operators == {"Cast": 2, "Greater": 1, "Mul": 1, "ReduceSum": 1, "Reshape": 1}
    assert (report.target, report.role, report.opset, report.ir) == ("xavier-jp5", "edge", 16, 8)


def test_a_missing_onnx_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError(name=name)
        return load(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'approxbit\[export\]'"):
        check_graph(onnx.ModelProto(), load_target("xavier-jp5"))
