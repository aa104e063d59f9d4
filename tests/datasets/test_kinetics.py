from __future__ import annotations

import pytest

from approxbit.datasets.kinetics import Kinetics600
from approxbit.errors import DatasetError

HEADER = "label,youtube_id,time_start,time_end,split\n"
TRAIN = HEADER + "zumba,aaaaaaaaaaa,3,13,train\nabseiling,-bbbbbbbbbb,120,130,train\n"
VALIDATE = HEADER + '"zumba",ccccccccccc,0,10,validate\nabseiling,d_dddddddd1,9,19,validate\n'


@pytest.fixture
def files(tmp_path):
    """Folder of videos, split csv and train csv."""
    (tmp_path / "videos" / "abseiling").mkdir(parents=True)
    (tmp_path / "videos" / "ccccccccccc_000000_000010.mp4").touch()
    (tmp_path / "videos" / "abseiling" / "d_dddddddd1_000009_000019.mp4").touch()
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "validate.csv").write_text(VALIDATE)
    return tmp_path / "videos", tmp_path / "validate.csv", tmp_path / "train.csv"


def test_classes_are_the_sorted_labels_of_the_train_split(files):
    validate = Kinetics600(*files)
    assert validate.label_names == ("abseiling", "zumba")
    assert [(path.relative_to(files[0]).as_posix(), label) for path, label in validate] == [
        ("ccccccccccc_000000_000010.mp4", 1),
        ("abseiling/d_dddddddd1_000009_000019.mp4", 0),
    ]


def test_the_train_split_is_its_own_train_split(files):
    for name in ("aaaaaaaaaaa_000003_000013.mp4", "-bbbbbbbbbb_000120_000130.mp4"):
        (files[0] / name).touch()
    assert [label for _, label in Kinetics600(files[0], files[2], files[2])] == [1, 0]


def test_the_split_column_may_be_absent(files):
    files[1].write_text("label,youtube_id,time_start,time_end\nzumba,ccccccccccc,0,10\n")
    assert len(Kinetics600(*files)) == 1


def test_missing_videos_are_refused_or_skipped(files):
    files[1].write_text(VALIDATE + "zumba,eeeeeeeeeee,1,11,validate\n")
    with pytest.raises(DatasetError, match="1 of 3 videos are missing: eeeeeeeeeee_000001_000011"):
        Kinetics600(*files)
    with pytest.warns(UserWarning, match="skipped, 1 of 3 videos are missing: eeeeeeeeeee_000001_000011"):
        validate = Kinetics600(*files, missing="skip")
    assert len(validate) == 2
    assert validate.missing == ("eeeeeeeeeee_000001_000011",)


def test_a_label_that_training_never_saw_is_named(files):
    files[1].write_text(VALIDATE + "yodelling,eeeeeeeeeee,1,11,validate\n")
    message = "validate.csv: line 4: expected one of the 2 labels of .*train.csv, found 'yodelling'"
    with pytest.raises(DatasetError, match=message):
        Kinetics600(*files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected the columns label, youtube_id, time_start, time_end, found none"),
        ("zumba,ccccccccccc,0,10\n", "expected the columns .* time_end, found zumba, ccccccccccc, 0, 10"),
        (HEADER + ",ccccccccccc,0,10,x\n", "line 2: expected a label, found none"),
        (HEADER + "zumba,ccccccccccc,soon,10,x\n", "line 2: expected whole seconds .* found 'soon' and '10'"),
        (HEADER + "zumba,ccccccccccc,4\n", "line 2: expected whole seconds .* found '4' and None"),
    ],
)
def test_a_csv_of_another_form_is_named(content, message, files):
    files[1].write_text(content)
    with pytest.raises(DatasetError, match=f"validate.csv: {message}"):
        Kinetics600(*files)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("zümba,ccccccccccc,0,10,x".encode("latin-1"), "decode byte 0xfc"),
        (b"x" * 200_000, "larger than field"),
    ],
)
def test_a_csv_that_is_none_is_named(content, found, files):
    files[1].write_bytes(HEADER.encode() + content)
    with pytest.raises(DatasetError, match=rf"validate.csv: expected a csv in UTF-8, .*{found}"):
        Kinetics600(*files)


def test_a_spreadsheets_mark_at_the_start_is_no_part_of_the_header(files):
    for file in files[1:]:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(Kinetics600(*files)) > 0


def test_a_missing_csv_is_named(files):
    with pytest.raises(DatasetError, match=r"test.csv: expected a Kinetics csv, found no file"):
        Kinetics600(files[0], files[0].parent / "test.csv", files[2])
