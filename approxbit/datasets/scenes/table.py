"""Scripts of many scenes as arrays: small on disk, quick to load, and what dense targets are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from approxbit.datasets.scenes.script import ACTIONS, BACKGROUNDS, COLOURS, Actor, Script, curve
from approxbit.datasets.scenes.staging import NUM_ACTORS
from approxbit.files import whole_file

_MOST = NUM_ACTORS[1]
_CURVES = ("x", "y", "scale", "angle", "opacity")


@dataclass(frozen=True)
class SceneTable:
    """Scripts of one split. Where a scene has fewer digits than the most, its last places are -1 or 0.

    Attributes:
        labels: Value, colour, image, action, bounces and `behind` of each digit, int16 `[scene, digit, 6]`.
        times: Start and end of each action, float32 `[scene, digit, 2]`.
        curves: Of x, y, scale, angle and opacity, float32 `[scene, digit, 5, time]`.
        camera: x and y, float32 `[scene, 2, time]`.
        backgrounds: Index into `BACKGROUNDS`, int16 `[scene]`.
        split: Of the data set.
    """

    labels: NDArray[np.int16]
    times: NDArray[np.float32]
    curves: NDArray[np.float32]
    camera: NDArray[np.float32]
    backgrounds: NDArray[np.int16]
    split: str

    @classmethod
    def of_scripts(cls, scripts: Sequence[Script]) -> SceneTable:
        """The table of the first scenes of a split."""
        number, num_frames = len(scripts), scripts[0].num_frames
        labels = np.full((number, _MOST, 6), -1, np.int16)
        times = np.zeros((number, _MOST, 2), np.float32)
        curves = np.zeros((number, _MOST, len(_CURVES), num_frames), np.float32)
        for scene, script in enumerate(scripts):
            for place, actor in enumerate(script.actors):
                colour, action = COLOURS.index(actor.colour), ACTIONS.index(actor.action)
                labels[scene, place] = (
                    *(actor.value, colour, actor.image, action),
                    *(actor.bounces, actor.behind),
                )
                times[scene, place] = actor.start, actor.end
                curves[scene, place] = [getattr(actor, name) for name in _CURVES]
        camera = np.array([(script.camera_x, script.camera_y) for script in scripts], np.float32)
        backgrounds = np.array([BACKGROUNDS.index(script.background) for script in scripts], np.int16)
        return cls(labels, times, curves, camera, backgrounds, scripts[0].split)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, number: int) -> SceneTable:
        """The table of so many of its first scenes."""
        arrays = {
            each.name: getattr(self, each.name)[:number] for each in fields(self) if each.name != "split"
        }
        return SceneTable(**arrays, split=self.split)

    def script(self, index: int) -> Script:
        """One of the scripts that the table was made of."""
        actors = []
        for labels, times, curves in zip(
            self.labels[index].tolist(), self.times[index], self.curves[index], strict=True
        ):
            value, colour, image, action, bounces, behind = labels
            if value >= 0:
                start, end = curve(times)
                actor = Actor(
                    *(value, COLOURS[colour], image, ACTIONS[action], start, end, bounces, behind),
                    *(curve(each) for each in curves),
                )
                actors.append(actor)
        camera_x, camera_y = (curve(each) for each in self.camera[index])
        background = BACKGROUNDS[self.backgrounds[index]]
        num_frames = self.curves.shape[-1]
        return Script(self.split, index, num_frames, background, tuple(actors), camera_x, camera_y)

    def save(self, path: Path) -> None:
        """Write a file that `load` reads."""
        arrays = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "split"}
        with whole_file(path) as scratch, open(scratch, "wb") as file:
            np.savez(file, split=np.array(self.split), **arrays)

    @classmethod
    def load(cls, path: Path) -> SceneTable:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        return cls(**{**arrays, "split": str(arrays["split"])})
