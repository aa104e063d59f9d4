"""Shipped configurations, exported for `server`, as the genuine parser and builder take them.

One of each kind of graph: configurations of one kind differ in their codebook size and in numbers only.
`python benchmarks/figures/gate.py --rtx` builds every single one.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

import approxbit
from approxbit import zoo
from approxbit.configuration import Configuration
from approxbit.engines.artefact import load_artefact
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import load_target


def one_of_each_kind() -> list[str]:
    """Names of codecs; two of a kind have the same layers."""
    found = {}
    for name in zoo.available():
        card, configuration = zoo.card(name), Configuration.parse(name.partition("/")[2])
        has_attention = bool(card.arguments.get("encoder_attention"))
        kind = card.backbone, configuration.offload_point, configuration.spatial_encoder, has_attention
        found.setdefault(kind, name)
    return list(found.values())


@pytest.mark.parametrize("name", one_of_each_kind())
def test_both_halves_of_a_shipped_configuration_build(name: str, rtx: ModuleType, tmp_path: Path) -> None:
    rtx.import_rtx()  # skips before anything is exported
    folder = export_model(approxbit.load(name), load_target("server"), tmp_path, name)
    artefact = load_artefact(folder)
    max_batch = artefact.card.max_batch
    edge = rtx.build_with_rtx(artefact.graph_path("edge"))
    server = rtx.build_with_rtx(artefact.graph_path("server"), max_batch=max_batch)
    assert min(edge["plan_bytes"], server["plan_bytes"]) > 100_000
    assert f"the batch may be 1 to {max_batch}" in server["said"]
