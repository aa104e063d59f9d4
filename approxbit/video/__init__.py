"""Files and cameras -> frames -> clips."""

from approxbit.video.preprocess import preprocess
from approxbit.video.reader import read_clip, read_windows, video_info
from approxbit.video.writer import write_video

__all__ = ["preprocess", "read_clip", "read_windows", "video_info", "write_video"]
