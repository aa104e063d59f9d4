"""A script as frames: coloured digits on dark plates, over a texture that the camera passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from approxbit.datasets.digits_render import CELL, GLYPH, glyphs
from approxbit.datasets.scenes.script import BACKGROUNDS, Actor, Script
from approxbit.datasets.scenes.staging import SPLITS

CELL_SIZE = 4
"""Height and width in pixels of a cell of `RenderedScene.owners`."""
_PAINTS = {
    "red": (0.90, 0.13, 0.13),
    "orange": (1.00, 0.55, 0.05),
    "yellow": (0.97, 0.93, 0.25),
    "green": (0.15, 0.75, 0.25),
    "blue": (0.20, 0.42, 1.00),
    "purple": (0.58, 0.22, 0.85),
    "pink": (1.00, 0.55, 0.78),
    "white": (0.95, 0.95, 0.95),
}
_BEND = 2.0
_FILL = 12
"""Bends of a digit up to twice as wide, in pixels of a glyph, are filled."""
_CANVAS = 96


@dataclass(frozen=True)
class RenderedScene:
    """The frames of a scene.

    Attributes:
        frames: RGB, uint8 `[time, height, width, 3]`.
        owners: Index of the digit that fills most of each cell of 4 x 4 pixels and at least a third of it,
            -1 where none does, int8 `[time, height / 4, width / 4]`.
    """

    frames: NDArray[np.uint8]
    owners: NDArray[np.int8]


def render_scene(script: Script, size: int = 64) -> RenderedScene:
    """Draw a script: the same pixels for the same script.

    Args:
        script: What happens.
        size: Height and width in pixels, a multiple of 4.

    Raises:
        ValueError: `size` is no multiple of 4.
    """
    if size < CELL_SIZE or size % CELL_SIZE:
        raise ValueError(f"expected a size that is a multiple of {CELL_SIZE}, found {size}")
    rng = np.random.default_rng([1926, SPLITS.index(script.split), script.index])
    look, pen, noise = rng.spawn(3)
    frames = _background(script, size, look)
    owners = np.full(frames.shape[:3], -1, np.int8)
    for number, actor in enumerate(script.actors):
        ink, plate = _write(actor.image, pen, is_bent=script.split == "train")
        _draw(frames, owners, number, actor, script, (ink, plate), look)
    frames += noise.normal(0.0, noise.uniform(0.0, 0.03), frames.shape).astype(np.float32)
    pixels = (np.clip(frames, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return RenderedScene(pixels, _cells(owners, len(script.actors)))


def _write(image: int, rng: np.random.Generator, is_bent: bool) -> tuple[NDArray[np.float32], ...]:
    """Opacity of a digit's strokes and of the plate behind them, each `[GLYPH, GLYPH]`, 0 to 1.

    Where `is_bent`, the digit is written anew, bent and thickened: a few writers are too few to learn what
    others do.
    """
    scan, threshold = glyphs().scan[image], 0.3
    if is_bent:
        stray = ndimage.zoom(rng.normal(size=(2, 4, 4)), (1, GLYPH / 4, GLYPH / 4), order=3)
        places = np.indices(scan.shape) + rng.uniform(0.0, _BEND) * stray
        scan = ndimage.map_coordinates(scan, places, order=1)
        threshold += rng.uniform(-0.08, 0.08)
    ink = np.clip((scan - threshold) / 0.45, 0.0, 1.0).astype(np.float32)
    return ink, _plate(ink)


def _plate(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outline of a digit, its bends filled: what lies behind it is hidden."""
    padded = np.pad(ink > 0.3, _FILL)
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=_FILL))
    wide = ndimage.binary_dilation(filled, iterations=3)[_FILL:-_FILL, _FILL:-_FILL]
    plate: NDArray[np.float32] = ndimage.gaussian_filter(wide.astype(np.float32), 1.0)
    return plate


def _background(script: Script, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A dim texture seen through the moving camera, float32 RGB `[time, size, size, 3]`."""
    rows, columns = np.indices((_CANVAS, _CANVAS)) * (2 * np.pi / _CANVAS)
    waves, phase = int(rng.integers(5, 9)), rng.uniform(0, 2 * np.pi, 2)
    kind = BACKGROUNDS.index(script.background)
    across, down = np.sin(waves * columns + phase[0]), np.sin(waves * rows + phase[1])
    clouds = ndimage.gaussian_filter(rng.normal(size=(_CANVAS, _CANVAS)), 5.0, mode="wrap")
    patterns = (
        np.zeros((_CANVAS, _CANVAS)),
        np.sign(across if rng.uniform() < 0.5 else down),
        np.sign(across * down),
        clouds / clouds.std(),
        np.where(across * down > 0.55, 1.5, -0.5),
    )
    tint = (rng.uniform(0.22, 0.5) * (1 + rng.uniform(-0.12, 0.12, 3))).astype(np.float32)
    pattern = (1 + rng.uniform(0.12, 0.25) * patterns[kind]).astype(np.float32)
    pixel = (np.arange(size) + 0.5) / size * 64
    frames = np.empty((script.num_frames, size, size, 3), np.float32)
    for frame, moved in enumerate(zip(script.camera_x, script.camera_y, strict=True)):
        places = np.meshgrid(pixel + 64 * moved[1], pixel + 64 * moved[0], indexing="ij")
        shade = ndimage.map_coordinates(pattern, places, order=1, mode="grid-wrap")
        frames[frame] = shade[..., None] * tint
    return frames


def _draw(
    frames: NDArray[np.float32],
    owners: NDArray[np.int8],
    number: int,
    actor: Actor,
    script: Script,
    written: tuple[NDArray[np.float32], ...],
    rng: np.random.Generator,
) -> None:
    """Paint one digit into the frames, and its number into the pixels that it fills."""
    size = frames.shape[1]
    paint = np.array(_PAINTS[actor.colour]) * rng.uniform(0.88, 1.0) + rng.uniform(-0.04, 0.04, 3)
    shear, aspect = rng.uniform(-0.2, 0.2), rng.uniform(0.85, 1.15)
    for frame in range(script.num_frames):
        if not actor.opacity[frame]:
            continue
        scale, angle = actor.scale[frame], actor.angle[frame]
        centre = np.array([actor.y[frame] - script.camera_y[frame], actor.x[frame] - script.camera_x[frame]])
        reach = 0.5 * scale * 1.6 * GLYPH / CELL  # of the corners, wherever it is turned to
        low = np.clip(np.floor((centre - reach) * size), 0, size).astype(int)
        high = np.clip(np.ceil((centre + reach) * size), 0, size).astype(int)
        if (high <= low).any():
            continue
        window = (frame, slice(low[0], high[0]), slice(low[1], high[1]))
        y = ((np.arange(low[0], high[0]) + 0.5) / size - centre[0])[:, None]
        x = ((np.arange(low[1], high[1]) + 0.5) / size - centre[1])[None, :]
        # Picture -> the digit's own upright square, centred at 0 with side 1.
        u, v = (np.cos(angle) * x + np.sin(angle) * y), (np.cos(angle) * y - np.sin(angle) * x)
        u, v = (u / scale + shear * v / scale) / aspect, v / scale
        places = np.stack([v, u]) * CELL + (GLYPH - 1) / 2
        ink, plate = (
            actor.opacity[frame] * ndimage.map_coordinates(each, places, order=1) for each in written
        )
        part = frames[window]
        part *= 1 - 0.92 * plate[..., None]
        part += ink[..., None] * (paint.astype(np.float32) - part)
        owners[window][plate > 0.5] = number


def _cells(owners: NDArray[np.int8], num_actors: int) -> NDArray[np.int8]:
    """The digit that fills most of each cell, where it fills a third."""
    num_frames, height, width = owners.shape
    shape = (num_frames, height // CELL_SIZE, CELL_SIZE, width // CELL_SIZE, CELL_SIZE)
    shares = np.stack([(owners == each).reshape(shape).mean(axis=(2, 4)) for each in range(num_actors)])
    return np.where(shares.max(axis=0) > 1 / 3, shares.argmax(axis=0), -1).astype(np.int8)
