"""Questions about visual tokens: words, masks, and answers that follow clip and question."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones import VideoQuestionModel
from approxbit.backbones.question_head import QuestionHead

SHAPE = (3, 2, 16, 16)
WORDS = ("what", "is", "red", "blue", "there")
ANSWERS = ("yes", "no", "a seven")


@pytest.fixture(scope="module")
def model() -> VideoQuestionModel:
    torch.manual_seed(0)
    built = VideoQuestionModel(
        WORDS, ANSWERS, head_width=16, head_layers=2, clip_shape=SHAPE, width=16, num_layers=2, num_heads=2
    )
    for parameter in built.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return built.eval()


def test_words_become_numbers_and_unknown_ones_the_same(model: VideoQuestionModel) -> None:
    assert model.head.encode(["What is red?", "is, mauve THERE"]) == [[2, 3, 4], [3, 1, 6]]
    filled = model.head.to_tensor([["what is red", "is there"], ["what"]])
    assert filled.tolist() == [[[2, 3, 4], [3, 6, 0]], [[2, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize("question", ["", "  ? ", " ".join(["is"] * 21)])
def test_a_question_without_words_or_with_too_many_is_refused(
    model: VideoQuestionModel, question: str
) -> None:
    with pytest.raises(ValueError, match="expected a question of 1 to 20 words, found"):
        model.head.encode([question])


@torch.no_grad()
def test_a_question_is_answered_alike_alone_and_among_others(model: VideoQuestionModel) -> None:
    visual = model(torch.randn(2, *SHAPE))
    asked = [["what is there", "is red there"], ["is blue there what is red"]]
    together = model.answer_logits(visual, model.head.to_tensor(asked))
    for clip, questions in enumerate(asked):
        for number, question in enumerate(questions):
            alone = model.answer_logits(visual[clip : clip + 1], model.head.to_tensor([[question]]))
            torch.testing.assert_close(together[clip, number], alone[0, 0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_answers_follow_the_clip_and_the_question(model: VideoQuestionModel) -> None:
    visual = model(torch.randn(2, *SHAPE))
    questions = model.head.to_tensor([["is red there", "is there red", "is blue there"]] * 2)
    logits = model.answer_logits(visual, questions)
    for one, other in ((logits[0], logits[1]), (logits[:, 0], logits[:, 1]), (logits[:, 0], logits[:, 2])):
        assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_ask_gives_words_for_each_question_of_each_clip(model: VideoQuestionModel) -> None:
    visual = model(torch.randn(3, *SHAPE))
    found = model.ask(visual, [["is red there", "what is blue"], [], ["what"]])
    assert [len(each) for each in found] == [2, 0, 1]
    assert all(answer in ANSWERS for each in found for answer in each)
    assert model.ask(visual, [[], [], []]) == [[], [], []]
    with pytest.raises(ValueError, match="questions about 3 clips, found 1"):
        model.ask(visual, [["what"]])


@torch.no_grad()
def test_squares_of_tokens_become_one_in_their_order() -> None:
    head = QuestionHead(WORDS, ANSWERS, visual_width=1, grid=(2, 2, 4), width=16, num_layers=1, merge=2)
    visual = torch.arange(16.0).reshape(1, 16, 1)
    assert head.merged(visual).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]]
    assert head(visual, head.to_tensor([["is red there"]])).shape == (1, 1, 3)
    with pytest.raises(ValueError, match=r"whole squares of 2 x 2 tokens, found \(2, 2, 3\)"):
        QuestionHead(WORDS, ANSWERS, visual_width=1, grid=(2, 2, 3), merge=2)
