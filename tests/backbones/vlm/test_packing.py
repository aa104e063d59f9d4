"""Packed questions, compared with one question at a time by transformers itself."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones.vlm import llava_onevision_small, video_llava_small
from approxbit.backbones.vlm.packing import answered, attention, pack, read_packed

pytest.importorskip("transformers")

WORDS = [
    "what",
    "which",
    "digit",
    "is",
    "the",
    "red",
    "blue",
    "seven",
    "five",
    "two",
    "moves",
    "left",
    "grows",
]
WORDS += ["does", "do", "describe", ",", "."]
SMALL = {"width": 32, "vision_layers": 3, "text_layers": 3, "num_heads": 2, "frame_size": 32, "num_frames": 3}
BUILDERS = {"llava_onevision": llava_onevision_small, "video_llava": video_llava_small}
ASKED = [
    [
        ("what is the red digit?", "seven"),
        ("describe", "the red seven moves left, the blue five grows. the red seven moves left."),
        *[(f"which digit {action}?", "the blue five") for action in ("moves left", "grows")],
        *[(f"what does the {name} do", "moves left") for name in ("seven", "red digit", "red seven", "five")]
        * 3,
    ],
    [("which digit moves left", "two")],
    [],
]


@pytest.fixture(scope="module")
def speaker(family):
    """A small model with its tokenizer, whose greedy answers are of several words."""
    torch.manual_seed(4)
    backbone = BUILDERS[family](WORDS, **SMALL, patch=8)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.ndim > 1 and "norm" not in name:
                parameter.mul_(1.5)
        backbone.model.lm_head.weight[backbone.visual_token_id] = 0.0  # which is no word to say
    backbone.asker.max_new_tokens = 8
    return backbone.requires_grad_(False)


@pytest.fixture(scope="module")
def visual(speaker, tiny):
    return speaker(speaker.normalise(tiny.clips_of(speaker, 3)))


def order(packed):
    """Clip and question of each block, in the order of their logits."""
    clips = range(len(packed.questions))
    blocks = [
        (clip, number)
        for clip in clips
        for row in packed.questions[clip].tolist()
        for number in dict.fromkeys(row)
        if number >= 0
    ]
    assert sorted(blocks) == [
        (clip, number) for clip, about in enumerate(ASKED) for number in range(len(about))
    ]
    return blocks


def test_packed_logits_are_those_of_one_question_at_a_time(speaker, visual):
    packed = pack(speaker.asker, ASKED)
    assert packed.tokens.shape[1] > 1  # or there would be no rows to keep apart
    logits = read_packed(speaker, visual, packed).logits
    start = 0
    for clip, number in order(packed):
        question, answer = ASKED[clip][number]
        tokens = speaker.asker.answer_tokens(answer)
        ids = torch.cat((speaker.asker.input_ids(question, visual.shape[1]), torch.tensor([tokens])), dim=1)
        expected = speaker.logits(visual[clip : clip + 1], ids)[0, -len(tokens) - 1 : -1]
        torch.testing.assert_close(logits[start : start + len(tokens)], expected, atol=1e-4, rtol=0)
        start += len(tokens)
    assert start == len(logits)


def test_a_greedy_answer_is_the_likeliest_word_after_each_given_one(speaker, visual):
    questions = [[question for question, _ in about] for about in ASKED]
    said = [speaker.asker.answers(visual[clip : clip + 1], about) for clip, about in enumerate(questions)]
    for clip, about in enumerate(questions):
        for question, answer in zip(about, said[clip], strict=True):
            ids = speaker.asker.input_ids(question, visual.shape[1])
            alone = speaker.generate(
                visual[clip : clip + 1],
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=8,
                do_sample=False,
                eos_token_id=speaker.asker.tokenizer.eos_token_id,
            )[0, ids.shape[1] :]
            assert alone.tolist() == list(answer.tokens)
            forced = speaker.asker.log_probabilities(visual[clip : clip + 1], question, answer.tokens)
            assert forced.argmax(dim=-1).tolist() == list(answer.tokens)


def test_an_answer_is_right_where_the_greedy_one_is_the_same_word_for_word(speaker, visual):
    packed = pack(speaker.asker, ASKED)
    output = read_packed(speaker, visual, packed)
    assert not answered(output, packed).all()
    targets = packed.targets[packed.targets >= 0]
    output.logits[torch.arange(len(targets)), targets] += 1e3  # as if all were learned
    assert answered(output, packed).all()
    clip, number = order(packed)[1]
    start = len(speaker.asker.answer_tokens(ASKED[0][order(packed)[0][1]][1]))
    output.logits[start, targets[start]] -= 2e3
    right = answered(output, packed)
    assert not right[clip, number]
    assert right.sum() == right.numel() - 1


def test_the_split_model_is_the_whole_one_bit_for_bit(speaker, visual, tiny):
    clips = speaker.normalise(tiny.clips_of(speaker, 3))
    packed = pack(speaker.asker, ASKED)
    whole = read_packed(speaker, visual, packed).logits
    for point in speaker.offload_points:
        split = speaker.server_half(point)(speaker.edge_half(point)(clips))
        assert torch.equal(split, visual)
        assert torch.equal(read_packed(speaker, split, packed).logits, whole)


def test_the_fastest_attention_of_a_tower_is_attention(speaker, tiny):
    clips = speaker.normalise(tiny.clips_of(speaker, 1))
    tower = speaker.tower.module
    expected = speaker(clips)
    kinds = {part.config._attn_implementation for part in tower.modules() if hasattr(part, "config")}
    with attention(tower):
        found = speaker(clips)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert {p.config._attn_implementation for p in tower.modules() if hasattr(p, "config")} == kinds


def test_the_first_layer_shows_where_its_words_look(speaker, visual):
    """By transformers' own weights of attention, of one question."""
    [[(question, _)]] = asked = [ASKED[0][:1]]
    packed = pack(speaker.asker, asked)
    looks = read_packed(speaker, visual[:1], packed).looks
    assert looks.shape == (1, 1, packed.tokens.shape[2], visual.shape[1])
    num_before = len(speaker.asker.opening)
    ids = speaker.asker.input_ids(question, visual.shape[1])
    with attention(speaker.model.model.language_model, "eager"):
        out = speaker.model(
            **speaker._inputs(visual[:1], ids), use_cache=False, output_attentions=True
        ).attentions[0][0, 0]
    num_words = ids.shape[1] - num_before - visual.shape[1]
    at_clip = out[-num_words:, num_before : num_before + visual.shape[1]]
    expected = at_clip / at_clip.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(looks[0, 0, :num_words].softmax(dim=-1), expected, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_packed_is_refused(speaker):
    with pytest.raises(ValueError, match="expected questions to pack, found none"):
        pack(speaker.asker, [[], []])
    with pytest.raises(ValueError, match="expected answers in words that the model knows, found 'a zebra'"):
        pack(speaker.asker, [[("what", "a zebra")]])
