"""Cameras: the newest window of each, whatever any of them does.

```
from approxbit.edge import EdgeSession
from approxbit.video.cameras import Camera

session = EdgeSession(arms, transport, lut, sla, clip_format)
with Camera("rtsp://gate/stream", clip_format, frame_rate=10, stride=8) as camera:
    for window in camera.windows():
        answer = session.answer(window.frames, window.shift_frames, window.captured_s)
```

`Camera` is what the caller has, `CameraGroup` several of them. Each has a process of its own (`__main__`,
`capture`), which reads the camera (`sources`, by `ffmpeg` or `gstreamer`), chooses frames by time
(`timeline`) and writes them into shared memory (`ring`). A thread of the caller's process (`follower`) makes
windows of them and keeps that process running.
"""

from approxbit.video.cameras.camera import Camera
from approxbit.video.cameras.group import CameraGroup
from approxbit.video.cameras.policy import CameraPolicy
from approxbit.video.cameras.window import CameraCounts, Dropped, Window

__all__ = ["Camera", "CameraCounts", "CameraGroup", "CameraPolicy", "Dropped", "Window"]
