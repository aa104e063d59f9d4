from __future__ import annotations

import json

import pytest

from approxbit.datasets.msvd_qa import MSVDQA
from approxbit.errors import DatasetError

QUESTIONS = [
    {"id": 30933, "question": "who is slicing a potato?", "answer": "someone", "video_id": 1451},
    {"id": 30934, "question": "what is a man doing?", "answer": "slice", "video_id": 1451},
    {"id": 30935, "question": "who rides a horse?", "answer": "man", "video_id": 2},
]
MAPPING = "v_klFyrnrUSck_87_100_6 vid1451\n-4wsuPCjDBc_5_15 vid2\n\n"


@pytest.fixture
def official(tmp_path, make_video):
    """Folder of videos, questions and mapping in the original layout."""
    make_video("YouTubeClips/v_klFyrnrUSck_87_100_6.avi")
    make_video("YouTubeClips/-4wsuPCjDBc_5_15.avi", num_frames=4)
    (tmp_path / "test_qa.json").write_text(json.dumps(QUESTIONS))
    (tmp_path / "youtube_mapping.txt").write_text(MAPPING)
    return tmp_path / "YouTubeClips", tmp_path / "test_qa.json", tmp_path / "youtube_mapping.txt"


@pytest.fixture
def repacked(official, tmp_path):
    """Folder of videos, questions and answers in Video-LLaVA's layout."""
    asked = [
        {
            "video_name": "v_klFyrnrUSck_87_100_6",
            "question": "who?",
            "question_id": "v_klFyrnrUSck_87_100_6_0",
        },
        {"video_name": "-4wsuPCjDBc_5_15", "question": "what?", "question_id": "-4wsuPCjDBc_5_15_1"},
    ]
    (tmp_path / "test_q.json").write_text(json.dumps(asked))
    (tmp_path / "test_a.json").write_text(json.dumps([{"answer": "someone", "type": 3}, {"answer": "ride"}]))
    return official[0], tmp_path / "test_q.json", tmp_path / "test_a.json"


def test_official_files_become_questions_with_clips(official, read_numbers):
    questions = MSVDQA.from_official(*official)
    assert [(q.path.name, q.question, q.answer) for q in questions] == [
        ("v_klFyrnrUSck_87_100_6.avi", "who is slicing a potato?", "someone"),
        ("v_klFyrnrUSck_87_100_6.avi", "what is a man doing?", "slice"),
        ("-4wsuPCjDBc_5_15.avi", "who rides a horse?", "man"),
    ]
    assert read_numbers(questions[0].clip()) == [0, 2, 4, 6, 8, 10, 12, 15]
    assert read_numbers(questions[2].clip(num_frames=6)) == [0, 0, 1, 1, 2, 3]


def test_answers_of_the_repacked_layout_belong_by_place(repacked):
    questions = MSVDQA.from_video_llava(*repacked)
    assert len(questions) == 2
    assert [(q.path.stem, q.question, q.answer) for q in questions] == [
        ("v_klFyrnrUSck_87_100_6", "who?", "someone"),
        ("-4wsuPCjDBc_5_15", "what?", "ride"),
    ]


def test_missing_videos_are_refused_or_skipped_with_their_questions(official):
    (official[0] / "v_klFyrnrUSck_87_100_6.avi").unlink()
    with pytest.raises(DatasetError, match="1 of 2 videos are missing: v_klFyrnrUSck_87_100_6"):
        MSVDQA.from_official(*official)
    with pytest.warns(UserWarning, match="1 of 2 videos are missing"):
        questions = MSVDQA.from_official(*official, missing="skip")
    assert [q.answer for q in questions] == ["man"]
    assert questions.missing == ("v_klFyrnrUSck_87_100_6",)


def test_a_video_without_a_mapping_is_named(official):
    official[1].write_text(json.dumps([{**QUESTIONS[0], "video_id": 9}]))
    message = "test_qa.json: entry 0: expected a video_id of .*youtube_mapping.txt, found 9"
    with pytest.raises(DatasetError, match=message):
        MSVDQA.from_official(*official)


def test_a_question_without_an_answer_is_named(official):
    official[1].write_text(json.dumps([QUESTIONS[0], {"question": "who?", "video_id": 2}]))
    with pytest.raises(
        DatasetError, match="entry 1: expected the field 'answer', found 'question', 'video_id'"
    ):
        MSVDQA.from_official(*official)


@pytest.mark.parametrize("line", ["-4wsuPCjDBc_5_15", "-4wsuPCjDBc_5_15 2", "a b vid2"])
def test_a_mapping_line_of_another_form_is_named(line, official):
    official[2].write_text(MAPPING + line)
    with pytest.raises(DatasetError, match=f"line 4: expected '<youtube id> vid<number>', found '{line}'"):
        MSVDQA.from_official(*official)


def test_a_missing_mapping_is_named(official):
    official[2].unlink()
    with pytest.raises(DatasetError, match=r"youtube_mapping.txt: expected lines .*, found no file"):
        MSVDQA.from_official(*official)


def test_answers_of_another_number_are_refused(repacked):
    repacked[2].write_text(json.dumps([{"answer": "someone"}]))
    message = "test_a.json: expected 2 answers, one for each question of .*test_q.json, found 1"
    with pytest.raises(DatasetError, match=message):
        MSVDQA.from_video_llava(*repacked)
