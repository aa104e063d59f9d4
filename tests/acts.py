"""A task of six acts, and a small backbone for it."""

from approxbit.tasks import Classification, LabelSet

ARGUMENTS = {"num_classes": 6, "clip_shape": (3, 4, 32, 32)}
CLASS_OF = (0, 1, 2, 0, 2, 1)
ACTS = Classification((LabelSet("acts", tuple("abcdef")), LabelSet("limbs", tuple("xyz"), CLASS_OF)))
