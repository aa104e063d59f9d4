"""What is said of clips that a backbone does not take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from random_clips import RandomClips

from approxbit.datasets.check import fit_source, match_source
from approxbit.tasks import Classification, QuestionAnswering

TOYS = Classification.of_names("abc", "toys")


def backbone(**changes: Any) -> Any:
    facts = {"clip_shape": (3, 4, 32, 32), "num_classes": 3, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return SimpleNamespace(**{**facts, **changes})


def test_clips_of_the_backbone_pass_and_name_its_classes() -> None:
    source = RandomClips(TOYS)
    found, task = match_source(source, "train", Classification.of_names(), backbone())
    assert task == TOYS
    assert (found.num_frames, found.size) == (4, 32)
    assert source.num_frames is None


@pytest.mark.parametrize(
    ("source", "of_backbone", "cure"),
    [
        (RandomClips(TOYS), {"num_classes": 600}, "found 3 in noise: build the backbone with num_classes=3"),
        (RandomClips(TOYS), {"clip_shape": (3, 50, 224, 224)}, "leave num_frames and size of the source out"),
        (
            RandomClips(TOYS),
            {"clip_shape": (3, 4, 32, 64)},
            "so write a source of your own",
        ),
        (RandomClips(TOYS, (1, 4, 32, 32)), {}, r"a source gives \[3, time, height, width\]"),
        (RandomClips(TOYS, scale=255), {}, "float32 from .* in noise: divide them by 255"),
        (RandomClips(TOYS, scale=-2), {}, "leave the normalisation out"),
        (RandomClips(TOYS), {"mean": (123.7, 116.3, 103.5)}, "divide both by 255"),
        (RandomClips(TOYS), {"std": (1.0, 0.0, 1.0)}, "give those that the model was trained with"),
        (RandomClips(QuestionAnswering()), {}, r"data of classification.*found noise of question"),  # type: ignore[arg-type]
        (RandomClips(TOYS, num_clips=0), {}, "expected clips in the split train of noise, found none"),
    ],
)
def test_the_cure_is_said(source: RandomClips, of_backbone: dict[str, Any], cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        match_source(source, "train", Classification.of_names(), backbone(**of_backbone))


def test_codes_of_any_clips_have_a_prior_whatever_the_task() -> None:
    source = RandomClips(TOYS)
    assert fit_source(source, "train", backbone(num_classes=0)).size == 32
