"""Several cameras, none of which keeps another one waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from approxbit.video.cameras.camera import Camera
from approxbit.video.cameras.handout import CHANGED
from approxbit.video.cameras.window import CameraCounts, Window


class CameraGroup:
    """Windows of several cameras, in turn; a context manager that starts and closes all of them.

    Of the cameras that have a window, the one goes first whose turn is longest ago, so one that is fast takes
    nothing from one that is slow. Windows of different cameras do not follow each other: where codes are sent
    as updates of earlier ones, each camera needs an `EdgeSession` of its own.

    Args:
        cameras: Of different names, not started yet.

    Raises:
        ValueError: There is none, or two have one name.
    """

    def __init__(self, cameras: Sequence[Camera]):
        names = [camera.name for camera in cameras]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"expected cameras of different names, found {names}")
        self.cameras = tuple(cameras)
        self._turns = list(cameras)

    def __enter__(self) -> CameraGroup:
        try:
            for camera in self.cameras:
                camera.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, CameraCounts]:
        """By the camera's name, what became of its frames and windows until now."""
        return {camera.name: camera.counts for camera in self.cameras}

    def close(self) -> None:
        """Close all cameras; safe at any time."""
        for camera in self.cameras:
            camera.close()

    def windows(self) -> Iterator[Window]:
        """The newest window of one camera after the other, until all are closed."""
        return iter(self.wait, None)

    def wait(self, timeout_s: float | None = None) -> Window | None:
        """The next window, once there is one; None after `timeout_s`, and when all cameras are closed."""
        with CHANGED:
            CHANGED.wait_for(self._is_ready, timeout_s)
            for camera in self._turns:
                window = camera.take()
                if window is not None:
                    self._turns.remove(camera)
                    self._turns.append(camera)
                    return window
        return None

    def _is_ready(self) -> bool:
        return any(camera.has_window for camera in self.cameras) or not any(
            camera.is_open for camera in self.cameras
        )
