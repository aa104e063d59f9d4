"""The numbers in documents are those of the cards and LUTs that ship."""

from __future__ import annotations

import json

import curve
import live_bits
import pytest
import tables
from documents import RESULTS, replace_between

from approxbit import zoo


def test_the_results_show_what_was_measured() -> None:
    text = RESULTS.read_text()
    assert replace_between(text, tables.BEGIN, tables.END, tables.all_tables()) == text


def test_the_results_show_the_curves_of_the_cards() -> None:
    text = RESULTS.read_text()
    found = "\n\n".join(curve.markdown(family, curve.read_both(family)) for family in curve.FAMILIES)
    assert replace_between(text, curve.BEGIN, curve.END, found) == text


def test_the_readme_shows_what_was_measured() -> None:
    text = tables.README.read_text()
    assert replace_between(text, tables.ARMS_BEGIN, tables.ARMS_END, tables.arms_table()) == text


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the markers"):
        replace_between("no markers here", tables.BEGIN, tables.END, "tables")


def test_the_live_bits_of_every_shipped_codec_are_known() -> None:
    known = json.loads(live_bits.PATH.read_text())
    assert sorted(known) == sorted({zoo.card(name).name for name in zoo.available()})


def test_live_bits_of_nested_codes_are_those_of_their_first_bits() -> None:
    assert live_bits.count_live_bits("digits-movinet/16-Enc-B5") == 7
    assert live_bits.count_live_bits("digits-movinet/12-Enc-B5") == 5
    assert live_bits.count_live_bits("digits-movinet/4-Enc-B5") == 4
