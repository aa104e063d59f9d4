"""The picture of `approxbit inspect`: one page that shows where a code wastes its bits."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from approxbit.report.inspection import Inspection, percent
from approxbit.report.style import GREY, INK, make_figure, save, tidy

_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_SHADES = "cividis"
_MAX_STEPS = 16
_MANY_BITS = 40


def draw_inspection(path: str | os.PathLike[str], found: Inspection) -> None:
    """Write a PNG: bits from above, then positions, then pairs of bits, margins and distances between codes.

    Args:
        path: The PNG.
        found: What was found.
    """
    figure = make_figure(13, 12.5)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    figure.suptitle(
        f"{found.name}: {found.raw_bytes} B raw, about {found.coded_bytes:.0f} B of information "
        f"({found.source})",
        fontsize=14,
        color=INK,
    )
    parts: Any = figure.subfigures(3, 1, height_ratios=[2.1, 1.1, 1.5])
    _draw_bits(parts[0], found)
    _draw_positions(parts[1], found)
    panels = parts[2].subplots(1, 3)
    _draw_shared(panels[0], found)
    _draw_margins(panels[1], found)
    _draw_distances(panels[2], found)
    save(figure, path)


def _draw_bits(figure: Any, found: Inspection) -> None:
    """For each bit what it could say, what it says and what is new in that; below, what the answer loses."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.35, 1])
    index = np.arange(found.codebook_size)
    upper.vlines(index, found.when_coded, found.entropy, color="#d4d4d4", linewidth=3, zorder=1)
    size = 7 if found.codebook_size <= _MANY_BITS else 4
    for values, colour, marker, label in (
        (found.entropy, INK, "_", "alone"),
        (found.given_neighbours, _GREEN, "^", "given left and above"),
        (found.given_earlier, _BLUE, "o", "given one step earlier"),
        (found.given_others, _PURPLE, "D", "given the other bits"),
        (found.when_coded, _ORANGE, "s", "given all a decoder knows"),
    ):
        upper.plot(index, values, marker, color=colour, markersize=size, label=label, markeredgewidth=1.6)
    tidy(upper)
    upper.set_ylim(-0.03, 1.06)
    upper.set_ylabel("entropy of a bit (bits)")
    upper.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, fontsize=9, frameon=False, handletextpad=0.3
    )
    changed = 100 * np.asarray(found.importance["changed"])
    width = 0.6
    if found.token_importance is not None:
        width = 0.38
        token = 100 * np.asarray(found.token_importance["changed"])
        lower.bar(index + 0.2, token, width, color=_ORANGE, label="bit of the class token")
    offset = -0.2 if found.token_importance is not None else 0.0
    lower.bar(index + offset, changed, width, color=_BLUE, label="bit of the grid")
    tidy(lower)
    if found.token_importance is not None:
        lower.legend(fontsize=9, frameon=False, ncols=2)
    lower.grid(visible=False, axis="x")
    lower.set_ylabel("answers that change\nwithout the bit (%)")
    lower.set_xlabel("bit")
    step = 1 if found.codebook_size <= _MANY_BITS else 8
    lower.set_xticks(index[::step])
    lower.set_xlim(-0.7, found.codebook_size - 0.3)


def _draw_positions(figure: Any, found: Inspection) -> None:
    """Maps over height and width, side by side in time: entropy, and change since the step before."""
    entropy = np.asarray(found.position_entropy)
    change = np.full_like(entropy, np.nan)
    if len(entropy) > 1:
        change[1:] = found.position_change
    steps = np.unique(np.linspace(0, len(entropy) - 1, min(len(entropy), _MAX_STEPS)).round().astype(int))
    upper, lower = figure.subplots(2, 1, sharex=True)
    figure.suptitle("positions: what is dark is predictable", fontsize=11, color=INK)
    width = entropy.shape[2] + entropy.shape[2] / 8
    for axes, maps, label in ((upper, entropy, "entropy (bits)"), (lower, change, "change (share)")):
        top = 1.0 if maps is entropy else max(0.5, float(np.nanmax(change, initial=0.0)))
        for column, step in enumerate(steps):
            left = column * width
            extent = (left, left + entropy.shape[2], entropy.shape[1], 0)
            image = axes.imshow(maps[step], cmap=_SHADES, vmin=0, vmax=top, extent=extent)
        axes.set_xlim(0, len(steps) * width)
        axes.set_ylim(entropy.shape[1], 0)
        axes.set_yticks([])
        axes.tick_params(length=0, colors=INK, labelsize=9)
        for spine in axes.spines.values():
            spine.set_visible(False)
        beside = axes.inset_axes((1 + 0.1 / len(steps), 0, 0.1 / len(steps), 1))
        figure.colorbar(image, cax=beside, label=label.replace(" ", "\n"))
    lower.set_xticks(np.arange(len(steps)) * width + entropy.shape[2] / 2, [f"time {step}" for step in steps])


def _draw_shared(axes: Any, found: Inspection) -> None:
    shared = np.asarray(found.mutual_information, float)
    np.fill_diagonal(shared, np.nan)
    top = max(0.1, float(np.nanmax(shared))) if len(shared) > 1 else 1.0
    image = axes.imshow(shared, cmap="Blues", vmin=0, vmax=top)
    axes.set_title("what two bits share (bits)", fontsize=11, color=INK)
    axes.set_xlabel("bit")
    axes.set_ylabel("bit")
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_facecolor("#eeeeee")
    axes.figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)


def _draw_margins(axes: Any, found: Inspection) -> None:
    edges, counts = np.asarray(found.margin_edges), np.asarray(found.margin_histogram, float)
    shares = 100 * counts / max(1.0, counts.sum())
    axes.stairs(shares[1:-1], edges, color=_BLUE, fill=True, alpha=0.85)
    tidy(axes)
    axes.set_xscale("log")
    for distance in found.margin_distances:
        axes.axvline(distance, color=_ORANGE, linewidth=1.2, linestyle="--")
        axes.text(
            distance * 1.15,
            0.97,
            f"{percent(found.share_near(distance), 2)}\nbelow",
            transform=axes.get_xaxis_transform(),
            va="top",
            fontsize=8.5,
            color=INK,
        )
    axes.set_ylim(0, 1.25 * max(1.0, float(shares.max())))
    axes.set_title("distance of the logits from the threshold", fontsize=11, color=INK)
    axes.set_xlabel("|logit| (logarithmic)")
    axes.set_ylabel("logits (%)")


def _draw_distances(axes: Any, found: Inspection) -> None:
    edges = np.asarray(found.nearest["distance_edges"])
    label_set, share = next(iter(found.nearest["agreement"].items()))
    for name, colour, label in (
        ("different", GREY, "of different classes"),
        ("same", _GREEN, "of the same class"),
    ):
        values = 100 * np.asarray(found.nearest[name])
        axes.stairs(values, edges, color=colour, fill=True, alpha=0.55, label=label)
        axes.stairs(values, edges, color=colour, linewidth=1.5)
    tidy(axes)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    if share is not None:
        chance = found.nearest["chance"][label_set]
        axes.set_title(
            f"nearest code of the same class ({label_set}):\n"
            f"{percent(share)} of the clips, by chance {percent(chance)}",
            fontsize=11,
            color=INK,
        )
    axes.set_xlabel("bits in which two codes differ")
    axes.set_ylabel("pairs of clips (%)")
    axes.legend(fontsize=9, frameon=False)
