"""Several clips of each long video, for those who have pytorchvideo: its clip samplers and its data set.

pytorchvideo decides where the clips lie and in which order videos come. Decoding stays with
`approxbit.video.reader`, because pytorchvideo's own loads whole files into memory and drops bad ones without
a word; transforms are ours. The extra `pytorchvideo` installs it. Version 0.1.5, its last, works beside
torchvision 0.29 as far as `pytorchvideo.data` and `pytorchvideo.models` go; `pytorchvideo.transforms` needs a
torchvision before 0.17, and nothing here imports it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, RandomSampler, SequentialSampler

from approxbit.errors import VideoError
from approxbit.files import PathLike
from approxbit.video.reader import read_clip, video_info


def labeled_video_dataset(
    samples: Sequence[tuple[PathLike, int]],
    clip_sampler: Any,
    num_frames: int,
    transform: Callable[[Any], Tensor] = torch.as_tensor,
    on_error: str = "raise",
    shuffle: bool = False,
) -> IterableDataset[dict[str, Any]]:
    """The clips of several long videos: a `LabeledVideoDataset` with our decoder and transforms.

    Args:
        samples: (path, class index) of each video; a `Listing` is one.
        clip_sampler: From `make_clip_sampler`: where the clips of a video lie.
        num_frames: Frames of a clip, sampled uniformly over its window.
        transform: Takes the frames, uint8 `[num_frames, height, width, 3]`, and gives the clip.
        on_error: `"raise"`, or `"skip"`, which warns of each bad video and goes on with the next;
            pytorchvideo gives up with a RuntimeError after ten bad ones in a row.
        shuffle: Another order of the videos in each epoch.

    Returns:
        Yields dictionaries: `video` (the clip), `label`, `video_name`, `video_index`, `clip_index`,
        `aug_index`. Loader workers share the videos among themselves.

    Raises:
        ValueError: `on_error` is neither `"raise"` nor `"skip"`.
        ImportError: pytorchvideo is not installed, or does not fit what is.

    Example:
        >>> sampler = make_clip_sampler("constant_clips_per_video", 2.0, 4)
        >>> dataset = labeled_video_dataset([("a.mp4", 0), ("b.mp4", 1)], sampler, num_frames=16)
        >>> dataset.num_videos
        2
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', found {on_error!r}")
    dataset = _pytorchvideo().LabeledVideoDataset(
        [(os.fspath(path), {"label": label}) for path, label in samples],
        clip_sampler,
        RandomSampler if shuffle else SequentialSampler,
        _OnVideo(transform),
        decode_audio=False,
    )
    dataset.video_path_handler = _VideoOpener(num_frames, skips=on_error == "skip")
    videos: IterableDataset[dict[str, Any]] = dataset
    return videos


def make_clip_sampler(kind: str, *args: Any) -> Any:
    """One of pytorchvideo's clip samplers.

    Args:
        kind: `"uniform"` (clip seconds[, stride seconds]), `"random"` (clip seconds) or
            `"constant_clips_per_video"` (clip seconds, clips).
        args: The arguments of that sampler.

    Raises:
        ValueError: Another kind.
        ImportError: pytorchvideo is not installed, or does not fit what is.
    """
    kinds = ("uniform", "random", "constant_clips_per_video")
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}, found {kind!r}")
    return _pytorchvideo().make_clip_sampler(kind, *args)


def _pytorchvideo() -> Any:
    try:
        with warnings.catch_warnings():
            # Its frame_video.py holds "\d" in a plain string, which Python reports while compiling it.
            warnings.filterwarnings("ignore", message=r".*invalid escape sequence")
            import pytorchvideo.data
    except ImportError as error:
        raise ImportError(
            "clip samplers need pytorchvideo 0.1.5: pip install 'approxbit[pytorchvideo]' "
            f"(its import says: {error})"
        ) from error
    return pytorchvideo.data


class _OnVideo:
    """Applies a transform to the frames in pytorchvideo's dictionary."""

    def __init__(self, transform: Callable[[Any], Tensor]):
        self.transform = transform

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "video": self.transform(sample["video"])}


class _Video:
    """A video as pytorchvideo's `Video` interface wants it, read with `read_clip`."""

    def __init__(self, path: str, opener: _VideoOpener):
        self.path = path
        self.name = os.path.basename(path)
        self.opener = opener

    @cached_property
    def duration(self) -> float:
        duration_s = video_info(self.path).duration_s
        if duration_s is None:
            raise VideoError(f"{self.path}: expected a video with times, found none")
        return duration_s

    def get_clip(self, start_sec: float, end_sec: float) -> dict[str, Any]:
        try:
            frames = read_clip(self.path, self.opener.num_frames, float(start_sec), float(end_sec))
        except VideoError as error:
            if not self.opener.skips:
                raise
            self.opener.report(self.path, error)
            frames = None  # tells pytorchvideo to go on with the next video
        return {"video": frames, "audio": None}

    def close(self) -> None:
        """Nothing stays open between clips."""


class _VideoOpener:
    """Stands in for pytorchvideo's `VideoPathHandler`, which hides why a video fails.

    pytorchvideo swallows what is raised here and goes on with the next video, so bad files fail here when
    they are to be skipped; otherwise they fail later, when their duration is asked for, and that does reach
    the caller.
    """

    def __init__(self, num_frames: int, skips: bool):
        self.num_frames = num_frames
        self.skips = skips
        self.skipped: set[str] = set()

    def video_from_path(self, path: str, **options: Any) -> _Video:
        video = _Video(path, self)
        if self.skips:
            try:
                _ = video.duration
            except VideoError as error:
                self.report(path, error)
                raise
        return video

    def report(self, path: str, error: VideoError) -> None:
        """Warn of a bad video, once for each file."""
        if path not in self.skipped:
            self.skipped.add(path)
            warnings.warn(f"skipped a video ({len(self.skipped)} so far): {error}", stacklevel=2)
