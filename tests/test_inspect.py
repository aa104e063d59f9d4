"""`approxbit inspect`: where a backbone can be cut."""

from __future__ import annotations

import json

import pytest

from approxbit.cli.models import inspect


def test_a_builder_shows_its_offload_points(capsys: pytest.CaptureFixture[str]) -> None:
    inspect("movinet_a2", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    points = {point["offload_point"]: point for point in shown["offload_points"]}
    assert points["B3"]["feature_shape"] == [40, 50, 28, 28]
    assert points["B5"]["float32_bytes"] == 4 * 72 * 50 * 14 * 14
    shares = [round(point["edge_flops_share"], 3) for point in points.values()]
    assert shares == pytest.approx([0.023, 0.167, 0.369, 0.548, 0.746, 0.980], abs=2e-3)


def test_a_shipped_model_shows_its_card_too(capsys: pytest.CaptureFixture[str]) -> None:
    inspect("digits-movinet/16-Enc-B5", as_json=False)
    shown = capsys.readouterr().out
    assert "digits-movinet/16-Enc-B5" in shown
    assert "sha256" in shown
    assert "share of FLOPs" in shown
    assert "100.0 %" not in shown  # a MoViNet's last point still has its head to come


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="found 'movinet_a9'; and there are the builders llava_onevision_0_5b, movinet_a0",
    ):
        inspect("movinet_a9", as_json=False)
