from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from approxbit.engines.runner import ClipFormat
from approxbit.video.cameras import Camera, CameraGroup, Window


def window(name: str, number: int) -> Window:
    return Window(name, np.zeros((2, 4, 4, 3), np.uint8), 0.0, 0, number, 2)


def test_each_camera_has_its_turn() -> None:
    cameras = [Camera(f"rtsp://{name}/", ClipFormat(2, 4), 10, name=name) for name in "abc"]
    group = CameraGroup(cameras)
    order = []
    for number in range(3):
        cameras[0]._handout.put(window("a", number))  # it always has a newer one
        if number == 0:
            cameras[1]._handout.put(window("b", 0))
            cameras[2]._handout.put(window("c", 0))
        taken = group.wait(timeout_s=0)
        assert taken is not None
        order.append(taken.camera)
    assert order == ["a", "b", "c"]
    assert group.counts["a"].dropped.too_late == 1
    last = group.wait(timeout_s=0)
    assert last is not None
    assert (last.camera, last.start_frame) == ("a", 2)
    assert group.wait(timeout_s=0) is None


def test_a_group_ends_with_its_cameras(make_camera: Callable[..., Any]) -> None:
    with CameraGroup([make_camera("rtsp://127.0.0.1:9/", name=name) for name in "ab"]) as group:
        group.close()
        assert list(group.windows()) == []


@pytest.mark.parametrize("names", ["", "aa"])
def test_cameras_have_different_names(names: str) -> None:
    cameras = [Camera("rtsp://camera/", ClipFormat(2, 4), 10, name=name) for name in names]
    with pytest.raises(ValueError, match="expected cameras of different names, found "):
        CameraGroup(cameras)
