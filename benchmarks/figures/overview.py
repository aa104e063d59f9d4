"""The picture at the top of README.md: one real clip on its way from the edge to the server and back.

    python benchmarks/figures/overview.py --clip 30  # writes benchmarks/figures/overview.png

Frames, features, bits and answers are those of `digits-movinet/16-Enc-B3` for one test clip; the bytes on the
link are the mean of its row in the LUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

import approxbit
from approxbit.datasets.digits import DigitsInMotion
from approxbit.offload.runners import clip_format
from approxbit.report.style import COLOURS, DOTS_PER_INCH, GREY, INK, save

PATH = Path(__file__).with_name("overview.png")
FAMILY, CONFIGURATION = "digits-movinet", "16-Enc-B3"
NUM_CLIPS = 60
WIDTH, HEIGHT = 11.0, 3.0
SHOWN_FRAMES = (0, 5, 10, 15)
MIDDLE, IMAGE_HEIGHT = 0.52, 0.44
TOP_ANSWERS = 3


@torch.no_grad()
def compute(index: int) -> dict[str, Any]:
    """Everything that the picture shows of one test clip."""
    model = approxbit.load(f"{FAMILY}/{CONFIGURATION}")
    form = clip_format(model.backbone)
    frames = DigitsInMotion("test", NUM_CLIPS, form.num_frames, form.size).frames[index]
    clip = torch.from_numpy(form.prepare(np.repeat(frames[..., None], 3, axis=-1)))[None]
    feature = model.edge_half(clip)
    code = model.codec.encode(feature)
    decoded = model.codec.decode(code)
    shares = model.answer(code)[0].softmax(dim=0)
    best = shares.topk(TOP_ANSWERS)
    return {
        "frames": frames,
        "feature": feature.grid[0].numpy(),
        "bits": code.to_planes()[0].numpy(),
        "decoded": decoded.grid[0].numpy(),
        "answers": [(model.task.class_names[int(i)], float(v)) for v, i in zip(*best, strict=True)],
    }


class Canvas:
    """A figure in units of its own height and width, 0 to 1."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS_PER_INCH, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.page = self.figure.add_axes((0, 0, 1, 1))
        self.page.set(xlim=(0, 1), ylim=(0, 1))
        self.page.axis("off")

    def box(self, left: float, right: float, title: str, colour: str) -> None:
        """One machine."""
        shape = FancyBboxPatch(
            (left, 0.04), right - left, 0.92, boxstyle="round,pad=0,rounding_size=0.015",
            facecolor=colour + "14", edgecolor=colour, linewidth=1.2,
        )  # fmt: skip
        self.page.add_patch(shape)
        self.page.text(left + 0.012, 0.875, title, color=colour, weight="bold", fontsize=11, va="center")

    def image(self, pixels: NDArray[Any], left: float, height: float, colours: str) -> float:
        """A picture of that height, in the middle; returns its right edge."""
        width = height * HEIGHT / WIDTH * pixels.shape[1] / pixels.shape[0]
        axes = self.figure.add_axes((left, MIDDLE - height / 2, width, height))
        axes.imshow(pixels, cmap=colours, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=GREY, linewidth=0.6)
        return left + width

    def arrow(self, start: float, end: float, label: str, height: float = MIDDLE) -> None:
        """From left to right or back, with a word above it."""
        style = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        self.page.annotate("", xy=(end, height), xytext=(start, height), arrowprops=style)
        self.text((start + end) / 2, height + 0.035, label, va="bottom")

    def caption(self, left: float, right: float, label: str) -> None:
        """What an image shows."""
        self.text((left + right) / 2, 0.17, label)

    def text(self, x: float, y: float, label: str, **style: Any) -> None:
        """Words around a point."""
        self.page.text(
            x, y, label, **{"ha": "center", "va": "center", "fontsize": 8.5, "color": INK, **style}
        )


def mosaic(grid: NDArray[np.float32], like: NDArray[np.float32], columns: int = 4) -> NDArray[np.float32]:
    """Some channels at the middle of the clip, as tiles: the most varied ones of `like`, on its scale."""
    reference, shown = (each[:, each.shape[1] // 2] for each in (like, grid))
    chosen = np.argsort(-reference.std(axis=(1, 2)))[: columns * columns]
    low = reference[chosen].min(axis=(1, 2), keepdims=True)
    high = reference[chosen].max(axis=(1, 2), keepdims=True)
    tiles = np.clip((shown[chosen] - low) / (high - low), 0, 1)
    return np.vstack([np.hstack(tiles[row : row + columns]) for row in range(0, len(tiles), columns)])


def draw(facts: dict[str, Any]) -> Figure:
    """Edge, link and server, from left to right."""
    canvas = Canvas()
    canvas.box(0.008, 0.482, "EDGE", COLOURS[0])
    canvas.box(0.608, 0.992, "SERVER", COLOURS[1])
    draw_edge(canvas, facts)
    num_bytes = approxbit.load_lut(FAMILY).row(CONFIGURATION).payload_bytes
    canvas.arrow(0.487, 0.603, "packet", 0.56)
    canvas.text(0.545, 0.5, f"about {num_bytes:.0f} bytes")
    canvas.arrow(0.603, 0.487, "answer", 0.32)
    canvas.text(0.545, 0.875, "LINK", weight="bold", fontsize=11, color=GREY)
    draw_server(canvas, facts)
    return canvas.figure


def draw_edge(canvas: Canvas, facts: dict[str, Any]) -> None:
    frames, feature, bits = facts["frames"], facts["feature"], facts["bits"]
    strip = np.vstack([np.hstack([frames[i] for i in SHOWN_FRAMES[j : j + 2]]) for j in (0, 2)])
    right = canvas.image(strip, 0.022, IMAGE_HEIGHT, "gray")
    canvas.caption(0.022, right, f"clip\n{len(frames)} frames")
    canvas.arrow(right + 0.006, 0.213, "edge half")
    right = canvas.image(mosaic(feature, feature), 0.219, IMAGE_HEIGHT, "viridis")
    canvas.caption(0.219, right, f"feature\n{feature.size:,} floats")
    canvas.arrow(right + 0.006, 0.404, "encoder")
    right = canvas.image(bits.reshape(-1, 32), 0.410, IMAGE_HEIGHT, "gray")
    canvas.caption(0.410, right, f"code\n{bits.size:,} bits")


def draw_server(canvas: Canvas, facts: dict[str, Any]) -> None:
    canvas.arrow(0.616, 0.672, "decoder")
    right = canvas.image(mosaic(facts["decoded"], facts["feature"]), 0.678, IMAGE_HEIGHT, "viridis")
    canvas.caption(0.678, right, f"decoded feature\n{facts['decoded'].size:,} floats")
    canvas.arrow(right + 0.006, 0.862, "server half")
    for place, (name, share) in enumerate(facts["answers"]):
        style = {"weight": "bold"} if place == 0 else {"color": GREY}
        label = f"{wrap(name)}\n{100 * share:.0f} %"
        canvas.text(0.927, 0.64 - 0.2 * place, label, fontsize=7.5, **style)


def wrap(name: str) -> str:
    """`Turning five clockwise` -> two lines."""
    first, _, rest = name.partition(" ")
    return f"{first}\n{rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--clip", type=int, default=30, choices=range(NUM_CLIPS), help="index of the test clip"
    )
    save(draw(compute(parser.parse_args().clip)), PATH)


if __name__ == "__main__":
    main()
