"""What any source of clips does, windows of long clips, and the clips that can be made here."""

from __future__ import annotations

import pytest
import torch
from random_clips import RandomClips

from approxbit.datasets.digits import TASK, DigitsClips
from approxbit.datasets.makeable import make_source
from approxbit.datasets.windows import Windows
from approxbit.tasks import Classification, QuestionAnswering
from approxbit.training import ClipData

TOYS = Classification.of_names("abc", "toys")


def test_batches_come_in_order_and_whole_unless_they_are_for_training() -> None:
    source = RandomClips(TOYS, num_clips=5)
    clips = source.clips("test").tensors[0]
    batches = list(source.loader("test", 2))
    assert [len(clip) for clip, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([clip for clip, _ in batches]), clips)
    assert torch.cat([target for _, target in batches]).tolist() == [0, 1, 2, 0, 1]
    torch.manual_seed(0)
    orders = {tuple(clip.mean().item() for clip, _ in source.loader("test", 1, True)) for _ in range(4)}
    assert len(orders) > 1
    assert [len(clip) for clip, _ in source.loader("test", 2, training=True)] == [2, 2]


@pytest.mark.parametrize(("num_clips", "expected"), [(None, 5), (3, 3), (5, 5), (9, 5)])
def test_the_first_clips_can_be_taken_alone(num_clips: int | None, expected: int) -> None:
    source = RandomClips(TOYS, num_clips=5)
    [(clip, _)] = source.loader("train", 10, num_clips=num_clips)
    assert torch.equal(clip, source.clips("train").tensors[0][:expected])


def test_the_data_module_has_the_same_names_for_splits_everywhere() -> None:
    source = RandomClips(TOYS, num_clips=6)
    data = ClipData(source, batch_size=2, evaluation_batch_size=3)
    assert data.task is TOYS
    for split, loader in (
        ("train", data.train_dataloader()),
        ("validation", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        found = torch.cat([clip for clip, _ in loader]).flatten(1).sum(1).sort().values
        named = torch.cat([clip for clip, _ in data.loader(split)]).flatten(1).sum(1).sort().values
        assert torch.equal(found, named)
    assert [len(clip) for clip, _ in data.train_dataloader()] == [2, 2, 2]
    assert [len(clip) for clip, _ in data.val_dataloader()] == [3, 3]
    with pytest.raises(ValueError, match="expected one of the splits train, validation, test, found 'val'"):
        data.loader("val")


def test_windows_of_a_clip_overlap() -> None:
    windows = Windows(RandomClips(TOYS, (3, 32, 8, 8), num_clips=3))
    batches = [clips for clips, _ in windows.batches("train", clips_per_batch=2)]
    assert [tuple(clips.shape) for clips in batches] == [(10, 3, 16, 8, 8), (5, 3, 16, 8, 8)]
    for number in range(4):
        assert torch.equal(batches[0][number][:, 4:], batches[0][number + 1][:, :12])
    assert not torch.equal(batches[0][4][:, 4:], batches[0][5][:, :12])


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shifts must be multiples of 4 up to 16, found 6"):
        Windows(RandomClips(TOYS), shifts=(4, 6))
    with pytest.raises(ValueError, match="expected clips of 32 frames, found 4"):
        next(Windows(RandomClips(TOYS)).batches("train"))


def test_clips_are_made_here_for_a_task_whose_data_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    source = make_source(TASK.asking("actions"), (3, 4, 32, 32), "it", {"validation": 2})
    assert isinstance(source, DigitsClips)
    [(clip, _)] = source.loader("validation", 5)
    assert clip.shape == (2, 3, 4, 32, 32)


@pytest.mark.parametrize(
    ("task", "name"),
    [(TOYS, "toys"), (QuestionAnswering(), "question_answering"), (Classification.of_names(), "classes")],
)
def test_no_clips_are_made_for_another_task(task, name) -> None:
    with pytest.raises(ValueError, match=rf"of the task {name}: pass a ClipSource of your data .* to train"):
        make_source(task, (3, 4, 32, 32), "train", {})
