"""Which frames of a video become the clip: rules `(num_video_frames, num_frames) -> indices`. Numpy only.

Every rule accepts videos that are shorter than the clip and then repeats frames, as SlowFast does for the
many Something-Something-v2 videos of fewer than 32 frames. Indices never decrease.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

VLM_NUM_FRAMES = 8
"""Frames that Video-LLaVA looks at for one question."""

IndexRule = Callable[[int, int], np.ndarray]


def _segment_bounds(num_video_frames: int, num_frames: int) -> np.ndarray:
    """First frames of `num_frames` equal segments and the end of the last one: round(i * (N - 1) / n)."""
    if num_video_frames < 1 or num_frames < 1:
        raise ValueError(
            f"a clip needs at least one frame and so does its video, found num_frames={num_frames} "
            f"and num_video_frames={num_video_frames}"
        )
    segment = (num_video_frames - 1) / num_frames
    bounds: np.ndarray = np.rint(segment * np.arange(num_frames + 1)).astype(np.int64)
    return bounds


def segment_centres(num_video_frames: int, num_frames: int) -> np.ndarray:
    """Centre of each of `num_frames` equal segments: the Something-Something-v2 test rule of SlowFast.

    With segment = (N - 1) / n, frame i is (round(i * segment) + round((i + 1) * segment)) // 2.

    Args:
        num_video_frames: Frames of the video (N), at least 1.
        num_frames: Frames of the clip (n), at least 1.

    Returns:
        int64 `[num_frames]`.

    Raises:
        ValueError: A count is below 1.

    Example:
        >>> segment_centres(17, 4)
        array([ 2,  6, 10, 14])
        >>> segment_centres(3, 4)
        array([0, 0, 1, 2])
    """
    bounds = _segment_bounds(num_video_frames, num_frames)
    centres: np.ndarray = (bounds[:-1] + bounds[1:]) // 2
    return centres


def uniform_indices(num_video_frames: int, num_frames: int) -> np.ndarray:
    """The default rule: a video of exactly `num_frames` frames as it is, any other by `segment_centres`.

    Ours differs from SlowFast in this one case, where its rule would repeat a frame and lose the last one.

    Example:
        >>> uniform_indices(4, 4), segment_centres(4, 4)
        (array([0, 1, 2, 3]), array([0, 1, 2, 2]))
        >>> uniform_indices(17, 4)
        array([ 2,  6, 10, 14])
    """
    if num_video_frames == num_frames:
        _segment_bounds(num_video_frames, num_frames)
        return np.arange(num_frames, dtype=np.int64)
    return segment_centres(num_video_frames, num_frames)


def segment_starts_and_half(num_video_frames: int, num_frames: int) -> np.ndarray:
    """mmaction2's variant of `segment_centres`: round(i * segment) + floor(segment / 2).

    The two differ by at most one frame.

    Example:
        >>> segment_starts_and_half(17, 4)
        array([ 2,  6, 10, 14])
        >>> segment_starts_and_half(12, 4), segment_centres(12, 4)
        (array([1, 4, 7, 9]), array([1, 4, 7, 9]))
        >>> segment_starts_and_half(7, 4), segment_centres(7, 4)
        (array([0, 2, 3, 4]), array([1, 2, 3, 5]))
    """
    bounds = _segment_bounds(num_video_frames, num_frames)
    half = int((num_video_frames - 1) / num_frames / 2)
    return bounds[:-1] + half


def random_in_segments(
    num_video_frames: int, num_frames: int, generator: np.random.Generator | None = None
) -> np.ndarray:
    """One random frame of each segment, both ends included: SlowFast's training rule.

    Args:
        num_video_frames: Frames of the video, at least 1.
        num_frames: Frames of the clip, at least 1.
        generator: Source of randomness; numpy's global one by default, which Lightning's `seed_everything`
            and torch's loader workers seed.

    Example:
        >>> random_in_segments(17, 4, np.random.default_rng(0))
        array([ 4,  7, 10, 13])
    """
    bounds = _segment_bounds(num_video_frames, num_frames)
    if generator is None:
        return np.random.randint(bounds[:-1], bounds[1:] + 1)
    return generator.integers(bounds[:-1], bounds[1:], endpoint=True)


def evenly_spaced(num_video_frames: int, num_frames: int) -> np.ndarray:
    """`num_frames` indices from the first to the last frame, rounded down: Video-LLaVA's rule.

    Example:
        >>> evenly_spaced(17, 4)
        array([ 0,  5, 10, 16])
        >>> evenly_spaced(2, 4)
        array([0, 0, 0, 1])
    """
    _segment_bounds(num_video_frames, num_frames)
    return np.linspace(0, num_video_frames - 1, num_frames).astype(np.int64)
