"""Questions that come after the code."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones import VideoQuestionModel, movinet_small
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.engines.questions import IN_WORDS
from approxbit.offload import OffloadedModel
from approxbit.tasks import QuestionAnswering
from approxbit.wire import Request, Text, Tokens

SHAPE = (3, 4, 16, 16)


@pytest.fixture(scope="module")
def model() -> OffloadedModel:
    torch.manual_seed(0)
    backbone = VideoQuestionModel(
        ("what", "is", "there"),
        ("yes", "no", "a seven"),
        *(16, 2),
        clip_shape=SHAPE,
        width=16,
        num_layers=3,
        num_local=1,
        num_heads=2,
    )
    for parameter in backbone.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    codec = Codec(backbone.feature_shape("L1"), Configuration.parse("8-NoEnc-L1"))
    return OffloadedModel(backbone.eval(), codec.eval(), QuestionAnswering())


def test_one_code_answers_many_questions_that_came_later(model: OffloadedModel) -> None:
    code = model.encode(torch.rand(2, *SHAPE))
    asked = [["what is there", "is there what"], ["is there"]]
    found = model.ask(code, asked)
    with torch.no_grad():
        visual = model.backbone.server_half("L1")(model.codec.decode(code))
    assert found == model.backbone.ask(visual, asked)
    assert [len(each) for each in found] == [2, 1]


def test_the_server_half_runs_once_for_all_questions(
    model: OffloadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = model.server_half.forward
    monkeypatch.setattr(model.server_half, "forward", lambda feature: calls.append(1) or forward(feature))
    model.ask(model.encode(torch.rand(1, *SHAPE)), [["what is there"] * 5])
    assert len(calls) == 1


def test_a_classifier_answers_no_questions() -> None:
    backbone = movinet_small(num_classes=3, clip_shape=(3, 4, 32, 32)).eval()
    codec = Codec(backbone.feature_shape("B3"), Configuration.parse("8-Enc-B3")).eval()
    offloaded = OffloadedModel(backbone, codec)
    code = offloaded.encode(torch.rand(1, 3, 4, 32, 32))
    with pytest.raises(ValueError, match="expected a backbone that answers questions, such as VideoQuest"):
        offloaded.ask(code, [["what is there"]])


def test_a_single_question_about_a_single_clip_has_a_single_answer(model: OffloadedModel) -> None:
    code = model.encode(torch.rand(1, *SHAPE))
    assert [[model.ask(code, "what is there")]] == model.ask(code, [["what is there"]])
    with pytest.raises(ValueError, match="expected questions about 2 clips, found 1"):
        model.ask(model.encode(torch.rand(2, *SHAPE)), "what is there")
    with pytest.raises(ValueError, match=r"a list of questions for each clip, .* found \['what', 'is'\]"):
        model.ask(code, ["what", "is"])


def test_a_packet_with_a_question_is_answered_in_words(model: OffloadedModel) -> None:
    clip = torch.rand(1, *SHAPE)
    packet = model.encode_packet(clip, 5, Request(Text("what is there"), IN_WORDS))
    answer = model.answer_packet(packet)
    assert (answer.sequence, answer.content) == (5, Text(model.ask(model.encode(clip), "what is there")))
    assert model.answer_packet(model.encode_packet(clip, 5, Request(wanted=IN_WORDS))).content == Text("")
    with pytest.raises(ValueError, match="expected a question in words, found one of token ids"):
        model.answer_packet(model.encode_packet(clip, 5, Request(Tokens((1,)), IN_WORDS)))
    with pytest.raises(ValueError, match="answer questions, expected TEXT to be wanted, found TOP_K"):
        model.answer_packet(model.encode_packet(clip))
