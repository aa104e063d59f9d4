"""Draws the scenes of Digits-in-Motion from the handwritten digits of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits

from approxbit.datasets.digits_actions import ACTIONS, Scene, Stage, Track

GLYPH = 48
CELL = 36
_BEND = 3.0
"""Most that the pen of a training digit strays, as a standard deviation in pixels of a glyph."""
_THICKEN = 0.12
"""Most that the strokes of a training digit gain or lose, in brightness of the scanned digit."""
SPLITS = {"train": (0, 1200), "validation": (1200, 1397), "test": (1397, 1797)}
"""Which digit images each split draws from; the last 400 come from other writers than the first."""


@dataclass(frozen=True)
class Glyphs:
    """Handwritten digits, enlarged.

    Attributes:
        scan: Brightness of the scanned digits, about 0 to 1, shape `[image, GLYPH, GLYPH]`.
        value: The digit each image shows, shape `[image]`.
    """

    scan: NDArray[np.float32]
    value: NDArray[np.int64]


@cache
def glyphs() -> Glyphs:
    """All 1,797 digits of scikit-learn's `load_digits`, in its order."""
    images, values = load_digits(return_X_y=True)
    small = images.reshape(-1, 8, 8).astype(np.float32) / 16.0
    large = ndimage.zoom(small, (1, CELL / 8, CELL / 8), order=3)
    margin = (GLYPH - CELL) // 2
    large = np.pad(large, ((0, 0), (margin, margin), (margin, margin)))
    return Glyphs(large.astype(np.float32), values.astype(np.int64))


def _write(image: int, rng: np.random.Generator | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Opacity of a digit's strokes and of the dark halo that sets it off, each `[GLYPH, GLYPH]`, 0 to 1.

    With `rng` the digit is written anew, bent and thickened at random: 1,200 digits by a few writers are too
    few to learn what other writers do.
    """
    scan, threshold = glyphs().scan[image], 0.3
    if rng is not None:
        stray = ndimage.zoom(rng.normal(size=(2, 4, 4)), (1, GLYPH / 4, GLYPH / 4), order=3)
        pen = np.indices(scan.shape) + rng.uniform(0.0, _BEND) * stray
        scan = ndimage.map_coordinates(scan, pen, order=1)
        threshold += rng.uniform(-_THICKEN, _THICKEN)
    ink = np.clip((scan - threshold) / 0.45, 0.0, 1.0)
    halo = np.clip(2.2 * ndimage.gaussian_filter(ink, 2.5), 0.0, 1.0)
    return ink, halo


@dataclass(frozen=True)
class RenderedClip:
    """One clip and its labels.

    Attributes:
        frames: Grey frames, uint8 `[time, height, width]`.
        action: Index into `ACTIONS`.
        digit: Value of the acting digit.
    """

    frames: NDArray[np.uint8]
    action: int
    digit: int


def render_clip(split: str, index: int, num_frames: int = 16, size: int = 64) -> RenderedClip:
    """Clip `index` of a split: always the same pixels for the same arguments.

    Args:
        split: `train`, `validation` or `test`; they use different digit images.
        index: Any number from 0; the action is `index` modulo 24, all else is drawn from it.
        num_frames: Frames that share out the clip's time from first to last.
        size: Height and width in pixels.

    Raises:
        ValueError: There is no such split, or `index` is negative.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split of {', '.join(SPLITS)}, found {split!r}")
    if index < 0:
        raise ValueError(f"expected a clip index of at least 0, found {index}")
    rng = np.random.default_rng([list(SPLITS).index(split), index])
    action = index % len(ACTIONS)
    # Drawing the scene first keeps it the same at every number of frames.
    scene_rng, look_rng, shake_rng, pen_rng = rng.spawn(4)
    digit = int(rng.integers(10))
    stage = Stage(scene_rng, num_frames)
    scene = list(ACTIONS.values())[action](stage)
    tracks, images = _cast(scene, stage, split, digit, rng)
    camera = _camera_way(scene, stage, shake_rng)
    frames = _background(look_rng, camera, size)
    for track, image in zip(tracks, images, strict=True):
        written = _write(image, pen_rng if split == "train" else None)
        _draw(frames, track, written, camera, look_rng)
    frames += look_rng.normal(0.0, look_rng.uniform(0.0, 0.03), frames.shape).astype(np.float32)
    return RenderedClip((np.clip(frames, 0.0, 1.0) * 255 + 0.5).astype(np.uint8), action, digit)


def _cast(
    scene: Scene, stage: Stage, split: str, digit: int, rng: np.random.Generator
) -> tuple[list[Track], list[int]]:
    """The tracks with a distractor where one fits, and the digit image that each track shows."""
    tracks = list(scene.tracks)
    values = [
        digit if i == scene.acting or i in scene.same_digit else _other(digit, rng)
        for i in range(len(tracks))
    ]
    if scene.may_have_distractor and len(tracks) == 1 and rng.uniform() < 0.5:
        for _ in range(8):
            x, y = stage.place(0.16)
            if not tracks[0].covers(x, y):
                tracks.insert(0, stage.track(x, y, stage.size(0.26, 0.36)))
                values.insert(0, _other(digit, rng))
                break
    first, last = SPLITS[split]
    pool = glyphs().value[first:last]
    return tracks, [first + int(rng.choice(np.flatnonzero(pool == value))) for value in values]


def _other(digit: int, rng: np.random.Generator) -> int:
    return int((digit + rng.integers(1, 10)) % 10)


def _camera_way(scene: Scene, stage: Stage, rng: np.random.Generator) -> NDArray[np.float64]:
    """Camera offset `[2, time]`: the action's own way, a slow drift, and the shake of a hand."""
    drift = rng.uniform(-0.05, 0.05, (2, 1)) * (stage.time - 0.5)
    phase, pace = rng.uniform(0, 2 * np.pi, (2, 2)), rng.uniform(4, 14, (2, 2))
    shake = np.sin(pace[..., None] * stage.time + phase[..., None]).sum(axis=1) * rng.uniform(0, 0.006)
    still = np.zeros(stage.num_frames)
    way: NDArray[np.float64] = np.stack([scene.camera_x + still, scene.camera_y + still]) + drift + shake
    return way


def _background(rng: np.random.Generator, camera: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Textured noise of several spatial frequencies, seen through the moving camera."""
    canvas = np.zeros((96, 96))
    for sigma in (1.0, 2.5, 6.0, 14.0):
        layer = ndimage.gaussian_filter(rng.normal(size=canvas.shape), sigma, mode="wrap")
        canvas += rng.uniform(0.2, 1.0) * layer / layer.std()
    canvas = canvas / canvas.std() * rng.uniform(0.05, 0.16) + rng.uniform(0.25, 0.55)
    pixel = (np.arange(size) + 0.5) / size
    frames = np.empty((camera.shape[1], size, size), np.float32)
    for t, (x, y) in enumerate(camera.T):
        rows, columns = np.meshgrid((pixel + y) * 64, (pixel + x) * 64, indexing="ij")
        frames[t] = ndimage.map_coordinates(canvas, [rows, columns], order=1, mode="grid-wrap")
    return frames


def _draw(
    frames: NDArray[np.float32],
    track: Track,
    written: tuple[NDArray[np.float32], NDArray[np.float32]],
    camera: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Paint one digit into the frames, in place."""
    size = frames.shape[-1]
    pixel = (np.arange(size) + 0.5) / size
    brightness, shear, aspect = rng.uniform(0.78, 1.0), rng.uniform(-0.2, 0.2), rng.uniform(0.85, 1.15)
    # Every frame: canvas -> the digit's own upright square, centred at 0 with side 1.
    x = pixel[None, None, :] - (track.x - camera[0])[:, None, None]
    y = pixel[None, :, None] - (track.y - camera[1])[:, None, None]
    cosine = (np.cos(track.angle) / track.scale)[:, None, None]
    sine = (np.sin(track.angle) / track.scale)[:, None, None]
    u, v = cosine * x + sine * y, cosine * y - sine * x
    u = (u + shear * v) / aspect
    coordinates = np.stack([v, u]) * CELL + (GLYPH - 1) / 2
    ink, halo = written
    opacity = track.opacity[:, None, None].astype(np.float32)
    frames *= 1 - 0.8 * opacity * ndimage.map_coordinates(halo, coordinates, order=1)
    shown = opacity * ndimage.map_coordinates(ink, coordinates, order=1)
    frames += shown * (np.float32(brightness) - frames)
