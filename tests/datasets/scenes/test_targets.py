"""Dense targets: what a script says of each patch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from approxbit.datasets.scenes.clips import Scenes
from approxbit.datasets.scenes.script import ACTIONS, BACKGROUNDS, COLOURS
from approxbit.datasets.scenes.targets import NUM_CLASSES, NUM_VALUES, DenseSceneClips, dense_targets


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return Scenes("validation", 6, cache=tmp_path_factory.mktemp("cache"))


def test_a_patch_tells_of_the_digit_that_fills_it(scenes: Scenes) -> None:
    targets = dense_targets(scenes, torch.tensor([3, 5]))
    assert {name: tuple(each.shape) for name, each in targets.classes.items()} == dict.fromkeys(
        NUM_CLASSES, (2, 8 * 8 * 8)
    )
    for place, index in enumerate((3, 5)):
        script = scenes.table.script(index)
        for patch in (0, 100, 200, 333, 511):
            time, row, column = patch // 64, patch // 8 % 8, patch % 8
            cells = scenes.owners[
                index, 2 * time : 2 * time + 2, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2
            ]
            owners = [actor for actor in range(len(script.actors)) if (cells == actor).sum() >= 2]
            assert int(targets.classes["is_digit"][place, patch]) == bool(owners)
            value = int(targets.classes["value"][place, patch])
            assert value in [script.actors[actor].value for actor in owners] or (value == -1 and not owners)


def test_targets_lead_from_a_patch_to_its_digit(scenes: Scenes) -> None:
    targets = dense_targets(scenes, torch.arange(6))
    assert {name: each.shape[-1] for name, each in targets.values.items()} == NUM_VALUES
    for index in range(6):
        script = scenes.table.script(index)
        for patch in torch.nonzero(targets.classes["is_digit"][index]).flatten().tolist()[::17]:
            time, row, column = patch // 64, patch // 8 % 8, patch % 8
            value = int(targets.classes["value"][index, patch])
            (actor,) = (number for number, each in enumerate(script.actors) if each.value == value)
            assert COLOURS[int(targets.classes["colour"][index, patch])] == script.actors[actor].colour
            assert ACTIONS[int(targets.classes["action"][index, patch])] == script.actors[actor].action
            places = torch.tensor([script.place(actor, frame) for frame in (2 * time, 2 * time + 1)]).mean(
                dim=0
            )
            offset = targets.values["offset"][index, patch] * 0.2
            expected = places - torch.tensor([(column + 0.5) / 8, (row + 0.5) / 8])
            torch.testing.assert_close(offset, expected, atol=2e-4, rtol=0, check_dtype=False)
            sine, cosine = targets.values["turn"][index, patch].tolist()
            assert sine**2 + cosine**2 == pytest.approx(1.0, abs=1e-4)


def test_where_there_is_no_digit_there_is_nothing_to_know(scenes: Scenes) -> None:
    targets = dense_targets(scenes, torch.arange(6))
    is_empty = targets.classes["is_digit"] == 0
    assert 0.4 < is_empty.float().mean() < 0.95
    assert all((targets.classes[name][is_empty] == -1).all() for name in ("value", "colour", "action"))
    for index, found in enumerate(targets.classes["background"]):
        assert {BACKGROUNDS[each] for each in found.tolist()} == {scenes.table.script(index).background}
    assert targets.values["motion"][is_empty].isnan().all()
    assert not targets.values["motion"][~is_empty].isnan().any()


def test_batches_hold_clips_questions_and_targets_of_the_same_scenes(tmp_path: Path) -> None:
    source = DenseSceneClips(num_train=6, per_family=1, cache=str(tmp_path))
    clips, targets = next(iter(source.loader("train", 4, training=True)))
    assert clips.shape == (4, 3, 16, 64, 64)
    assert len(targets.asked) == 4
    assert targets.dense is not None
    scenes = Scenes("train", 6, cache=tmp_path)
    for clip, value in zip(clips, targets.dense.classes["value"], strict=True):
        frames = (clip.permute(1, 2, 3, 0) * 255).round().byte().numpy()
        (index,) = (number for number in range(6) if (scenes.frames[number] == frames).all())
        assert torch.equal(value, dense_targets(scenes, torch.tensor([index])).classes["value"][0])
