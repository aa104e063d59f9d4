from __future__ import annotations

import re
from pathlib import Path

import pytest

from approxbit.datasets.listing import Listing, check_missing, find_videos, get_text
from approxbit.errors import DatasetError


def test_a_listing_is_a_sequence_of_samples():
    listing = Listing([(Path("a"), 0), (Path("b"), 1)], ["push", "pull"], ["c"])
    assert list(listing) == [(Path("a"), 0), (Path("b"), 1)]
    assert listing[-1] == (Path("b"), 1)
    assert (len(listing), listing.label_names, listing.missing) == (2, ("push", "pull"), ("c",))


def test_the_earlier_extension_wins_and_other_files_are_left(tmp_path):
    for name in ("1.webm", "1.mp4", "2.mp4", "3.txt"):
        (tmp_path / name).touch()
    assert find_videos(tmp_path, (".webm", ".mp4")) == {"1": tmp_path / "1.webm", "2": tmp_path / "2.mp4"}


def test_named_subfolders_are_searched(tmp_path):
    for folder in ("push", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"in_{folder}.mp4").touch()
    assert find_videos(tmp_path, (".mp4",), ["push", "absent"]) == {
        "in_push": tmp_path / "push" / "in_push.mp4"
    }


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: expected a folder of .webm or .mp4 files, found none"):
        find_videos(tmp_path / "nowhere", (".webm", ".mp4"))


def test_missing_videos_are_counted_once_each_and_the_first_are_named():
    wanted = [f"v{i}" for i in range(9)] + ["v8"]
    found = {"v0": Path("v0.mp4")}
    message = (
        "videos: expected a file for each annotated video, 8 of 9 videos are missing: v1, v2, v3, v4, v5, ..."
    )
    with pytest.raises(DatasetError, match=re.escape(message)):
        check_missing(wanted, found, "videos", "raise")
    with pytest.warns(
        UserWarning, match=r"videos: skipped, 8 of 9 videos are missing: v1, v2, v3, v4, v5, \.\.\."
    ):
        assert check_missing(wanted, found, "videos", "skip") == [f"v{i}" for i in range(1, 9)]


def test_nothing_missing_is_silent():
    assert check_missing(["v0"], {"v0": Path("v0.mp4")}, "videos", "raise") == []


def test_a_folder_without_any_of_the_videos_is_an_error_even_when_skipping():
    with pytest.raises(DatasetError, match=r"1 of 1 videos are missing: v0$"):
        check_missing(["v0"], {}, "videos", "skip")


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="missing must be 'raise' or 'skip', found 'ignore'"):
        check_missing([], {}, "videos", "ignore")


def test_a_missing_field_is_named():
    assert get_text({"id": 7}, "id", "train.json", 0) == "7"
    with pytest.raises(
        DatasetError, match=r"train.json: entry 3: expected the field 'id', found 'name', 'label'"
    ):
        get_text({"name": 1, "label": 2}, "id", "train.json", 3)
    with pytest.raises(DatasetError, match=r"entry 4: id: expected text, found \[17\]"):
        get_text({"id": [17]}, "id", "train.json", 4)
