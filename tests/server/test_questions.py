"""One code, many questions: what a server keeps of clips, for whom and for how long, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from approxbit import zoo
from approxbit.edge.arms import CodesArm, CompressedVideoArm, RawClipArm
from approxbit.engines.questions import IN_WORDS, as_question, say
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.server import Service
from approxbit.server.kept import BYTES_PER_CLIP, KeptClips, Place
from approxbit.server.loading import build_service, load_service
from approxbit.server.sessions import Sessions
from approxbit.tasks import QuestionAnswering
from approxbit.wire import (
    Answer,
    AnswerKind,
    Binding,
    Hello,
    LateQuestion,
    Packet,
    Refusal,
    Reply,
    Request,
    Status,
    Text,
    Tokens,
    Wanted,
    Welcome,
    read_reply,
)
from approxbit.wire.frame import Kind, write_frame

Models = dict[str, OffloadedModel]
QUESTIONS = ("what is red", "is there red?", "how many")
NAME = "8-NoEnc-L1"


@pytest.fixture(scope="module")
def models(asked_checkpoints: Path) -> Models:
    return zoo.load_family("asked-tiny", asked_checkpoints)


@pytest.fixture
def service(models: Models) -> Service:
    return build_service(models.values(), num_threads=1)


def frames_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def expected(models: Models, seed: int, questions: Sequence[str] = QUESTIONS) -> list[str]:
    """What the model says in one process, of its code."""
    model = models[NAME]
    clip = clip_format(model.backbone).prepare(frames_of(seed))[None]
    code = model.codec.encode(model.edge_half(_tensor(clip)))
    return model.ask(code, [list(questions)])[0]


def whole_says(models: Models, seed: int, questions: Sequence[str] = QUESTIONS) -> list[str]:
    backbone: Any = models[NAME].backbone
    clip = clip_format(backbone).prepare(frames_of(seed))[None]
    return backbone.ask(backbone(_tensor(clip)), [list(questions)])[0]


def _tensor(clip: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(clip)


def greet(service: Service, models: Models, client: str = "") -> Binding:
    hello = Hello((CodesArm(models[NAME].edge_runner(1)).code_format,), IN_WORDS)
    welcome = read_reply(service.answer(hello.to_bytes(), client=client))
    assert isinstance(welcome, Welcome), welcome
    (binding,) = hello.bindings(welcome).values()
    return binding


def code_of(models: Models, seed: int, sequence: int, binding: Binding, question: str = "") -> Packet:
    request = Request(Text(question)) if question else Request()
    packet = CodesArm(models[NAME].edge_runner(1)).encode(frames_of(seed), request).packet
    assert packet is not None
    return replace(packet, sequence=sequence, binding=binding.number)


def late(
    sequence: int, back: int, question: str = "what is red", binding: Binding | None = None
) -> LateQuestion:
    wanted = None if binding is not None else IN_WORDS
    return LateQuestion(sequence, back, Request(Text(question), wanted), binding and binding.number)


def tell(service: Service, message: Packet | LateQuestion, binding: Binding, client: str = "") -> Reply:
    """The reply to a short message."""
    return read_reply(service.answer(binding.write(message), client=client), {binding.number: binding})


def words(reply: Reply) -> str:
    assert isinstance(reply, Answer), reply
    assert isinstance(reply.content, Text)
    return reply.content.value


def refusal(reply: Reply, status: Status) -> str:
    assert isinstance(reply, Refusal), reply
    assert reply.status == status, reply
    return reply.reason


def count_runs(service: Service, name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    arm: Any = service.arms[name]
    runs: list[int] = []
    run: Callable[..., Any] = arm.run
    monkeypatch.setattr(arm, "run", lambda inputs: runs.append(len(inputs)) or run(inputs))
    return runs


def test_one_code_answers_many_questions_and_is_decoded_once(
    service: Service, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, binding = count_runs(service, NAME, monkeypatch), greet(service, models)
    first = tell(service, code_of(models, 0, 7, binding, QUESTIONS[0]), binding)
    others = [tell(service, late(7 + back, back, QUESTIONS[back], binding), binding) for back in (1, 2)]
    assert [words(each) for each in (first, *others)] == expected(models, 0)
    assert len(set(expected(models, 0))) > 1  # else the test could not fail
    assert runs == [1]
    assert all(isinstance(each, Answer) and each.decode_ms == 0 < each.server_ms for each in others)


def test_a_clip_without_a_question_waits_for_some(service: Service, models: Models) -> None:
    binding = greet(service, models)
    for sequence in (0, 1):
        assert words(tell(service, code_of(models, sequence, sequence, binding), binding)) == ""
    said = [words(tell(service, late(2, 2 - seed, "how many", binding), binding)) for seed in (0, 1)]
    assert said == [expected(models, seed, ["how many"])[0] for seed in (0, 1)]


@pytest.mark.parametrize("kind", ["clip", "video"])
def test_a_clip_of_no_session_is_asked_about_over_its_own_connection(
    kind: str, service: Service, models: Models
) -> None:
    whole = clip_format(models[NAME].backbone)
    arm = RawClipArm(whole) if kind == "clip" else CompressedVideoArm(whole, "veryslow", 0)
    packet = arm.encode(frames_of(0), Request(Text("what is red"), IN_WORDS)).packet
    assert packet is not None
    first = read_reply(service.answer(replace(packet, sequence=1000).to_bytes(), client="one"))
    second = read_reply(service.answer(late(1001, 1, QUESTIONS[1]).to_bytes(), client="one"))
    assert (first.sequence, second.sequence) == (1000, 1001)
    if kind == "clip":
        assert [words(first), words(second)] == whole_says(models, 0)[:2]
    other = read_reply(service.answer(late(1001, 1).to_bytes(), client="two"))
    assert "clip 232 is not here" in refusal(other, Status.NEEDS_KEY)


def test_nobody_asks_about_the_clip_of_a_stranger(service: Service, models: Models) -> None:
    binding = greet(service, models, "one")
    tell(service, code_of(models, 0, 0, binding), binding, "one")
    spied = late(1, 1, binding=binding).to_bytes()  # bindings are no secrets
    refusal(read_reply(service.answer(spied, client="two")), Status.NEEDS_KEY)
    assert words(read_reply(service.answer(spied, client="one"))) == expected(models, 0)[0]


def test_a_binding_that_was_given_away_leads_to_nothing(models: Models) -> None:
    service = build_service(models.values(), 1)
    service.sessions = Sessions(max_sessions=1)
    binding = greet(service, models)
    tell(service, code_of(models, 0, 0, binding), binding)
    newer = greet(service, models)
    assert newer.number == binding.number
    refusal(tell(service, late(1, 1, binding=newer), newer), Status.NEEDS_KEY)
    reply = read_reply(service.answer(binding.write(late(1, 1, binding=binding))))
    refusal(reply, Status.NO_SESSION)


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(models: Models) -> None:
    service = build_service(models.values(), 1)
    service.kept = KeptClips(max_per_client=2)
    binding = greet(service, models)
    for sequence in range(3):
        tell(service, code_of(models, sequence, sequence, binding), binding)
    assert service.kept.num_clips == 2
    refusal(tell(service, late(3, 3, binding=binding), binding), Status.NEEDS_KEY)
    assert words(tell(service, late(3, 2, binding=binding), binding)) == expected(models, 1)[0]
    again = code_of(models, 0, 3, binding, "what is red")  # with its question, as the edge is told to do
    assert words(tell(service, again, binding)) == expected(models, 0)[0]
    assert words(tell(service, late(4, 1, "how many", binding), binding)) == expected(models, 0)[2]


def test_a_packet_takes_the_place_of_the_one_256_numbers_before(service: Service, models: Models) -> None:
    binding = greet(service, models)
    tell(service, code_of(models, 0, 0, binding), binding)
    bad = code_of(models, 1, 256, binding, "red " * 30)
    refusal(tell(service, bad, binding), Status.UNSUPPORTED)
    refusal(tell(service, late(257, 1, binding=binding), binding), Status.NEEDS_KEY)


TOO_MANY, NO_TEXT = "red " * 21, " \n\t"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(Text(TOO_MANY), IN_WORDS), "request: expected a question of 1 to 20 words, found 'red red"),
        (Request(Text("red " * 1024), IN_WORDS), "request: expected a question of 1 to 20 words"),
        (Request(Text(NO_TEXT), IN_WORDS), "request: expected a question in words, found ' "),
        (Request(Text("???"), IN_WORDS), "request: expected a question of 1 to 20 words, found"),
        (Request(Tokens((5,)), IN_WORDS), "request: expected a question in words, found one of token ids"),
        (Request(Text("what")), "answer questions, expected TEXT to be wanted, found TOP_K"),
        (Request(Text("what"), Wanted(AnswerKind.TOKENS, 3)), "expected TEXT to be wanted, found TOKENS"),
    ],
)
def test_a_bad_question_is_refused_with_its_reason_before_anything_is_computed(
    request_: Request, reason: str, service: Service, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(service, "clip", monkeypatch)
    packet = RawClipArm(clip_format(models[NAME].backbone)).encode(frames_of(0), request_).packet
    assert packet is not None
    assert reason in refusal(read_reply(service.answer(packet.to_bytes())), Status.UNSUPPORTED)
    question = LateQuestion(1, 1, request_)
    assert reason in refusal(read_reply(service.answer(question.to_bytes())), Status.UNSUPPORTED)
    assert runs == []
    good = replace(packet, sequence=2, request=Request(Text("what is red"), IN_WORDS))
    assert words(read_reply(service.answer(good.to_bytes()))) == whole_says(models, 0)[0]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (b"\5\2\0\0\0\3a\x1bb", "text: expected no control characters"),
        (b"\5\2\0\0\0\2\xc3\x28", "text: expected UTF-8"),
        (b"\5\2\0\0\0\0", "bytes of the question: expected 1 to 4096, found 0"),
        (b"\5\2\0\0\x10\1" + 4097 * b"a", "bytes of the question: expected 1 to 4096, found 4097"),
        (b"\x0d\2\0\0\0\1a", "request: expected 1 to 7, found 13"),
    ],
)
def test_bytes_that_are_no_question_never_stop_the_next_one(
    question: bytes, reason: str, service: Service, models: Models
) -> None:
    binding = greet(service, models)
    tell(service, code_of(models, 0, 0, binding), binding)
    forged = write_frame(Kind.QUESTION, b"\0" + binding.number.to_bytes(2, "big"), 1, b"\1" + question)
    assert reason in refusal(read_reply(service.answer(forged)), Status.MALFORMED)
    assert words(tell(service, late(2, 2, binding=binding), binding)) == expected(models, 0)[0]


def test_a_question_to_a_session_that_is_not_open_says_so(service: Service) -> None:
    question = LateQuestion(1, 1, Request(Text("what"), IN_WORDS), binding=77)
    reason = refusal(read_reply(service.answer(question.to_bytes())), Status.NO_SESSION)
    assert reason == "binding: expected that of an open session and its format, found 77"


def test_a_hello_that_wants_classes_is_refused(service: Service, models: Models) -> None:
    hello = Hello((CodesArm(models[NAME].edge_runner(1)).code_format,))
    reason = refusal(read_reply(service.answer(hello.to_bytes())), Status.UNSUPPORTED)
    assert "the models here answer questions, expected TEXT to be wanted, found TOP_K" in reason


def test_kept_clips_stay_within_every_bound() -> None:
    visual = np.zeros((4, 8), np.float32)
    size = visual.nbytes + BYTES_PER_CLIP
    rng = np.random.default_rng(0)
    kept = KeptClips(max_per_client=3, max_client_bytes=2 * size, max_clips=5, max_bytes=4 * size)
    for _ in range(500):
        client, place = str(rng.integers(6)), Place(1, 2, int(rng.integers(9)))
        kept.keep(client, place, visual)
        assert kept.find(client, place) is not None
        assert kept.num_clips <= 4
        assert kept.num_bytes == kept.num_clips * size
        if rng.random() < 0.3:
            kept.forget(client, place)
            assert kept.find(client, place) is None
    kept.keep("large", Place(1, 2, 3), np.zeros((40, 80), np.float32))
    assert kept.find("large", Place(1, 2, 3)) is None


def test_what_was_asked_about_stays_longer() -> None:
    kept = KeptClips(max_clips=2)
    one, two, three = (Place(0, 0, number) for number in range(3))
    for client, place in (("a", one), ("b", two)):
        kept.keep(client, place, np.zeros(1, np.float32))
    kept.find("a", one)
    kept.keep("a", three, np.zeros(1, np.float32))
    assert [kept.find(*each) is not None for each in itertools.product("ab", (one, two))] == [
        True,
        False,
        False,
        False,
    ]


def test_bounds_below_their_least_are_named() -> None:
    for name, least in (("max_per_client", 1), ("max_client_bytes", 0), ("max_clips", 1), ("max_bytes", 0)):
        with pytest.raises(ValueError, match=f"{name} must be {least} or more, found {least - 1}"):
            KeptClips(**{name: least - 1})


def test_a_question_is_text_that_a_message_may_hold() -> None:
    for wrong, reason in (
        ("", "expected a question in words, found ''"),
        (7, "expected a question in words, found 7"),
        ("a\udcff", "expected a question of Unicode characters"),
        (4097 * "a", "expected a question of at most 4096 bytes, found 4097"),
        ("a\x07", "text: expected no control characters"),
    ):
        with pytest.raises(ValueError, match=reason):
            as_question(wrong)
    with pytest.raises(ValueError, match="expected a question in words, and a model that answers such"):
        say(np.zeros(1), Request(Tokens((1,))), IN_WORDS, QuestionAnswering())


def test_a_family_that_cannot_be_asked_is_a_sentence(models: Models, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="expected questions, something that answers them, for the task quest"
    ):
        Service([], QuestionAnswering())
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(tmp_path / "odd", backbone, "movinet_small", arguments, QuestionAnswering())
    with pytest.raises(ValueError, match="expected a backbone that answers questions, such as VideoQ"):
        load_service("odd", tmp_path)
    codec = models[NAME].codec
    point = replace(codec.configuration, offload_point="B3")
    zoo.save_codec(tmp_path / "odd", type(codec)(backbone.feature_shape("B3"), point))
    with pytest.raises(
        ValueError, match="expected a backbone that answers questions, such as VideoQuestionM"
    ):
        load_service("odd", tmp_path)
