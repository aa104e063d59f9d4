"""MSVD-QA through the seam of all clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from approxbit.datasets.questions import MSVDQAClips
from approxbit.errors import DatasetError
from approxbit.tasks import Target

ASKED = ("who is waving?", "is it day?")


@pytest.fixture(params=["official", "video_llava"])
def root(request: pytest.FixtureRequest, make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """Two questions on one video, in one of the two layouts."""
    if request.param == "official":
        make_video("YouTubeClips/abc_1_9.avi")
        (tmp_path / "youtube_mapping.txt").write_text("abc_1_9 vid7\n")
        rows = [{"question": each, "answer": "man", "video_id": 7} for each in ASKED]
        (tmp_path / "val_qa.json").write_text(json.dumps(rows))
    else:
        make_video("videos/abc_1_9.avi")
        questions = [{"video_name": "abc_1_9", "question": each, "question_id": 0} for each in ASKED]
        (tmp_path / "val_q.json").write_text(json.dumps(questions))
        (tmp_path / "val_a.json").write_text(json.dumps([{"answer": "man"}] * 2))
    return tmp_path


def test_a_clip_comes_with_each_question_and_its_answer(root: Path) -> None:
    source = MSVDQAClips(str(root)).fitted((3, 4, 24, 24))
    [(clips, targets)] = source.loader("validation", 4)
    assert clips.shape == (2, 3, 4, 24, 24)
    assert 0 <= clips.min() < clips.max() <= 1
    assert targets == [(ASKED[0], Target("man", "who")), (ASKED[1], Target("man", ""))]
    scores = source.task.score(["The man.", "a dog"], [target for _, target in targets])
    assert scores == {"exact_match": 50.0, "exact_match_who": 100.0}
    assert [Path(name).name for name in source.names("validation", 1)] == ["abc_1_9.avi"]
    with pytest.raises(DatasetError, match=r"expected test_qa?\.json in it"):
        source.loader("test", 1)
