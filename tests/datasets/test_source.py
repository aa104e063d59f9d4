"""What any source of clips does, its first clips, and windows of long clips."""

from __future__ import annotations

import pytest
import torch
from random_clips import RandomClips

from approxbit.datasets.first import FirstClips
from approxbit.datasets.windows import Windows, windows_of
from approxbit.tasks import Classification
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
    with pytest.raises(
        ValueError, match="windows of 16 frames need clips of 32, found 4 in noise: leave windows out"
    ):
        next(Windows(RandomClips(TOYS)).batches("train"))


def test_windows_overlap_by_three_quarters_and_by_half_whatever_their_length() -> None:
    windows = windows_of(RandomClips(TOYS, (3, 100, 8, 8), num_clips=1), 50)
    assert windows is not None
    assert (windows.shifts, windows.num_windows) == ((12, 24), 5)
    [(clips, _)] = windows.batches("train")
    assert torch.equal(clips[0][:, 12:], clips[1][:, :38])
    assert windows_of(RandomClips(TOYS), 3) is None


def test_the_first_clips_of_a_source_are_its_own() -> None:
    source = RandomClips(TOYS, num_clips=5)
    first = FirstClips(source, {"train": 3, "test": 9})
    for split, expected in (("train", 3), ("validation", 5), ("test", 5)):
        clips = torch.cat([clip for clip, _ in first.loader(split, 2)])
        assert torch.equal(clips, source.clips(split).tensors[0][:expected])
