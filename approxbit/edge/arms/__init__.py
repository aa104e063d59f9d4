"""The device's halves of all ways to answer a clip; one file each."""

from approxbit.edge.arms.arm import EdgeArm, Encoded
from approxbit.edge.arms.codes import CodesArm
from approxbit.edge.arms.compressed_video import CompressedVideoArm, compressed_video_arms
from approxbit.edge.arms.edge_only import EdgeOnlyArm, EdgeOnlyQuestionsArm
from approxbit.edge.arms.raw_clip import RawClipArm

__all__ = [
    "CodesArm",
    "CompressedVideoArm",
    "EdgeArm",
    "EdgeOnlyArm",
    "EdgeOnlyQuestionsArm",
    "Encoded",
    "RawClipArm",
    "compressed_video_arms",
]
