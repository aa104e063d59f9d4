"""Both families, cut at every point, against transformers' own model given pixels."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.backbones.vlm.video_llava import video_llava

NEW_TOKENS = 10


def pixels_of(clip):
    return clip.transpose(1, 2).contiguous()


@torch.no_grad()
def test_the_halves_together_are_the_whole_bit_for_bit(backbone, tiny):
    for num_frames in (3, 1, 4):
        clip_shape = (3, num_frames, *backbone.clip_shape[2:])
        clip = torch.randn(2, *clip_shape, generator=torch.Generator().manual_seed(num_frames))
        visual = backbone(clip)
        assert visual.shape == (2, backbone.num_visual_tokens(num_frames), 48)
        for point in backbone.offload_points:
            feature = backbone.edge_half(point)(clip)
            assert feature.grid.shape == (2, *backbone.feature_shape(point, clip_shape))
            assert torch.equal(backbone.server_half(point)(feature), visual), point


@torch.no_grad()
def test_visual_embeddings_are_those_of_transformers(backbone, tiny):
    clip = tiny.clips_of(backbone)
    theirs = backbone.model.model.get_video_features(pixel_values_videos=pixels_of(clip)).pooler_output
    ours = backbone(clip)
    assert torch.equal(ours, theirs.reshape(ours.shape))


@pytest.mark.parametrize(
    "search", [{}, {"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2}], ids=["greedy", "3", "4x2"]
)
def test_answers_are_those_of_the_unsplit_model(backbone, tiny, search):
    clip, questions = tiny.clips_of(backbone), tiny.questions_of(backbone)
    arguments = {"max_new_tokens": NEW_TOKENS, "do_sample": False, **search}
    theirs = backbone.model.generate(input_ids=questions, pixel_values_videos=pixels_of(clip), **arguments)
    assert len(theirs[:, -NEW_TOKENS:].unique()) > 2  # of all together: which ones depends on the processor
    for point in backbone.offload_points if not search else backbone.offload_points[:1]:
        with torch.no_grad():
            visual = backbone.server_half(point)(backbone.edge_half(point)(clip))
        assert torch.equal(backbone.generate(visual, questions, **arguments), theirs), point
    exchanged = backbone.generate(visual.roll(1, dims=0), questions, **arguments)
    assert not torch.equal(exchanged, theirs)


def test_questions_padded_on_the_left_are_answered_alike(backbone, tiny):
    clip, questions = tiny.clips_of(backbone), tiny.questions_of(backbone)
    questions = torch.nn.functional.pad(questions, (2, 0), value=0)
    mask = (questions != 0).long()
    mask[1, :2] = 1  # the second question is two tokens longer
    questions[1, :2] = 5
    arguments = {"attention_mask": mask, "max_new_tokens": NEW_TOKENS, "do_sample": False}
    theirs = backbone.model.generate(input_ids=questions, pixel_values_videos=pixels_of(clip), **arguments)
    with torch.no_grad():
        visual = backbone(clip)
    assert torch.equal(backbone.generate(visual, questions, **arguments), theirs)


@torch.no_grad()
def test_logits_are_those_of_the_unsplit_model(backbone, tiny):
    clip, questions = tiny.clips_of(backbone), tiny.questions_of(backbone)
    theirs = backbone.model(input_ids=questions, pixel_values_videos=pixels_of(clip)).logits
    assert torch.equal(backbone.logits(backbone(clip), questions), theirs)
    last = backbone.logits(backbone(clip), questions, logits_to_keep=1)
    assert torch.allclose(last, theirs[:, -1:], atol=1e-4)


@torch.no_grad()
def test_the_answer_depends_on_every_class_token(tiny):
    backbone = tiny.build("video_llava")
    feature = backbone.edge_half("L1")(tiny.clips_of(backbone))
    visual = backbone.server_half("L1")(feature)
    for frame in range(3):
        tokens = feature.tokens.clone()
        tokens[:, frame] = 0
        changed = backbone.server_half("L1")(Feature(feature.grid, tokens)) != visual
        assert changed.reshape(2, 3, -1).any(dim=2).tolist() == [[frame == i for i in range(3)]] * 2


@torch.no_grad()
def test_no_frame_of_these_towers_sees_another(backbone, tiny):
    assert not backbone.tower.mixes_frames
    clip = tiny.clips_of(backbone)
    other = clip.clone()
    other[:, :, 1] = 0
    for point in backbone.offload_points:
        whole, changed = backbone.edge_half(point)(clip), backbone.edge_half(point)(other)
        same = (whole.grid == changed.grid).flatten(3).all(dim=3).all(dim=1)
        assert same.tolist() == [[True, False, True]] * 2


def test_halves_share_their_parameters_with_the_whole(backbone):
    whole = {id(parameter) for parameter in backbone.parameters()}
    halves = [*backbone.edge_half("L2").parameters(), *backbone.server_half("L2").parameters()]
    assert {id(parameter) for parameter in halves} < whole
    assert len({id(parameter) for parameter in halves}) == len(halves)


def test_the_state_dict_is_that_of_transformers(backbone):
    theirs = {f"model.{name}" for name in backbone.model.state_dict()}
    assert set(backbone.state_dict()) == theirs


def test_layers_beyond_the_one_that_is_used_are_no_offload_points(tiny):
    config = tiny.video_llava_config()
    assert (config.vision_config.num_hidden_layers, config.vision_feature_layer) == (4, -2)
    assert tiny.build("video_llava").offload_points == ("L1", "L2", "L3")
    config.vision_feature_layer = 2
    assert video_llava(config).offload_points == ("L1", "L2")


def test_several_feature_layers_are_refused(tiny):
    config = tiny.video_llava_config()
    config.vision_feature_layer = [-2, -1]
    with pytest.raises(ValueError, match=r"expected one vision_feature_layer, found \[-2, -1\]"):
        video_llava(config)


def test_the_configuration_of_another_family_is_refused(tiny):
    with pytest.raises(ValueError, match="expected a configuration of video_llava, found llava_onevision"):
        video_llava(tiny.llava_onevision_config())


def test_a_type_for_random_weights_can_be_chosen(tiny):
    backbone = video_llava(tiny.video_llava_config(), dtype=torch.float16)
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float16}
    assert not backbone.training


def test_placeholders_that_do_not_fit_are_refused(backbone, tiny):
    visual = torch.zeros(2, backbone.num_visual_tokens(), 48)
    questions = tiny.questions_of(backbone)
    questions[1, 1] = 3  # one placeholder fewer in the second row
    number = backbone.num_visual_tokens()
    pattern = rf"placeholder 63 once .* \[{number}, {number}\], found \[{number}, {number - 1}\]"
    for use in (backbone.generate, backbone.logits):
        with pytest.raises(ValueError, match=pattern):
            use(visual, questions)


def test_clips_of_another_size_are_refused(backbone):
    clip = torch.zeros(1, 3, 2, 16, 16)
    for take in (backbone, backbone.edge_half("L1")):
        with pytest.raises(ValueError, match=r"takes clips .* found \(2, 16, 16\)"):
            take(clip)
    with pytest.raises(ValueError, match="takes clips"):
        backbone.feature_shape("L1", (3, 2, 16, 16))


@pytest.mark.parametrize("method", ["feature_shape", "num_tokens", "edge_half", "server_half"])
@pytest.mark.parametrize("point", ["L0", "L4", "B1", ""])
def test_unknown_offload_points_are_refused(backbone, method, point):
    with pytest.raises(ValueError, match=rf"has the offload points L1, L2, L3, found '{point}'"):
        getattr(backbone, method)(point)
