"""MSVD-QA: questions with one-word answers about short videos, in both of its published layouts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from approxbit.datasets.listing import check_missing, find_videos, get_text
from approxbit.errors import DatasetError
from approxbit.files import PathLike, load_json
from approxbit.video.reader import read_clip
from approxbit.video.sampling import VLM_NUM_FRAMES, evenly_spaced


class VideoQuestion(NamedTuple):
    """One question about one video."""

    path: Path
    question: str
    answer: str

    def clip(self, num_frames: int = VLM_NUM_FRAMES) -> np.ndarray:
        """Frames from the first to the last, evenly spaced as Video-LLaVA reads them.

        Returns:
            RGB, uint8, `[num_frames, height, width, 3]`.

        Raises:
            VideoError: The video cannot be read.
        """
        return read_clip(self.path, num_frames, index_rule=evenly_spaced)


class MSVDQA(Sequence[VideoQuestion]):
    """A sequence of `VideoQuestion`; `from_official` and `from_video_llava` read the files.

    Example:
        >>> questions = MSVDQA.from_official("YouTubeClips", "test_qa.json", "youtube_mapping.txt")
        ... # doctest: +SKIP
        >>> questions[0].question, questions[0].answer, questions[0].clip().shape  # doctest: +SKIP
        ('who is slicing a potato?', 'someone', (8, 240, 320, 3))
    """

    def __init__(self, questions: Iterable[VideoQuestion], missing: Iterable[str] = ()):
        """Questions whose videos were found, and the names of videos that were not."""
        self.questions = tuple(questions)
        self.missing = tuple(missing)

    @classmethod
    def from_official(
        cls, videos: PathLike, questions: PathLike, mapping: PathLike, missing: str = "raise"
    ) -> MSVDQA:
        """The original layout.

        Args:
            videos: Folder `YouTubeClips` of avi files.
            questions: `train_qa.json`, `val_qa.json` or `test_qa.json`: a list of
                `{"question", "answer", "video_id"}`.
            mapping: `youtube_mapping.txt`, with lines such as `-4wsuPCjDBc_5_15 vid1`.
            missing: `"raise"` refuses missing video files, `"skip"` leaves their questions out with
                a counted warning (`.missing` names the videos).

        Raises:
            DatasetError: A file is not in its format, or videos are missing.
            ValueError: `missing` is neither `"raise"` nor `"skip"`.
        """
        names = _read_mapping(mapping)
        rows = []
        for number, entry in enumerate(load_json(questions, list[dict[str, Any]], DatasetError)):
            question, answer, video = (
                get_text(entry, key, questions, number) for key in ("question", "answer", "video_id")
            )
            if f"vid{video}" not in names:
                raise DatasetError(
                    f"{os.fspath(questions)}: entry {number}: expected a video_id of {os.fspath(mapping)}, "
                    f"found {video}"
                )
            rows.append((names[f"vid{video}"], question, answer))
        return cls._of_rows(rows, videos, missing)

    @classmethod
    def from_video_llava(
        cls, videos: PathLike, questions: PathLike, answers: PathLike, missing: str = "raise"
    ) -> MSVDQA:
        """Video-LLaVA's layout, where answers belong to questions by their place in the list.

        Args:
            videos: Folder of avi (or mp4) files.
            questions: `test_q.json`, a list of `{"video_name", "question", "question_id"}`.
            answers: `test_a.json`, a list of `{"answer", ...}` of the same length.
            missing: As in `from_official`.

        Raises:
            DatasetError: A file is not in its format, the lengths differ, or videos are missing.
            ValueError: `missing` is neither `"raise"` nor `"skip"`.
        """
        asked = load_json(questions, list[dict[str, Any]], DatasetError)
        answered = load_json(answers, list[dict[str, Any]], DatasetError)
        if len(asked) != len(answered):
            raise DatasetError(
                f"{os.fspath(answers)}: expected {len(asked)} answers, one for each question of "
                f"{os.fspath(questions)}, found {len(answered)}"
            )
        rows = [
            (
                get_text(question, "video_name", questions, number),
                get_text(question, "question", questions, number),
                get_text(answered[number], "answer", answers, number),
            )
            for number, question in enumerate(asked)
        ]
        return cls._of_rows(rows, videos, missing)

    @classmethod
    def _of_rows(cls, rows: Sequence[tuple[str, str, str]], videos: PathLike, missing: str) -> MSVDQA:
        found = find_videos(videos, (".avi", ".mp4"))
        absent = check_missing([name for name, _, _ in rows], found, videos, missing)
        return cls((VideoQuestion(found[n], q, a) for n, q, a in rows if n in found), absent)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: Any) -> Any:
        return self.questions[index]


def _read_mapping(path: PathLike) -> dict[str, str]:
    """File names without extension by video name (`vid1`)."""
    if not Path(path).is_file():
        raise DatasetError(f"{os.fspath(path)}: expected lines '<youtube id> vid<number>', found no file")
    names: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].startswith("vid"):
            raise DatasetError(
                f"{os.fspath(path)}: line {number}: expected '<youtube id> vid<number>', found {line!r}"
            )
        names[words[1]] = words[0]
    return names
