"""The vision towers of video-language models, exported for every target."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from approxbit.engines.artefact import load_artefact, load_reference
from approxbit.engines.opening import open_edge, open_server
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import check_graph, load_target, target_names

pytest.importorskip("transformers")

# Targets of one row ask for the same graphs.
SAME_GRAPHS = (
    ("xavier-jp5", "orin-jp5"),
    ("orin-jp6.0",),
    ("orin-jp6", "orin-jp7"),
    ("server",),
    ("onnxruntime",),
)


def test_every_target_is_among_them() -> None:
    assert sorted(name for names in SAME_GRAPHS for name in names) == list(target_names())


@pytest.mark.parametrize("targets", SAME_GRAPHS, ids=lambda names: names[0])
@pytest.mark.parametrize("name", ["video_llava", "llava_onevision"])
def test_both_halves_pass_the_gate_with_the_codes_of_torch(
    name: str, targets: tuple[str, ...], small: ModuleType, tmp_path: Path
) -> None:
    model = small.make_model(small.make_vlm(name), "5-Enc-L2")
    first = load_target(targets[0])
    artefact = load_artefact(export_model(model, first, tmp_path, f"small-{name}/5-Enc-L2"))
    for other in targets[1:]:
        for half in ("edge", "server"):
            check_graph(artefact.graph_path(half), load_target(other), half).raise_for_violations()
    gate = artefact.card.gate
    if first.precision == "strong-fp16":
        assert gate["edge"]["agreement"]["flipped_share"] <= artefact.card.tolerance.max_flipped_share
    else:
        assert gate["edge"]["agreement"]["flipped_share"] == 0
        assert gate["server"]["agreement"]["answer_error"] < 1e-4


def test_what_the_server_graph_answers_are_the_visual_embeddings(small: ModuleType, tmp_path: Path) -> None:
    model = small.make_model(small.make_vlm("video_llava"), "5-NoEnc-L2")
    folder = export_model(model, load_target("orin-jp6.0"), tmp_path, "small-video-llava/5-NoEnc-L2")
    artefact = load_artefact(folder)
    assert artefact.card.label_names == ()
    reference = load_reference(artefact)
    payload = open_edge(folder).run(reference.clip[0]).payload
    assert payload == reference.packed[0].tobytes()
    found = open_server(folder).run([payload]).logits[0]
    assert found.shape == (model.backbone.num_visual_tokens(), 16)  # token, channel of the language model
    np.testing.assert_allclose(found, model.server_runner().run([payload]).logits[0], atol=1e-4)
