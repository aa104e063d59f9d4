"""Verdicts of a stand-in judge over real sockets: what becomes of them, and that none is asked for twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from standin_judge import Raw, completion, serve

from approxbit.errors import LinkError
from approxbit.families import DataRecord
from approxbit.profiling.evaluation import EvaluatedArm, Evaluation, judge_answers
from approxbit.profiling.evaluation.endpoint import Endpoint
from approxbit.profiling.evaluation.judge import NUM_READINGS
from approxbit.profiling.evaluation.record import Asked, Plan
from approxbit.tasks.judging import SYSTEM_PROMPT, USER_PROMPT

ASKED = Asked(
    groups=("a", "a", "b"),
    targets=("a man", "two", "dog"),
    questions=("who runs?", "how many run?", "what barks?"),
    types=("who", "how", "what"),
)
FOUND = Evaluation(
    Plan("pets", "0" * 16, DataRecord("my_pets"), "test"),
    *("pets", 2, 2, "a machine", "2026-01-01", ("exact_match",)),
    arms=(
        EvaluatedArm("unsplit", "0" * 16, {}, ("a boy", "two", "dog")),
        EvaluatedArm("8-Enc-L1", "1" * 16, {}, ("a tree", "two", "dog")),
    ),
    asked=ASKED,
)
VERDICTS = {"a boy": ("yes", 4), "a tree": ("no", 0), "two": ("yes", 5), "dog": ("yes", 5)}


def answer_of(body: dict[str, Any]) -> str:
    text: str = body["messages"][1]["content"]
    return text.split("System's answer: ")[1].splitlines()[0]


def judge_well(number: int, body: dict[str, Any]) -> str:
    pred, score = VERDICTS[answer_of(body)]
    return f"{{'pred': '{pred}', 'score': {score}}}"


def test_figures_are_those_of_the_verdicts_and_equal_answers_are_sent_once(tmp_path: Path) -> None:
    with serve(judge_well) as judge:
        found = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), tmp_path / "verdicts.jsonl")
    assert sorted(map(answer_of, judge.requests)) == ["a boy", "a tree", "dog", "two"]
    assert {body["messages"][0]["content"] for body in judge.requests} == {SYSTEM_PROMPT}
    whole, codes = found.arms
    assert whole.figures["judge_yes"].overall.value == 100
    assert codes.figures["judge_yes"].overall.value == pytest.approx(66.666667)
    assert codes.figures["judge_yes"].by_type["who"].value == 0
    assert whole.figures["judge_score"].overall.value == pytest.approx(14 / 3, abs=1e-6)
    assert codes.figures["judge_score"].overall.value == pytest.approx(10 / 3, abs=1e-6)
    assert found.figures == ("exact_match", "judge_yes", "judge_score")
    record = found.judge
    assert record is not None
    assert f"http://{record.host}/v1" == judge.url
    assert (record.model, record.models, record.revisions) == ("judge-1", ("judge-1-0613",), ("fp_7",))
    assert (record.system_prompt, record.user_prompt) == (SYSTEM_PROMPT, USER_PROMPT)
    assert (record.num_judged, record.num_requests, record.num_unparsable) == (4, 4, 0)
    assert record.unparsable == {"unsplit": 0, "8-Enc-L1": 0}
    found.save(tmp_path / "found.json")
    assert Evaluation.load(tmp_path / "found.json") == found


def test_replies_that_cannot_be_read_are_counted_and_never_guessed(tmp_path: Path) -> None:
    def mumble(number: int, body: dict[str, Any]) -> str:
        return "Yes! I give it 5." if answer_of(body) == "two" else judge_well(number, body)

    with serve(mumble) as judge:
        found = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), tmp_path / "verdicts.jsonl")
        again = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), tmp_path / "verdicts.jsonl")
    assert len(judge.requests) == 3 + NUM_READINGS
    assert again == found
    assert found.judge is not None
    assert (found.judge.num_unparsable, found.judge.num_requests) == (1, 3 + NUM_READINGS)
    assert found.judge.unparsable == {"unsplit": 1, "8-Enc-L1": 1}
    yes = found.arms[1].figures["judge_yes"]
    assert (yes.overall.value, yes.overall.count) == (50, 2)
    assert "how" not in yes.by_type


def test_a_reply_that_can_be_read_at_the_second_time_counts(tmp_path: Path) -> None:
    seen: set[str] = set()

    def stutter(number: int, body: dict[str, Any]) -> str:
        is_new = answer_of(body) not in seen
        seen.add(answer_of(body))
        return "hm" if is_new else judge_well(number, body)

    with serve(stutter) as judge:
        found = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), tmp_path / "verdicts.jsonl")
    assert found.judge is not None
    assert (found.judge.num_unparsable, found.judge.num_requests) == (0, 8)


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = tmp_path / "verdicts.jsonl"

    def break_down(number: int, body: dict[str, Any]) -> Any:
        return judge_well(number, body) if number <= 2 else Raw(403, b"no more money")

    with serve(break_down) as judge:
        port = judge.url
        with pytest.raises(LinkError, match="HTTP 403 no more money"):
            judge_answers(FOUND, Endpoint(judge.url, "judge-1"), journal, num_at_once=1)
    first, *lines = journal.read_text().splitlines()
    assert json.loads(first)["model"] == "judge-1"
    assert len(lines) == 2
    journal.write_text(journal.read_text() + '{"key": "cut o')  # as when the power goes
    with serve(judge_well) as judge:
        journal.write_text(journal.read_text().replace(port[7:-3], judge.url[7:-3]))
        found = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), journal)
    assert len(judge.requests) == 2
    assert found.judge is not None
    assert found.judge.num_judged == 4
    assert len(journal.read_text().splitlines()) == 5


def test_verdicts_of_several_revisions_are_all_named(tmp_path: Path) -> None:
    def drift(number: int, body: dict[str, Any]) -> Raw:
        return completion(judge_well(number, body), "judge-1-0613", f"fp_{number % 2}")

    with serve(drift) as judge:
        found = judge_answers(FOUND, Endpoint(judge.url, "judge-1"), tmp_path / "v.jsonl", num_at_once=1)
    assert found.judge is not None
    assert found.judge.revisions == ("fp_0", "fp_1")


def test_verdicts_of_another_judge_do_not_mix(tmp_path: Path) -> None:
    journal = tmp_path / "verdicts.jsonl"
    with serve(judge_well) as judge:
        judge_answers(FOUND, Endpoint(judge.url, "judge-1"), journal)
        with pytest.raises(
            ValueError, match=r"expected verdicts of judge-2 at 127\.0\.0\.1.*name another --out"
        ):
            judge_answers(FOUND, Endpoint(judge.url, "judge-2"), journal)
        journal.write_text(journal.read_text().replace('"is_right": true', '"is_right": 1', 1))
        with pytest.raises(ValueError, match=r"line \d: is_right: expected true or false, found 1"):
            judge_answers(FOUND, Endpoint(judge.url, "judge-1"), journal)


def test_a_judge_has_nothing_to_say_of_classes(tmp_path: Path) -> None:
    classes = replace(FOUND, asked=Asked(groups=("a",), targets=("cat",)))
    with pytest.raises(
        ValueError, match="expected answers to questions for a judge, found the classes of pets"
    ):
        judge_answers(classes, Endpoint("http://localhost:1", "judge-1"), tmp_path / "verdicts.jsonl")
    with pytest.raises(ValueError, match="expected num_at_once to be at least 1, found 0"):
        judge_answers(FOUND, Endpoint("http://localhost:1", "judge-1"), tmp_path / "v.jsonl", num_at_once=0)
