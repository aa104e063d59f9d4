"""Answers judged by a language model, each of them once, however often the run is interrupted."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import track

from approxbit.files import from_json, parse_json, sha256_of, to_json, write_whole
from approxbit.profiling.evaluation.endpoint import Endpoint
from approxbit.profiling.evaluation.record import Asked, EvaluatedArm, Evaluation, JudgeRecord
from approxbit.tasks.judging import SYSTEM_PROMPT, USER_PROMPT, read_verdict, write_question

NUM_READINGS = 3
"""How often an answer is sent while no reply can be read."""

YES, SCORE = "judge_yes", "judge_score"


class Case(NamedTuple):
    """What one verdict is about."""

    question: str
    target: str
    answer: str

    @property
    def key(self) -> str:
        """Its name in a journal."""
        return sha256_of(json.dumps(self).encode())[:32]


@dataclass(frozen=True)
class Judged:
    """One line of a journal.

    Attributes:
        key: Of the case.
        is_right: What the judge said; None where no reply could be read, as `score`.
        score: From 0 to 5.
        model: As which the endpoint answered.
        revision: Its `system_fingerprint`.
        num_requests: With those that were repeated.
        date: Day, ISO 8601.
    """

    key: str
    is_right: bool | None
    score: int | None
    model: str
    revision: str
    num_requests: int
    date: str


class Journal:
    """Verdicts, a line of JSON each, behind a line that says who judges and how.

    A line is on the disk before the next verdict is asked for. The rest of a line that was being written when
    the power went is dropped.

    Args:
        path: Of the file; it is made where there is none.
        endpoint: That will judge.

    Raises:
        ValueError: The file is no journal, or one of another judge or prompt.
    """

    def __init__(self, path: Path, endpoint: Endpoint) -> None:
        self.path = path
        self.judged: dict[str, Judged] = {}
        head = {
            "format": "approxbit verdicts",
            "version": 1,
            "host": endpoint.host,
            "model": endpoint.model,
            "prompt": sha256_of((SYSTEM_PROMPT + USER_PROMPT).encode()),
        }
        first, *lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        if not lines:
            write_whole(path, json.dumps(head) + "\n", make_parents=True)
            return
        found = parse_json(first, f"{path}: line 1", ValueError)
        if found != head:
            raise ValueError(
                f"{path}: expected verdicts of {endpoint.model} at {endpoint.host} under the same prompt, "
                f"found {str(found)[:200]}: name another --out, or remove the file"
            )
        if lines.pop():  # what follows the last line's end
            write_whole(path, b"\n".join([first, *lines, b""]))
        for number, line in enumerate(lines, 2):
            place = f"{path}: line {number}"
            judged = from_json(Judged, parse_json(line, place, ValueError), place, ValueError)
            self.judged[judged.key] = judged

    def add(self, judged: Judged) -> None:
        """Write a verdict, unless it is there."""
        if judged.key in self.judged:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(to_json(judged)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.judged[judged.key] = judged


def judge_answers(
    evaluation: Evaluation, endpoint: Endpoint, journal: Path, num_at_once: int = 4
) -> Evaluation:
    """The evaluation with a judge's figures: right answers in percent, and the mean score.

    Equal answers to one question are sent once. What a journal has is not sent again.

    Args:
        evaluation: Of a family that answers questions.
        endpoint: The judge.
        journal: File of the verdicts.
        num_at_once: Requests that are under way together, at least 1.

    Raises:
        ValueError: No questions were asked, the journal is one of another judge, or `num_at_once` is below 1.
        LinkError: The judge refused, or failed again and again. All verdicts so far are in the journal.
    """
    asked = evaluation.asked
    if not asked.questions:
        raise ValueError(
            f"expected answers to questions for a judge, found the classes of {evaluation.plan.family}"
        )
    if num_at_once < 1:
        raise ValueError(f"expected num_at_once to be at least 1, found {num_at_once}")
    kept = Journal(journal, endpoint)
    cases = {arm.name: _cases(asked, arm) for arm in evaluation.arms}
    wanted = dict.fromkeys(each for of_arm in cases.values() for each in of_arm)
    missing = [case for case in wanted if case.key not in kept.judged]
    _judge_all(endpoint, missing, kept, num_at_once)
    used = [kept.judged[case.key] for case in wanted]
    bootstrap = asked.bootstrap()
    arms, unparsable = [], {}
    for arm in evaluation.arms:
        verdict_of = [kept.judged[case.key] for case in cases[arm.name]]
        values = {
            YES: [_number(each.is_right, 100.0) for each in verdict_of],
            SCORE: [_number(each.score) for each in verdict_of],
        }
        arms.append(replace(arm, figures={**arm.figures, **bootstrap.summarise(values)}))
        unparsable[arm.name] = sum(each.is_right is None for each in verdict_of)
    names = [each for each in evaluation.figures if each not in (YES, SCORE)]
    record = _record(endpoint, used, unparsable)
    return replace(evaluation, arms=tuple(arms), figures=(*names, YES, SCORE), judge=record)


def _cases(asked: Asked, arm: EvaluatedArm) -> list[Case]:
    return [Case(*each) for each in zip(asked.questions, asked.targets, arm.answers, strict=True)]


def _judge_all(endpoint: Endpoint, cases: list[Case], kept: Journal, num_at_once: int) -> None:
    """Several at once; whatever stops it, a verdict that came is kept."""
    with ThreadPoolExecutor(num_at_once) as pool:
        futures = [pool.submit(_judge, endpoint, case) for case in cases]
        try:
            for future in track(as_completed(futures), "judged", total=len(futures)):
                kept.add(future.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            for future in futures:
                if future.done() and not future.cancelled() and future.exception() is None:
                    kept.add(future.result())
            raise


def _judge(endpoint: Endpoint, case: Case) -> Judged:
    """One verdict; none where no reply could be read."""
    verdict, num_requests = None, 0
    for _ in range(NUM_READINGS):
        reply = endpoint.ask(SYSTEM_PROMPT, write_question(*case))
        num_requests += reply.num_requests
        verdict = None if reply.text is None else read_verdict(reply.text)
        if verdict is not None:
            break
    is_right, score = (None, None) if verdict is None else verdict
    today = datetime.date.today().isoformat()
    return Judged(case.key, is_right, score, reply.model, reply.revision, num_requests, today)


def _number(value: Any, factor: float = 1.0) -> float:
    return float("nan") if value is None else factor * value


def _record(endpoint: Endpoint, used: list[Judged], unparsable: dict[str, int]) -> JudgeRecord:
    dates = sorted(each.date for each in used)
    return JudgeRecord(
        host=endpoint.host,
        model=endpoint.model,
        models=_different(each.model for each in used),
        revisions=_different(each.revision for each in used),
        system_prompt=SYSTEM_PROMPT,
        user_prompt=USER_PROMPT,
        first_date=dates[0],
        last_date=dates[-1],
        num_judged=len(used),
        num_requests=sum(each.num_requests for each in used),
        num_unparsable=sum(each.is_right is None for each in used),
        unparsable=unparsable,
    )


def _different(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({each for each in names if each}))
