"""Questions about videos as clips of a task."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from approxbit.datasets.listing import find_in
from approxbit.datasets.msvd_qa import MSVDQA
from approxbit.datasets.source import ClipSource
from approxbit.datasets.transforms import clip_transform
from approxbit.datasets.videos import required_shape
from approxbit.tasks import QuestionAnswering, Target

QUESTION_TYPES = ("what", "who", "how", "when", "where")
"""By their first word, as MSVD-QA counts its questions."""


class QuestionDataset(Dataset[tuple[Tensor, tuple[str, Target]]]):
    """A clip, its question and the right answer, for each question of a list."""

    def __init__(self, questions: MSVDQA, num_frames: int, size: int) -> None:
        self.questions, self.num_frames = questions, num_frames
        self.transform = clip_transform(size, (0.0,) * 3, (1.0,) * 3, training=False)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> tuple[Tensor, tuple[str, Target]]:
        asked = self.questions[index]
        first_word = asked.question.split(maxsplit=1)[0].lower() if asked.question.strip() else ""
        kind = first_word if first_word in QUESTION_TYPES else ""
        return self.transform(asked.clip(self.num_frames)), (asked.question, Target(asked.answer, kind))


class MSVDQAClips(ClipSource):
    """MSVD-QA in either of its published layouts, a clip for each question.

    A target is `(question, Target)`, and a batch `(clips, list of targets)`. Clips are never augmented.

    Args:
        root: Folder of `YouTubeClips`, `youtube_mapping.txt` and `train_qa.json`, `val_qa.json`,
            `test_qa.json`; or of `videos`, `test_q.json` and `test_a.json` as Video-LLaVA has them, and
            the same for other splits.
        num_frames: Frames of a clip; by default those of the backbone, which `fitted` says.
        size: Height and width of a clip, as `num_frames`.
    """

    title = "MSVD-QA"
    task = QuestionAnswering(QUESTION_TYPES)

    def __init__(self, root: str, num_frames: int | None = None, size: int | None = None) -> None:
        self.root, self.num_frames, self.size = Path(root), num_frames, size
        self._questions: dict[str, MSVDQA] = {}

    @cached_property
    def _mapping(self) -> Path | None:
        path = self.root / "youtube_mapping.txt"
        return path if path.exists() else None

    def questions(self, split: str) -> MSVDQA:
        """The questions of a split; its files are read once.

        Raises:
            DatasetError: A file is not there, or not in its format.
        """
        if split not in self._questions:
            name = {"validation": "val"}.get(split, split)
            videos = find_in(self.root, ("YouTubeClips", "videos"))
            if self._mapping is not None:
                file = find_in(self.root, (f"{name}_qa.json",))
                self._questions[split] = MSVDQA.from_official(videos, file, self._mapping, missing="skip")
            else:
                asked, answered = (find_in(self.root, (f"{name}_{kind}.json",)) for kind in "qa")
                self._questions[split] = MSVDQA.from_video_llava(videos, asked, answered, missing="skip")
        return self._questions[split]

    def clips(self, split: str, training: bool = False) -> QuestionDataset:
        """One clip for each question; see `QuestionDataset`."""
        return QuestionDataset(self.questions(split), *required_shape(self))

    def to_batch(self, samples: Any) -> tuple[Tensor, list[tuple[str, Target]]]:
        """The clips as one tensor; targets are words and stay as they are."""
        clips, targets = zip(*samples, strict=True)
        return torch.stack(clips), list(targets)

    def names(self, split: str, num_clips: int) -> list[str]:
        """The paths of the videos of the first questions."""
        return [str(each.path) for each in self.questions(split)[:num_clips]]

    def answers(self, split: str) -> list[str]:
        """All right answers of a split, one for each question."""
        return [each.answer for each in self.questions(split)]
