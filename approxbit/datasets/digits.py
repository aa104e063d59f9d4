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
from approxbit.families.folder import find_cache
from approxbit.files import format_json, whole_file, write_whole
from approxbit.tasks.label_sets import DIGIT_NAMES, JOINT, MARGINAL, joint_label, label_set
from approxbit.video.reader import write_video

TEMPLATES = tuple(ACTIONS)
ACTION_CLASSES = label_set(MARGINAL, TEMPLATES).classes
JOINT_CLASSES = label_set(JOINT, TEMPLATES).classes
FRAME_RATE = 16


class DigitsInMotion(Dataset):
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
    entries: dict[str, list[dict[str, object]]] = {MARGINAL: [], JOINT: []}
    paths = []
    for index in range(first, first + num_clips):
        clip = render_clip(split, index, num_frames, size)
        name, word = f"{split}{index:06d}", DIGIT_NAMES[clip.digit]
        path = folder / "videos" / f"{name}.mp4"
        write_video(path, np.repeat(clip.frames[..., None], 3, axis=-1), FRAME_RATE, crf=18)
        paths.append(path)
        template = TEMPLATES[clip.action]
        for label_name, text in ((MARGINAL, template), (JOINT, template.replace("digit", word))):
            label = text.replace("[", "").replace("]", "")
            entries[label_name].append({"id": name, "label": label, "template": text, "placeholders": [word]})
    for label_name, classes in ((MARGINAL, ACTION_CLASSES), (JOINT, JOINT_CLASSES)):
        numbered = {label: str(index) for index, label in enumerate(classes)}
        write_whole(folder / f"{label_name}-labels.json", format_json(numbered))
        write_whole(folder / f"{label_name}-{split}.json", format_json(entries[label_name]))
    return paths
