"""Scenes and their questions as clips of a task."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from approxbit.datasets import digits_render
from approxbit.datasets.scenes import actions, rendering, script, staging
from approxbit.datasets.scenes.captions import describe
from approxbit.datasets.scenes.questions import FAMILIES, draw_questions
from approxbit.datasets.scenes.rendering import CELL_SIZE, RenderedScene, render_scene
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.staging import SPLITS, draw_script
from approxbit.datasets.scenes.table import SceneTable
from approxbit.datasets.source import ClipSource
from approxbit.families.folder import find_cache
from approxbit.files import whole_file
from approxbit.tasks import QuestionAnswering, Target

TASK = QuestionAnswering(tuple(FAMILIES))
NUM_CLIPS = {"train": 12_000, "validation": 1_000, "test": 1_000, "test_b": 1_000}

Asked = tuple[str, Target]

DESCRIBE = "describe the video"
"""What asks for a caption."""


class Scenes:
    """The frames and scripts of the first scenes of a split.

    Scenes are drawn once and kept in a cache folder, since one takes about 40 ms.

    Args:
        split: `train`, `validation`, `test` or `test_b`.
        num_clips: How many scenes.
        num_frames: Frames of a clip.
        size: Height and width in pixels.
        cache: Folder for what was drawn; by default as `find_cache` says.

    Attributes:
        frames: RGB, uint8 `[scene, time, height, width, 3]`.
        owners: As `RenderedScene.owners` has them, int8 `[scene, time, height / 4, width / 4]`.
        table: The scripts.

    Raises:
        ValueError: There is no such split, or `num_clips` is below 1.
    """

    def __init__(
        self,
        split: str,
        num_clips: int,
        num_frames: int = 16,
        size: int = 64,
        cache: str | Path | None = None,
    ) -> None:
        if num_clips < 1:
            raise ValueError(f"expected at least 1 clip, found num_clips={num_clips}")
        folder = find_cache(cache)
        kind = f"x{num_frames}x{size}-{_generator_version()}"
        self.name = f"scenes-{split}-{num_clips}{kind}"
        frames, owners, scripts = _find_drawn(folder, f"scenes-{split}-", kind, num_clips) or _files(
            folder / self.name
        )
        if not all(path.exists() for path in (frames, owners, scripts)):
            folder.mkdir(parents=True, exist_ok=True)
            _draw_to(frames, owners, scripts, split, num_clips, num_frames, size)
        self.frames: NDArray[np.uint8] = np.load(frames, mmap_mode="r")[:num_clips]
        self.owners: NDArray[np.int8] = np.load(owners, mmap_mode="r")[:num_clips]
        self.table = SceneTable.load(scripts).first(num_clips)

    def __len__(self) -> int:
        return len(self.table)


class SceneQuestions(Dataset[tuple[Tensor, list[Asked]]]):
    """A clip and some questions about it, for each scene.

    Args:
        scenes: What is asked about.
        per_family: Most questions of a family about a scene.
        families: Those that are asked.
        training: Draw other questions each time, by torch's generator; else always the same.
        captions: Ask for a caption too, which is of no question type.
    """

    def __init__(
        self,
        scenes: Scenes,
        per_family: int = 2,
        families: Sequence[str] = tuple(FAMILIES),
        training: bool = False,
        captions: bool = False,
    ) -> None:
        _check_families(families)
        self.scenes, self.per_family, self.training = scenes, per_family, training
        self.captions = captions
        self.families = frozenset(families)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, list[Asked]]:
        return torch.from_numpy(self.scenes.frames[index].copy()), self.asked(index)

    def asked(self, index: int) -> list[Asked]:
        """The questions about one scene."""
        if self.per_family == 0 and not self.captions:
            return []
        seed = int(torch.randint(1, 2**31, ())) if self.training else 0
        shown = self.scenes.table.script(index)
        questions = draw_questions(shown, seed, self.per_family) if self.per_family else []
        captions = [(DESCRIBE, Target(describe(shown)))] if self.captions else []
        return captions + [
            (each.text, Target(each.answer, each.family))
            for each in questions
            if each.family in self.families
        ]


class SceneClips(ClipSource):
    """Scenes as clips of question answering; a target is a list of questions, each with its answer.

    Args:
        num_train: Scenes for training, 12,000 by default.
        num_validation: Scenes for validation, 1,000 by default.
        num_test: Scenes for test and test B, 1,000 by default.
        per_family: Most questions of a family about a scene; 0 for none.
        families: Those that are asked; all by default.
        kept_out: Of those, the ones that are not asked in training, so that a code made for the others can be
            asked what it was not made for.
        captions: Ask for a caption of each scene too, in training alone, as nothing scores it.
        num_frames: Frames of a clip; by default those of the backbone, and 16 where there is none.
        size: Height and width in pixels; by default those of the backbone, and 64 where there is none.
        cache: Folder for what was drawn; see `Scenes`.
    """

    title = "Scenes"
    task = TASK
    splits = SPLITS
    local: tuple[str, ...] = ("cache",)

    def __init__(
        self,
        num_train: int | None = None,
        num_validation: int | None = None,
        num_test: int | None = None,
        per_family: int = 2,
        families: Sequence[str] | None = None,
        kept_out: Sequence[str] = (),
        captions: bool = False,
        num_frames: int | None = None,
        size: int | None = None,
        cache: str | None = None,
    ) -> None:
        given = {"train": num_train, "validation": num_validation, "test": num_test, "test_b": num_test}
        self.num_clips = {split: NUM_CLIPS[split] if n is None else n for split, n in given.items()}
        self.per_family, self.families = per_family, tuple(FAMILIES if families is None else families)
        self.kept_out, self.captions = tuple(kept_out), captions
        _check_families((*self.families, *self.kept_out))
        self.num_frames, self.size, self.cache = num_frames, size, cache

    def clips(self, split: str, training: bool = False) -> SceneQuestions:
        """The scenes of a split with their questions."""
        return self._questions(split, self.num_clips[split], training)

    def first_clips(self, split: str, num_clips: int) -> SceneQuestions:
        """As many as one asks for, at most those of the split."""
        return self._questions(split, min(num_clips, self.num_clips[split]), training=False)

    def _questions(self, split: str, num_clips: int, training: bool) -> SceneQuestions:
        scenes = Scenes(split, num_clips, self.num_frames or 16, self.size or 64, self.cache)
        kept_out = self.kept_out if training else ()
        families = [family for family in self.families if family not in kept_out]
        return SceneQuestions(scenes, self.per_family, families, training, self.captions and training)

    def to_batch(self, samples: Any) -> tuple[Tensor, list[list[Asked]]]:
        """Clips of RGB in [0, 1], `[batch, 3, time, height, width]`, and the questions about each."""
        frames, asked = zip(*samples, strict=True)
        clips = torch.stack(frames).permute(0, 4, 1, 2, 3).float() / 255.0
        return clips, list(asked)


def _files(stem: Path) -> tuple[Path, Path, Path]:
    frames, owners, scripts = (
        stem.with_name(stem.name + end) for end in (".npy", "-owners.npy", "-scripts.npz")
    )
    return frames, owners, scripts


def _find_drawn(folder: Path, start: str, kind: str, num_clips: int) -> tuple[Path, Path, Path] | None:
    """The smallest set that begins with these scenes: a scene is the same however many there are."""
    numbers = (
        path.name[len(start) : -len(kind) - len(".npy")] for path in folder.glob(f"{start}*{kind}.npy")
    )
    for number in sorted(int(each) for each in numbers if each.isdecimal()):
        found = _files(folder / f"{start}{number}{kind}")
        if number >= num_clips and all(path.exists() for path in found):
            return found
    return None


def _check_families(families: Sequence[str]) -> None:
    if unknown := sorted(set(families) - set(FAMILIES)):
        known = ", ".join(FAMILIES)
        raise ValueError(f"expected families of {known}, found {', '.join(unknown)}")


def _generator_version() -> str:
    """Changes when the code that draws scenes does, so that no stale cache is read."""
    digest = hashlib.sha256()
    for module in (digits_render, actions, rendering, script, staging):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _draw(split: str, num_frames: int, size: int, index: int) -> tuple[Script, RenderedScene]:
    drawn = draw_script(split, index, num_frames)
    return drawn, render_scene(drawn, size)


def _draw_to(
    frames: Path, owners: Path, scripts: Path, split: str, num_clips: int, num_frames: int, size: int
) -> None:
    draw = partial(_draw, split, num_frames, size)
    draw(0)  # a wrong argument shows before any file or process is made
    cells = size // CELL_SIZE
    with whole_file(frames) as scratch, whole_file(owners) as owner_scratch:
        shape, owner_shape = (num_clips, num_frames, size, size, 3), (num_clips, num_frames, cells, cells)
        clips = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=shape)
        filled = np.lib.format.open_memmap(owner_scratch, mode="w+", dtype=np.int8, shape=owner_shape)
        # Small sets are not worth the start of other processes.
        workers = 1 if num_clips < 200 else (os.cpu_count() or 1)
        drawn = []
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            rendered = (partial(pool.map, chunksize=16) if workers > 1 else map)(draw, range(num_clips))
            shown = track(rendered, f"drawing {split} scenes", num_clips, disable=workers == 1)
            for index, (found, scene) in enumerate(shown):
                clips[index], filled[index] = scene.frames, scene.owners
                drawn.append(found)
        clips.flush()
        filled.flush()
        SceneTable.of_scripts(drawn).save(scripts)
