"""Small models with a tokenizer of their own."""

from __future__ import annotations

import copy

import pytest
import torch

from approxbit import zoo
from approxbit.backbones.vlm import llava_onevision_small, video_llava_small
from approxbit.tasks import QuestionAnswering

pytest.importorskip("transformers")

WORDS = ["what", "is", "there", "a", "cat"]
SMALL = {"words": WORDS, "width": 16, "vision_layers": 2, "text_layers": 2, "num_heads": 2, "num_frames": 2}
BUILDERS = {"llava_onevision_small": llava_onevision_small, "video_llava_small": video_llava_small}


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_family_is_whole_by_its_card(builder, tmp_path):
    torch.manual_seed(0)
    backbone = BUILDERS[builder](**SMALL)
    zoo.save_backbone(tmp_path / "mine", backbone, builder, SMALL, QuestionAnswering(("what",)))
    again = zoo.load_backbone("mine", tmp_path)
    clips = torch.rand(2, *backbone.clip_shape)
    visual = again(again.normalise(clips))
    assert visual.shape[1] == again.num_visual_tokens()
    asked = [["what is there?", "is there a cat"], ["what is there"]]
    with torch.no_grad():
        assert again.ask(visual, asked) == backbone.ask(backbone(backbone.normalise(clips)), asked)
        assert copy.deepcopy(again).ask(visual, asked) == again.ask(visual, asked)
    with pytest.raises(ValueError, match="expected questions about 2 clips, found 1"):
        again.ask(visual, asked[:1])


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_model_of_default_size_is_small(builder):
    with torch.device("meta"):
        backbone = zoo.build_backbone(builder, {"words": WORDS})
    assert sum(4 * each.numel() for each in backbone.state_dict().values()) < 15e6
    assert backbone.num_visual_tokens() < 300


def test_places_are_the_visual_tokens_that_stand_for_one():
    one, other = llava_onevision_small(**SMALL), video_llava_small(**SMALL)
    tokens = torch.arange(one.num_visual_tokens()).float().view(1, -1, 1)
    assert one.places(tokens).flatten().tolist() == list(range(2 * 4 * 4))
    tokens = torch.arange(other.num_visual_tokens()).float().view(1, -1, 1)
    assert other.places(tokens).flatten().tolist() == [*range(1, 17), *range(18, 34)]


def test_a_model_without_a_tokenizer_is_not_asked(backbone):
    with pytest.raises(ValueError, match=r"expected a model with a tokenizer; others are asked by .*Asker"):
        backbone.ask(torch.zeros(1, 1, 1), [["what"]])
