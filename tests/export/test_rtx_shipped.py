"""Shipped configurations, exported for `server`, as the genuine parser and builder take them.

One of each backbone, because an export takes tens of seconds: `python benchmarks/gate.py --rtx` builds all.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

import approxbit
from approxbit.engines.artefact import load_artefact
from approxbit.engines.export import export_model
from approxbit.engines.gate import load_profile


@pytest.mark.parametrize("name", ["digits-movinet/16-NoEnc-B5", "digits-mvitv2-paper/16-Enc-B3"])
def test_both_halves_of_a_shipped_configuration_build(name: str, rtx: ModuleType, tmp_path: Path) -> None:
    rtx.import_rtx()  # skips before anything is exported
    folder = export_model(approxbit.load(name), load_profile("server"), tmp_path, name)
    artefact = load_artefact(folder)
    max_batch = artefact.card.max_batch
    edge = rtx.build_with_rtx(artefact.graph_path("edge"))
    server = rtx.build_with_rtx(artefact.graph_path("server"), max_batch=max_batch)
    assert min(edge["plan_bytes"], server["plan_bytes"]) > 100_000
    assert f"the batch may be 1 to {max_batch}" in server["said"]
