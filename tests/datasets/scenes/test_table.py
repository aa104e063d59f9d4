"""Scripts of many scenes as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from approxbit.datasets.scenes.questions import draw_questions
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.table import SceneTable


def test_scripts_come_back_from_a_file_as_they_were(scripts: dict[str, list[Script]], tmp_path: Path) -> None:
    given = scripts["validation"][:60]
    path = tmp_path / "scripts.npz"
    SceneTable.of_scripts(given).save(path)
    table = SceneTable.load(path)
    assert (len(table), table.split) == (60, "validation")
    found = [table.script(index) for index in range(60)]
    assert found == given
    assert [draw_questions(each) for each in found] == [draw_questions(each) for each in given]


def test_places_without_a_digit_are_marked(scripts: dict[str, list[Script]]) -> None:
    table = SceneTable.of_scripts(scripts["train"][:8])
    assert (table.labels[:, :, 0] >= 0).sum(axis=1).tolist() == [2, 3, 4, 5, 2, 3, 4, 5]
    assert (table.labels[0, 2:] == -1).all()
    assert not table.curves[0, 2:].any()
    assert (table.labels.dtype, table.curves.dtype) == (np.int16, np.float32)
    assert table.curves.shape == (8, 5, 5, 16)
