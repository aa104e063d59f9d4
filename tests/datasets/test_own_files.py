"""Class folders and lists of files, in both of their layouts, with real video files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from approxbit.datasets.own_files import CsvClips, FolderClips, choose_split
from approxbit.datasets.source import SPLITS
from approxbit.errors import DatasetError

MakeVideo = Callable[..., Path]
CLIP_SHAPE = (3, 4, 16, 16)


def names_of(source: FolderClips | CsvClips, split: str) -> list[tuple[str, int]]:
    return [(path.name, label) for path, label in source.listing(split)]


def test_a_folder_of_each_split_holds_one_of_each_class(make_video: MakeVideo, tmp_path: Path) -> None:
    for place in ("train/wave/a.mp4", "train/bow/b.webm", "val/wave/c.mp4", "test/bow/d.AVI.mp4"):
        make_video(place)
    (tmp_path / "train" / "wave" / "notes.txt").touch()
    source = FolderClips(str(tmp_path)).fitted(CLIP_SHAPE)
    assert source.task.class_names == ("bow", "wave")
    assert [names_of(source, split) for split in SPLITS] == [
        [("b.webm", 0), ("a.mp4", 1)],
        [("c.mp4", 1)],
        [("d.AVI.mp4", 0)],
    ]
    [(clips, labels)] = source.loader("train", 2)
    assert (clips.shape, labels.tolist()) == ((2, *CLIP_SHAPE), [0, 1])
    assert 0 <= clips.min() < clips.max() <= 1


def test_without_a_test_folder_the_validation_clips_are_the_test(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    for place in ("train/wave/a.mp4", "validation/wave/b.mp4"):
        make_video(place)
    source = FolderClips(str(tmp_path))
    assert names_of(source, "test") == names_of(source, "validation") == [("b.mp4", 0)]


def test_a_file_stays_in_its_split_when_others_come(tmp_path: Path) -> None:
    def fill(count: int) -> dict[str, set[Path]]:
        for label in ("bow", "wave"):
            (tmp_path / label).mkdir(exist_ok=True)
            for number in range(count):
                (tmp_path / label / f"{number}.mp4").touch()
        source = FolderClips(str(tmp_path))
        return {split: {path for path, _ in source.listing(split)} for split in SPLITS}

    few, many = fill(100), fill(1000)
    assert all(few[split] <= many[split] for split in SPLITS)
    assert sum(map(len, many.values())) == len(set.union(*many.values())) == 2000
    for label in ("bow", "wave"):  # of 1000 files of a class: 700, 150 and 150 with a deviation of 15 and 11
        counts = Counter(choose_split(label, f"{number}.mp4") for number in range(1000))
        assert 655 < counts["train"] < 745
        assert 117 < counts["validation"] < 183


def test_a_list_names_files_labels_and_splits(make_video: MakeVideo, tmp_path: Path) -> None:
    for name in ("clips/a.mp4", "clips/b.mp4", "c.mp4"):
        make_video(name)
    table = tmp_path / "clips.csv"
    table.write_text(
        f"path,label,split\nclips/a.mp4,wave,train\n{tmp_path}/clips/b.mp4,bow,train\nc.mp4,wave,val\n"
    )
    source = CsvClips(str(table)).fitted(CLIP_SHAPE)
    assert source.task.class_names == ("bow", "wave")
    assert [names_of(source, split) for split in SPLITS] == [
        [("a.mp4", 1), ("b.mp4", 0)],
        [("c.mp4", 1)],
        [("c.mp4", 1)],
    ]
    [(clips, labels)] = source.loader("train", 2)
    assert (clips.shape, labels.tolist()) == ((2, *CLIP_SHAPE), [1, 0])


def test_a_list_without_splits_is_split_as_folders_are(tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    lines = ["path,label"]
    for number in range(40):
        (tmp_path / "wave" / f"{number}.mp4").touch()
        lines.append(f"wave/{number}.mp4,wave")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    listed, folder = CsvClips(str(tmp_path / "clips.csv")), FolderClips(str(tmp_path))
    assert all(sorted(names_of(listed, split)) == sorted(names_of(folder, split)) for split in SPLITS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,label\na.mp4,wave\n",
            r"expected the columns path,label\[,split\], found file, label",
        ),
        ("path,label\na.mp4,\n", r"clips\.csv: line 2: expected a path and a label"),
        (
            "path,label,split\na.mp4,wave,dev\n",
            r"line 2: expected a split of train, .*, found 'dev'",
        ),
        ("path,label\nb.mp4,wave\n", r"expected a file for each line, 1 of 1 are missing: .*b\.mp4"),
        (
            "path,label,split\na.mp4,wave,train\n",
            "none for validation and test: add files",
        ),
        (
            "path,label,split\na.mp4,wave,train\n./a.mp4,wave,test\n",
            r"expected each video in one split .* found .*a\.mp4 as 'wave' in train and as 'wave' in test",
        ),
        (
            "path,label,split\na.mp4,wave,train\na.mp4,bow,train\n",
            "with one label, found .* as 'wave' in train and as 'bow' in train",
        ),
    ],
)
def test_what_is_wrong_with_a_list_is_said(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        CsvClips(str(tmp_path / "clips.csv")).listing("train")


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="none: expected a folder of one folder of videos for each class"):
        FolderClips(str(tmp_path / "none")).listing("train")
    with pytest.raises(DatasetError, match="none: expected a csv of the columns path,label"):
        CsvClips(str(tmp_path / "none")).listing("train")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DatasetError, match=r"expected a folder of videos .* for each class, found a\.mp4"):
        FolderClips(str(tmp_path)).listing("train")
    for place in ("train/wave/a.mp4", "validation/bow/b.mp4"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    with pytest.warns(UserWarning, match="no videos to train on of the classes bow"):
        assert len(FolderClips(str(tmp_path)).listing("test")) == 1
