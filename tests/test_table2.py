"""Table 2: what the LUT of a family that answers questions comes to at 3, 6 and 50 Mbps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import table2
from documents import RESULTS, replace_between

from approxbit.families import load_lut
from approxbit.select import LUT, LUTRow

ROWS = (
    LUTRow("edge-only", 100, 10, 0, 0, 0, 45.5),
    LUTRow("server-only", 0, 1, 196608, 1, 50, 45.5, packet_bytes=196650),
    LUTRow("8-NoEnc-L1", 30, 2, 500, 8, 40, 44.9, packet_bytes=506),
)
TABLE_LUT = LUT(ROWS, "a machine", "torch", "2026-01-01", 9, figures=("macro",), split="validation")


def test_rows_by_hand() -> None:
    lines = table2.markdown(TABLE_LUT).splitlines()
    assert lines[0].startswith("| arm | macro | payload B | packet B | link B | ms, 3 Mbps | ms, 6 Mbps |")
    # 506 + one segment's headers + an acknowledgement's; 16 of an answer with both
    assert lines[2] == (
        "| 8-NoEnc-L1 | 44.9 | 500 | 506 | 682 | **81** | **81** | **80** | **177** | **177** | 176 |"
    )
    assert lines[3].startswith("| server-only | 45.5 | 196,608 | 196,650 | ")
    assert lines[3].endswith("| 576 | 314 | 83 | 579 | 317 | **86** |")
    assert lines[4] == "| edge-only | 45.5 | 0 |  | 96 | 110 | 110 | 110 | 440 | 440 | 440 |"
    assert lines[-1].startswith("9 validation clips; a machine; torch on the edge; 2026-01-01. Bold: the")


def test_a_lut_without_packets_says_what_to_do() -> None:
    bare = replace(TABLE_LUT, rows=(replace(ROWS[1], packet_bytes=None),))
    with pytest.raises(ValueError, match="expected the packets of server-only in the LUT, found none"):
        table2.markdown(bare)


def test_the_results_show_the_table_of_the_lut_that_ships() -> None:
    text = RESULTS.read_text()
    found = table2.markdown(load_lut(table2.FAMILY))
    assert replace_between(text, table2.BEGIN, table2.END, found) == text
