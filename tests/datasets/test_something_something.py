from __future__ import annotations

import json

import pytest

from approxbit.datasets.dataset import VideoDataset
from approxbit.datasets.listing import UNLABELED
from approxbit.datasets.something_something import SomethingSomethingV2, read_labels
from approxbit.errors import DatasetError

LABELS = {
    "Holding something next to something": "1",
    "Approaching something with your camera": "0",
    "Pushing something from left to right": "2",
}
VALIDATION = [
    {
        "id": "74225",
        "label": "holding cup next to lid",
        "template": "Holding [something] next to [something]",
        "placeholders": ["cup", "lid"],
    },
    {"id": "116154", "template": "Pushing [something] from left to right"},
    {"id": "198186", "template": "Approaching [something] with your camera"},
]


@pytest.fixture
def files(tmp_path, make_video):
    """Folder of videos, labels JSON and split JSON."""
    for name in ("videos/74225.webm", "videos/116154.webm", "videos/198186.mp4"):
        make_video(name)
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    (tmp_path / "validation.json").write_text(json.dumps(VALIDATION))
    return tmp_path / "videos", tmp_path / "labels.json", tmp_path / "validation.json"


def test_official_files_become_paths_and_classes(files):
    validation = SomethingSomethingV2(*files)
    assert validation.label_names[0] == "Approaching something with your camera"
    assert [(path.name, label) for path, label in validation] == [
        ("74225.webm", 1),
        ("116154.webm", 2),
        ("198186.mp4", 0),
    ]
    assert validation.missing == ()


def test_the_videos_are_read_as_clips(files, read_numbers):
    dataset = VideoDataset(SomethingSomethingV2(*files), num_frames=4)
    for index, expected in enumerate((1, 2, 0)):
        frames, label = dataset[index]
        assert read_numbers(frames.numpy()) == [2, 6, 9, 13]
        assert label == expected


def test_the_test_split_has_ids_only(files):
    files[2].write_text(json.dumps([{"id": "74225"}, {"id": 116154}]))
    test = SomethingSomethingV2(*files)
    assert [(path.name, label) for path, label in test] == [
        ("74225.webm", UNLABELED),
        ("116154.webm", UNLABELED),
    ]


def test_missing_videos_are_refused_or_skipped(files):
    (files[0] / "116154.webm").unlink()
    with pytest.raises(DatasetError, match=r"videos: expected .* 1 of 3 videos are missing: 116154"):
        SomethingSomethingV2(*files)
    with pytest.warns(UserWarning, match="1 of 3 videos are missing: 116154"):
        validation = SomethingSomethingV2(*files, missing="skip")
    assert [path.name for path, _ in validation] == ["74225.webm", "198186.mp4"]
    assert validation.missing == ("116154",)


def test_a_template_outside_the_labels_is_named(files):
    files[2].write_text(json.dumps([*VALIDATION, {"id": "1", "template": "Eating [something]"}]))
    message = "validation.json: entry 3: expected one of the 3 classes, found 'Eating something'"
    with pytest.raises(DatasetError, match=message):
        SomethingSomethingV2(*files)


def test_an_entry_without_a_template_is_named(files):
    files[2].write_text(json.dumps([{"id": "1", "label": "holding a cup"}]))
    with pytest.raises(DatasetError, match="entry 0: expected the field 'template', found 'id', 'label'"):
        SomethingSomethingV2(*files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{'a': 1}", "expected JSON, found Expecting property name"),
        ("{}", r"expected a list, found \{\}"),
        ('[{"id": "1"}, 17]', r"\[1\]: expected a JSON object, found 17"),
        ('[{"id": "1", "template": null}]', "entry 0: template: expected text, found None"),
    ],
)
def test_a_split_of_another_form_is_named(content, message, files):
    files[2].write_text(content)
    with pytest.raises(DatasetError, match=f"validation.json: {message}"):
        SomethingSomethingV2(*files)


def test_indices_may_be_numbers(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"push": 1, "pull": 0}))
    assert read_labels(path) == ["pull", "push"]


def test_eleven_indices_are_ordered_as_numbers(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({f"class {i}": str(i) for i in reversed(range(11))}))
    assert read_labels(path) == [f"class {i}" for i in range(11)]


@pytest.mark.parametrize("indices", [("0", "2"), ("0", "0"), ("0", "first")])
def test_indices_with_gaps_are_refused(indices, tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(dict(zip(("push", "pull"), indices, strict=True))))
    with pytest.raises(DatasetError, match="expected the 2 indices 0 to 1, each once, found 0, "):
        read_labels(path)
