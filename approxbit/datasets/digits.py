"""Digits-in-Motion: action recognition on handwritten digits, made here and the same on every machine.

24 actions in the style of Something-Something, most of which need the order of the frames, done by real
handwritten digits of scikit-learn over a textured background with a moving camera. Two label sets on the
same videos: the actions, and the harder action x acting digit (240 classes).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from approxbit.datasets import digits_actions, digits_render
from approxbit.datasets.digits_actions import ACTIONS
from approxbit.datasets.digits_render import render_clip
from approxbit.datasets.source import ClipSource
from approxbit.families.folder import find_cache
from approxbit.files import format_json, whole_file, write_whole
from approxbit.tasks import Classification, LabelSet
from approxbit.video.writer import write_video

TEMPLATES = tuple(ACTIONS)
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACTION_CLASSES = tuple(text.replace("[", "").replace("]", "") for text in TEMPLATES)
JOINT_CLASSES = tuple(text.replace("digit", word) for text in ACTION_CLASSES for word in DIGIT_NAMES)
JOINT, MARGINAL = "action_digit", "actions"
FRAME_RATE = 16
NUM_CLIPS = {"train": 24_000, "validation": 1_200, "test": 2_400}

TASK = Classification(
    (
        LabelSet(JOINT, JOINT_CLASSES),
        LabelSet(MARGINAL, ACTION_CLASSES, tuple(label // 10 for label in range(240))),
        LabelSet("digits", DIGIT_NAMES, tuple(label % 10 for label in range(240))),
    )
)
"""A model answers with action and acting digit; what is asked may be the action alone, or the digit alone."""


def joint_label(action: int, digit: int) -> int:
    """Index of an (action, digit) pair among the classes of a model.

    Example:
        >>> joint_label(2, 7)
        27
    """
    return action * len(DIGIT_NAMES) + digit


class DigitsInMotion(Dataset[tuple[Tensor, int]]):
    """Clips of one split as tensors: `(frames uint8 [time, height, width], joint label)`.

    The clips are rendered once and kept in a cache folder, since drawing one takes about 6 ms.

    Args:
        split: `train`, `validation` or `test`.
        num_clips: The first so many clips of the split; actions take turns.
        num_frames: Frames of a clip.
        size: Height and width in pixels.
        cache: Folder for the rendered clips; by default as `find_cache` says.

    Attributes:
        name: Says all about the clips: two data sets of one name have the same.

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
        self.name = f"digits-{split}-{num_clips}x{num_frames}x{size}-{_generator_version()}"
        frames, labels = folder / f"{self.name}.npy", folder / f"{self.name}-labels.npy"
        if not (frames.exists() and labels.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            _render_to(frames, labels, split, num_clips, num_frames, size)
        self.frames: NDArray[np.uint8] = np.load(frames, mmap_mode="r")
        self.labels: NDArray[np.int64] = np.load(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.frames[index].copy()), int(self.labels[index])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A whole batch at once, which spares the collation of single clips."""
        order = np.asarray(indices)
        return torch.from_numpy(self.frames[order]), torch.from_numpy(self.labels[order])


class DigitsClips(ClipSource):
    """Digits-in-Motion as clips of a task.

    Args:
        num_train: Clips for training, 24,000 by default.
        num_validation: Clips for validation, 1,200 by default.
        num_test: Clips for the test, 2,400 by default.
        num_frames: Frames of a clip; by default those of the backbone, and 16 where there is none.
        size: Height and width in pixels; by default those of the backbone, and 64 where there is none.
        cache: Folder for rendered clips; see `DigitsInMotion`.
    """

    title = "Digits-in-Motion"
    task = TASK
    local = ("cache",)

    def __init__(
        self,
        num_train: int | None = None,
        num_validation: int | None = None,
        num_test: int | None = None,
        num_frames: int | None = None,
        size: int | None = None,
        cache: str | None = None,
    ) -> None:
        self.num_clips = {"train": num_train, "validation": num_validation, "test": num_test}
        self.num_frames, self.size, self.cache = num_frames, size, cache

    def clips(self, split: str, training: bool = False) -> DigitsInMotion:
        """Grey frames and labels, a whole batch at once; they are never augmented."""
        given = self.num_clips[split]
        return self._draw(split, NUM_CLIPS[split] if given is None else given)

    def first_clips(self, split: str, num_clips: int) -> DigitsInMotion:
        """As many as one asks for, since they are made here; of a split with a number, at most that."""
        given = self.num_clips[split]
        return self._draw(split, num_clips if given is None else min(num_clips, given))

    def _draw(self, split: str, num_clips: int) -> DigitsInMotion:
        return DigitsInMotion(split, num_clips, self.num_frames or 16, self.size or 64, self.cache)

    def to_batch(self, samples: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """A clip of RGB of each clip of grey frames."""
        frames, labels = samples
        return (frames.float() / 255.0).unsqueeze(1).expand(-1, 3, -1, -1, -1), labels


def _generator_version() -> str:
    """Changes when the code that draws the clips does, so that no stale cache is read."""
    digest = hashlib.sha256()
    for module in (digits_actions, digits_render):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _render_to(frames: Path, labels: Path, split: str, num_clips: int, num_frames: int, size: int) -> None:
    draw = partial(render_clip, split, num_frames=num_frames, size=size)
    draw(0)  # a wrong argument shows before any file or process is made
    with whole_file(frames) as scratch:
        shape = (num_clips, num_frames, size, size)
        clips = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=shape)
        targets = np.empty(num_clips, np.int64)
        # Small sets are not worth the start of other processes.
        workers = 1 if num_clips < 1000 else (os.cpu_count() or 1)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            in_parallel = partial(pool.map, chunksize=64)
            rendered = (in_parallel if workers > 1 else map)(draw, range(num_clips))
            for i, clip in enumerate(
                track(rendered, f"drawing {split} clips", num_clips, disable=num_clips < 1000)
            ):
                clips[i], targets[i] = clip.frames, joint_label(clip.action, clip.digit)
        clips.flush()
        np.save(labels, targets)


def write_videos(
    folder: str | Path, split: str, num_clips: int, first: int = 0, num_frames: int = 32, size: int = 64
) -> list[Path]:
    """Write clips as H.264 files with labels in the format of Something-Something-v2.

    `folder` gets `videos/<id>.mp4` and, for each label set, `<label set>-labels.json` and
    `<label set>-<split>.json`, which `SomethingSomethingV2` reads.

    Args:
        folder: Where to write; made where missing.
        split: `train`, `validation` or `test`.
        num_clips: How many videos.
        first: Index of the first clip in its split.
        num_frames: Frames of a video, at 16 frames a second.
        size: Height and width in pixels; even, as H.264 wants it.

    Returns:
        The video files, in the order of the split file.
    """
    folder = Path(folder)
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    entries: dict[str, list[dict[str, object]]] = {each.name: [] for each in TASK.label_sets}
    paths = []
    for index in range(first, first + num_clips):
        clip = render_clip(split, index, num_frames, size)
        name, word = f"{split}{index:06d}", DIGIT_NAMES[clip.digit]
        path = folder / "videos" / f"{name}.mp4"
        write_video(path, np.repeat(clip.frames[..., None], 3, axis=-1), FRAME_RATE, crf=18)
        paths.append(path)
        for each in TASK.label_sets:
            label = each.name_of(int(each.labels(joint_label(clip.action, clip.digit))))
            entries[each.name].append({"id": name, "label": label, "template": label, "placeholders": [word]})
    for each in TASK.label_sets:
        numbered = {label: str(index) for index, label in enumerate(each.class_names)}
        write_whole(folder / f"{each.name}-labels.json", format_json(numbered))
        write_whole(folder / f"{each.name}-{split}.json", format_json(entries[each.name]))
    return paths
