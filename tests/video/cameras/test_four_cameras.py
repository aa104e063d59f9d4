"""Four cameras at once over RTSP, of which three misbehave: no other one loses anything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from loading import load_file

from approxbit.video.cameras import Camera, CameraCounts, CameraGroup, Dropped, Window

HERE = Path(__file__).parent
patience = load_file(HERE / "patience.py")
LONG_S, wait_until = patience.LONG_S, patience.wait_until
numbers_of = load_file(HERE / "rtsp_server.py").numbers_of

NUM_FRAMES, STRIDE = 8, 4
NUM_KILLS = 5

# Over RTSP the first picture of a line has no time, so that it is left out, and each one comes out of FFmpeg
# when the next one comes, or when FFmpeg gives the line up.
EDGES = 2
FEW = 10


def take(group: CameraGroup) -> Window:
    window = group.wait(LONG_S)
    assert window is not None, group.counts
    return window


def connect(camera: Camera, server: Any, made: int) -> None:
    """Show a few pictures on the next line that holds; one that comes too late for the camera does not."""
    while camera.counts.made < made:
        line = server.lines.get(timeout=LONG_S)
        with suppress(OSError):
            line.send(FEW + EDGES)
        wait_until(lambda: camera.counts.made >= made or not server.lines.empty(), lambda: camera.reason)


def make_windows(camera: Camera, line: Any, num_pictures: int, made: int) -> None:
    """Send pictures and wait until so many windows of the camera were ever made."""
    line.send(num_pictures)
    wait_until(lambda: camera.counts.made >= made, lambda: (camera.counts, camera.reason))


def test_a_killed_a_frozen_and_a_fast_camera_harm_no_other_one(
    make_server: Callable[[], Any], make_camera: Callable[..., Camera]
) -> None:
    names = ("steady", "killed", "frozen", "fast")
    servers = {name: make_server() for name in names}
    changes = {"frozen": {"open_timeout_s": 2.0, "read_timeout_s": 2.0}}
    group = CameraGroup(
        [make_camera(servers[name].url, name=name, **changes.get(name, {})) for name in names]
    )
    steady, killed, frozen, fast = group.cameras
    taken: dict[str, list[Window]] = {name: [] for name in names}
    with group:
        # It gives a window, and then not a byte, neither on its line nor to whoever connects.
        connect(frozen, servers["frozen"], made=1)
        servers["frozen"].freeze()
        for each in (take(group),):
            taken[each.camera].append(each)
        lines = {name: servers[name].lines.get(timeout=LONG_S) for name in names if name != "frozen"}

        for life in range(NUM_KILLS + 1):
            first = 0 if life else EDGES + NUM_FRAMES - STRIDE
            make_windows(steady, lines["steady"], first + STRIDE, made=life + 1)
            # Three windows in the time in which the device answers one.
            make_windows(fast, lines["fast"], first + 3 * STRIDE, made=3 * life + 3)
            make_windows(killed, lines["killed"], FEW + EDGES, made=life + 1)
            for each in (take(group), take(group), take(group)):
                taken[each.camera].append(each)
            wait_until(lambda life=life: killed.counts.frames == life * FEW + (life + 1) // 2 + FEW)
            if life < NUM_KILLS:
                kill(killed, lines["killed"], is_process=life % 2 == 1)
                lines["killed"] = servers["killed"].lines.get(timeout=LONG_S)

        wait_until(lambda: servers["frozen"].num_hung >= 3, lambda: frozen.reason)
        servers["frozen"].thaw()
        connect(frozen, servers["frozen"], made=2)
        for each in (take(group),):
            taken[each.camera].append(each)
        wait_until(lambda: frozen.counts.frames > 2 * FEW)
        counts = group.counts
    check(counts, taken)
    print("\n".join(f"{name}: {count}" for name, count in counts.items()))


def kill(camera: Camera, line: Any, is_process: bool) -> None:
    if is_process:
        process_id = camera.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
    else:
        line.close()


def check(counts: dict[str, CameraCounts], taken: dict[str, list[Window]]) -> None:
    lives = NUM_KILLS + 1
    assert counts == {
        "steady": CameraCounts(NUM_FRAMES + NUM_KILLS * STRIDE, lives, lives, Dropped(), 1, 1),
        # Of ten frames, the windows that began with the fourth and the eighth are cut off. The
        # eleventh came where a line was lost, and not where the process was killed.
        "killed": CameraCounts(lives * FEW + 3, lives, lives, Dropped(reconnect=2 * NUM_KILLS), lives, 3),
        "frozen": CameraCounts(2 * FEW + 1, 2, 2, Dropped(reconnect=2), 2, 1),
        "fast": CameraCounts(
            NUM_FRAMES + (3 * lives - 1) * STRIDE, 3 * lives, lives, Dropped(too_late=2 * lives), 1, 1
        ),
    }
    whole = list(range(1, NUM_FRAMES + 1))
    assert [numbers_of(each.frames) for each in taken["killed"]] == [whole] * lives
    assert [numbers_of(each.frames) for each in taken["frozen"]] == [whole] * 2
    for name, step in (("steady", STRIDE), ("fast", 3 * STRIDE)):
        first = 1 + (step - STRIDE)
        starts = [first + step * number for number in range(lives)]
        assert [numbers_of(each.frames)[0] for each in taken[name]] == [start % 32 for start in starts]
        assert [each.shift_frames for each in taken[name]] == [NUM_FRAMES] + [
            min(step, NUM_FRAMES)
        ] * NUM_KILLS
    for windows in taken.values():
        times = [each.captured_s for each in windows]
        assert times == sorted(times)
