"""`approxbit export`: from a name to a folder that a device can use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from approxbit.cli.export import export
from approxbit.engines.opening import open_edge, open_server


def test_a_shipped_model_is_exported_checked_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "artefact"
    export("digits-movinet/16-Enc-B5", "onnxruntime", folder, whole=False, triton=tmp_path / "models")
    shown = capsys.readouterr()
    assert "exporting digits-movinet/16-Enc-B5 for onnxruntime" in shown.err
    assert "card.json" in shown.out
    assert list((tmp_path / "models").glob("*/config.pbtxt"))
    clip = np.random.default_rng(0).random((3, 16, 64, 64), np.float32)
    code = open_edge(folder).run(clip).payload
    assert len(code) == 64
    assert open_server(folder).run([code]).logits.shape == (1, 240)


def test_an_unknown_target_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="orin-jp6"):
        export("digits-movinet/16-Enc-B5", "orin-jp9", tmp_path / "artefact", whole=False, triton=None)
    assert not (tmp_path / "artefact").exists()
