import dataclasses
import json
import math

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import LUTError
from approxbit.select import LUT, LUTRow


def row(arm="64-Enc-B8", **changes):
    values = {"edge_ms": 200.5, "encode_ms": 5, "payload_bytes": 3136, "decode_ms": 4.25, "server_ms": 89.5}
    return LUTRow(**{"arm": arm, **values, "accuracy": 67.9, **changes})


def edge_only(**changes):
    zeros = {"encode_ms": 0, "payload_bytes": 0, "decode_ms": 0, "server_ms": 0}
    return row("edge-only", **{**zeros, "edge_ms": 466.9, "accuracy": 70.8, **changes})


def lut(*rows, **changes):
    header = {"device": "a laptop", "backend": "torch 2.15 cpu", "date": "2026-11-21", "num_clips": 480}
    return LUT(rows or (row(), edge_only()), **{**header, **changes})


def test_load_gives_back_the_very_lut_that_was_saved(tmp_path):
    names = ("action_digit", "actions")
    third = 100 / 3
    original = lut(
        row(accuracy=third, scores={"action_digit": third, "actions": 98.1}, energy_mj=1.5, memory_mb=0.1),
        row("h264-crf28", payload_bytes=18_432.625, edge_ms=5e-324),
        edge_only(accuracy=0),
        family="digits-movinet",
        threads=2,
        figures=names,
        device='ein "Gerät"\n',
    )
    original.save(tmp_path / "lut.json")
    assert LUT.load(tmp_path / "lut.json") == original
    assert LUT.load(str(tmp_path / "lut.json")).rows[0].scores == {"action_digit": third, "actions": 98.1}


def test_the_file_reads_as_a_table_with_one_row_per_line(tmp_path):
    path = tmp_path / "lut.json"
    lut(row(), family="mvitv2").save(path)
    assert path.read_text().splitlines() == [
        "{",
        '  "format": "approxbit-lut",',
        '  "version": 1,',
        '  "device": "a laptop",',
        '  "backend": "torch 2.15 cpu",',
        '  "date": "2026-11-21",',
        '  "num_clips": 480,',
        '  "threads": 1,',
        '  "family": "mvitv2",',
        '  "figures": ["top1"],',
        '  "split": "",',
        '  "rows": [',
        '    {"arm": "64-Enc-B8", "edge_ms": 200.5, "encode_ms": 5, "payload_bytes": 3136, '
        '"decode_ms": 4.25, "server_ms": 89.5, "accuracy": 67.9}',
        "  ]",
        "}",
    ]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "lut.json"
    lut().save(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        lut(row()).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["lut.json"]


def damage(document, *path_and_value):
    *path, value = path_and_value
    target = document
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("format", ...), "format: expected 'approxbit-lut', found nothing"),
        (("format", "other"), "format: expected 'approxbit-lut', found 'other'"),
        (("version", 2), "version: expected 1, found 2"),
        (("version", True), "version: expected 1, found True"),
        (("date", ...), "expected the keys .*; missing: 'date'; unknown: none"),
        (("colour", "red"), "expected the keys rows, .*; missing: none; unknown: 'colour'"),
        (("date", "yesterday"), "date: expected a day as YYYY-MM-DD, found 'yesterday'"),
        (("device", 7), "device: expected text, found 7"),
        (("num_clips", 0), "num_clips: expected a whole number of at least 1, found 0"),
        (("threads", 1.5), "threads: expected a whole number, found 1.5"),
        (("figures", "top1"), "figures: expected a list, found 'top1'"),
        (("figures", []), "figures: expected at least one name, found .."),
        (("rows", {}), "rows: expected a list, found {}"),
        (("rows", None), "rows: expected a list, found None"),
        (("rows", []), "rows: expected at least one row, found .."),
        (("rows", 1, "x" * 100), r"rows\[1\]: expected a JSON object, found 'x+\.\.\.x+'$"),
        (("rows", 1, "arm", "64-Enc-B8"), "rows: expected each arm once, found .'64-Enc-B8', '64-Enc-B8'."),
        (("rows", 0, "arm", ...), r"rows\[0\]: expected the keys arm, .*; missing: 'arm'; "),
        (("rows", 0, "latency", 3), r"rows\[0\]: .*unknown: 'latency'$"),
        (("rows", 0, "arm", "a b"), r"rows\[0\]\.arm: expected a name of letters.* found 'a b'"),
        (("rows", 0, "arm", None), r"rows\[0\]\.arm: expected text, found None"),
        (("rows", 0, "edge_ms", "1"), r"rows\[0\]\.edge_ms: expected a number, found '1'"),
        (("rows", 0, "edge_ms", True), r"rows\[0\]\.edge_ms: .* found True"),
        (("rows", 0, "edge_ms", None), r"rows\[0\]\.edge_ms: .* found None"),
        (("rows", 0, "decode_ms", -1), r"rows\[0\]\.decode_ms: expected .* 0 or more, found -1"),
        (
            ("rows", 0, "payload_bytes", 10**400),
            r"rows\[0\]\.payload_bytes: .* of at most 64 bits, found 100",
        ),
        (
            ("rows", 0, "accuracy", 100.5),
            r"rows\[0\]\.accuracy: expected a finite number, 0 to 100, found 100.5",
        ),
        (("rows", 0, "energy_mj", -1), r"rows\[0\]\.energy_mj: expected"),
        (("rows", 0, "scores", [1]), r"rows\[0\]\.scores: expected a JSON object, found \[1\]"),
        (("rows", 0, "scores", {"top1": "9"}), r"rows\[0\]\.scores\.top1: .* found '9'"),
        (
            ("rows", 0, "scores", {"a": 9}),
            r"rows\[0\].scores: expected the names in .*top1.* \['a'\]",
        ),
        (
            ("rows", 0, "scores", {"top1": 9}),
            r"rows\[0\].accuracy: expected the top1 of scores, 9, f",
        ),
        (
            ("rows", 1, "payload_bytes", 9),
            r"rows\[1\]\.arm: expected 0 payload_bytes.*'edge-only', found \(9",
        ),
    ],
)
def test_a_damaged_file_is_named_with_the_entry_and_what_was_expected_and_found(tmp_path, change, message):
    path = tmp_path / "lut.json"
    lut().save(path)
    document = json.loads(path.read_text())
    damage(document, *change)
    path.write_text(json.dumps(document))
    with pytest.raises(LUTError, match="lut.json: " + message):
        LUT.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, found Expecting value"),
        (b"{\n 1", "expected JSON, found .*line 2"),
        (b"\xff\xfe", "expected JSON, found .*can't decode"),
        (b"[]", "expected a JSON object, found .."),
        (b"[" * 100_000, "expected JSON, found .*recursion"),
        (b'{"a": NaN}', "expected JSON, found NaN, which JSON does not know"),
        (b'{"a": 1, "a": 2}', "expected JSON, found the key 'a' twice in one object"),
        (b'{"version": ' + b"9" * 5000 + b"}", "expected"),
    ],
)
def test_a_file_that_is_no_json_object_is_a_lut_error(tmp_path, content, message):
    path = tmp_path / "lut.json"
    path.write_bytes(content)
    with pytest.raises(LUTError, match="lut.json: " + message):
        LUT.load(path)


def test_a_file_that_is_not_there_is_a_lut_error(tmp_path):
    with pytest.raises(LUTError, match=r"none\.json: cannot be read: No such file"):
        LUT.load(tmp_path / "none.json")


def test_every_truncation_of_a_file_is_a_lut_error(tmp_path):
    path = tmp_path / "lut.json"
    lut().save(path)
    content = path.read_bytes().rstrip()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(LUTError, match="expected JSON"):
            LUT.load(path)


def test_rows_can_be_read_by_arm_and_arms_know_what_they_are():
    table = lut(row(), edge_only(), row("server-only"))
    assert table.arms == ("64-Enc-B8", "edge-only", "server-only")
    assert table.row("server-only").crosses_link
    assert not table.row("edge-only").crosses_link
    assert table.row("64-Enc-B8").configuration == Configuration("B8", True, 64)
    assert table.row("edge-only").configuration is None
    with pytest.raises(
        ValueError, match=r"expected one of the arms 64-Enc-B8, edge-only, .* found '8-Enc-B8'"
    ):
        table.row("8-Enc-B8")


def test_a_row_that_is_no_row_is_refused():
    with pytest.raises(ValueError, match=r"rows\[0\]: expected a LUTRow, found 'edge-only'"):
        lut("edge-only")


def test_rows_and_luts_can_be_keys():
    assert len({row(), row(), row(accuracy=60)}) == 2
    assert len({lut(), lut()}) == 1


def test_a_slower_edge_device_multiplies_only_what_runs_on_it():
    slow = lut(row(energy_mj=7.0, memory_mb=3.0), edge_only()).scaled(4)
    assert slow.row("64-Enc-B8") == row(edge_ms=802.0, encode_ms=20, memory_mb=3.0)
    assert slow.row("edge-only").edge_ms == pytest.approx(1867.6)
    assert slow.device == "a laptop (edge times multiplied by 4)"
    with pytest.raises(ValueError, match="edge_factor: expected a finite number above 0, found nan"):
        slow.scaled(math.nan)


def test_another_figure_can_be_the_one_that_is_read(tmp_path):
    scores = {"action_digit": 67.9, "actions": 98.1}
    table = lut(row(scores=scores), figures=("action_digit", "actions"))
    actions = table.with_figure("actions")
    assert actions.rows[0].accuracy == 98.1
    assert actions.figures == ("actions", "action_digit")
    assert actions.with_figure("action_digit") == dataclasses.replace(
        table, figures=("action_digit", "actions")
    )
    with pytest.raises(ValueError, match="the row of '64-Enc-B8': expected a score named 'top5'"):
        table.with_figure("top5")


@pytest.mark.parametrize("number", [np.float64, np.float32, np.int64, np.uint8])
def test_numbers_of_numpy_stand_in_a_lut_as_those_of_python_do(number, tmp_path):
    plain, of_numpy = (
        LUT(
            (LUTRow("64-Enc-B8", *map(kind, (200, 5, 31, 4, 89, 67)), {"top1": kind(67)}, kind(8)),),
            "a laptop",
            "torch",
            "2026-11-21",
            num_clips=whole(48),
            threads=whole(2),
        ).scaled(kind(3))
        for kind, whole in ((int, int), (number, np.int64))
    )
    assert of_numpy == plain
    of_numpy.save(tmp_path / "lut.json")
    assert LUT.load(tmp_path / "lut.json") == plain


def test_a_truth_value_of_numpy_is_no_number():
    with pytest.raises(ValueError, match=r"edge_ms: expected a finite number, 0 or more, found .*True"):
        LUTRow("64-Enc-B8", np.True_, 5, 3136, 4, 89.5, 67.9)
