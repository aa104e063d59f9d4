"""Pictures for notebooks: what they show, that they are well-formed, and that they need no library."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

import approxbit
from approxbit import LUT, Code, LUTRow, Trace
from approxbit.drawing import Axis, Drawing, short
from approxbit.select.picture import ArmDot, find_front
from approxbit.wire import Packet

MODEL = "digits-movinet/16-Enc-B3"


def words_of(drawing: Drawing) -> list[str]:
    tree = ElementTree.fromstring(drawing.svg())
    return [each.text or "" for each in tree.iter("{http://www.w3.org/2000/svg}text")]


def places_of(drawing: Drawing, mark: str) -> list[tuple[float, float]]:
    tree = ElementTree.fromstring(drawing.svg())
    found = tree.iter(f"{{http://www.w3.org/2000/svg}}{mark}")
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in found]


def make_lut() -> LUT:
    rows = (
        LUTRow("edge-only", 30, 0, 0, 0, 0, 90),
        LUTRow("16-Enc-B3", 3, 1, 100, 1, 1, 80),
        LUTRow("8-Enc-B3", 3, 1, 10, 1, 1, 85),
        LUTRow("server-only", 0, 1, 1000, 0, 1, 90),
    )
    return LUT(rows, "a <small> machine", "torch", "2026-01-01", 7, figures=("top1",))


def test_a_lut_shows_accuracy_over_bytes_and_over_latency() -> None:
    lut = make_lut()
    places = dict(zip(lut.arms, places_of(lut.draw(), "circle"), strict=True))
    assert places["edge-only"][0] < places["8-Enc-B3"][0] < places["16-Enc-B3"][0] < places["server-only"][0]
    heights = [places[arm][1] for arm in ("edge-only", "server-only", "8-Enc-B3", "16-Enc-B3")]
    assert heights == sorted(heights)
    assert heights[0] == heights[1]
    step = places["16-Enc-B3"][0] - places["8-Enc-B3"][0]  # ten times as many bytes are equally far apart
    assert places["server-only"][0] - places["16-Enc-B3"][0] == pytest.approx(step, abs=0.2)
    assert {"payload (bytes)", "top1 (%)", "edge-only", "server-only"} <= set(words_of(lut.draw()))
    at_3_mbps = dict(zip(lut.arms, places_of(lut.draw(3, 20), "circle"), strict=True))
    latencies = [at_3_mbps[arm][0] for arm in ("8-Enc-B3", "16-Enc-B3", "edge-only")]
    assert latencies == sorted(latencies)  # 26.03, 26.27 and 30 ms
    assert "latency at 3 Mbps (ms)" in words_of(lut.draw(3, 20))
    with pytest.raises(ValueError, match="bandwidth_mbps: expected more than 0, found 0"):
        lut.draw(0)


def test_the_front_leaves_out_whom_another_beats() -> None:
    dots = [ArmDot("c", 3, 60), ArmDot("a", 1, 50), ArmDot("twin", 1, 50), ArmDot("b", 2, 40)]
    assert [dot.arm for dot in find_front(dots)] == ["a", "c"]


def test_a_trace_is_drawn_step_by_step() -> None:
    drawing = Trace((0, 10), (50, 0), loops=True).draw()
    (steps,) = re.findall(r'points="([^"]*)"[^>]*stroke-width="1.6"', drawing.svg())
    assert steps == "60.0,40.0 375.0,40.0 375.0,210.0 690.0,210.0"  # 50 Mbps for half of the time, then none
    assert "seconds, then over again" in words_of(drawing)
    assert words_of(Trace.constant(5).draw())


def test_the_ones_of_a_code_are_filled() -> None:
    grid = torch.zeros(1, 2, 1, 2, 3, dtype=torch.uint8)
    grid[0, 1, 0, 0, 1:] = 1  # the last two of the first row of bit 1
    code = Code(grid, torch.zeros(1, 0, 2, dtype=torch.uint8))
    drawing = code.draw()
    assert re.findall(r'd="([^"]*)"', drawing.svg()) == ["", "M66.0 66.0h28.0v14.0h-28.0z"]
    assert words_of(drawing)[0] == "2 of 2 bits, 1 of 1 time steps; a dark cell is 1"
    large = Code(torch.ones(1, 64, 16, 28, 28), torch.zeros(1, 0, 64)).draw()
    assert words_of(large)[0].startswith("1 of 64 bits, 8 of 16 time steps")


def test_a_model_shows_both_halves_and_its_bytes() -> None:
    model = approxbit.load(MODEL)
    words = words_of(model.draw())
    assert {"EDGE", "SERVER", "16-Enc-B3", "196,608 bytes", "98,304 bytes", "256 bytes"} <= set(words)
    assert f"MoViNet up to B3, {short(sum(p.numel() for p in model.edge_half.parameters()))} weights" in words
    assert {"98,304 bytes", "256 bytes"} <= set(words_of(model.codec.draw()))


def test_what_shows_itself_is_short_in_a_console_and_well_formed_in_a_notebook(tmp_path: Path) -> None:
    model = approxbit.load(MODEL)
    clip = torch.rand(1, *model.backbone.clip_shape)
    packet = model.encode_packet(clip)
    shown = [model, model.codec, model.encode(clip), packet, make_lut(), Trace.constant(5)]
    assert repr(model) == "<OffloadedModel 16-Enc-B3 of MoViNet: 256 bytes a code>"
    assert repr(packet) == f"<Packet 0: 16-Enc-B3, 40 + {len(packet.payload)} bytes>"
    assert repr(model.backbone).endswith("240 classes, cut at B1, B2, B3, B4, B5, B6>")
    for each in shown:
        assert len(repr(each)) < 110
        assert "\n" not in repr(each)
        ElementTree.fromstring(each._repr_html_())
        each.draw().save(tmp_path / "picture.svg")
        assert (tmp_path / "picture.svg").read_text() == each.draw()._repr_svg_()


def test_a_packet_shows_its_first_bytes() -> None:
    packet = Packet.of_clip(torch.zeros(1, 2, 2, 3, dtype=torch.uint8).numpy())
    assert words_of(packet.draw())[1] == "payload, 12 bytes: 00 00 00 00 00 00 00 00 00 00 00 00"


@pytest.mark.parametrize(
    ("values", "is_logarithmic", "ticks"),
    [
        ([0, 50], False, [0, 10, 20, 30, 40, 50]),
        ([3, 3], False, [2, 2.5, 3, 3.5, 4]),
        ([1, 10], True, [1, 2, 5, 10]),
        ([1, 100_000], True, [1, 10, 100, 1000, 10_000, 100_000]),
    ],
)
def test_ticks_are_round(values: list[float], is_logarithmic: bool, ticks: list[float]) -> None:
    axis = Axis(values, 0, 100, is_logarithmic)
    assert axis.ticks() == pytest.approx(ticks)
    places = [axis.place(tick) for tick in axis.ticks()]
    assert places == sorted(places)
    assert min(places) >= 0
    assert max(places) <= 100
