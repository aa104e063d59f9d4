"""What an evaluation found, as a file that appears whole and that a later run goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from approxbit.families import DataRecord
from approxbit.files import PathLike, load_json, save_json
from approxbit.tasks import Bootstrap, Summary

UNSPLIT = "unsplit"
"""The model as a whole, with no code anywhere."""

HEADER = {"format": "approxbit evaluation", "version": 1}


@dataclass(frozen=True)
class Plan:
    """What is measured. A run goes on from another one's file only if their plans are equal.

    Attributes:
        family: Whose models.
        backbone_fingerprint: Of the unsplit model's weights, 16 hexadecimal digits.
        data: The clips.
        split: Of the data.
        num_clips: How many clips of the source were asked for, at most; None for all.
        prompt: Around each question, of a language model; else empty.
        candidates: Answers that were ranked by their likelihood.
    """

    family: str
    backbone_fingerprint: str
    data: DataRecord
    split: str
    num_clips: int | None = None
    prompt: str = ""
    candidates: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """What was asked, entry by entry: questions, or clips of a classifier.

    Attributes:
        groups: What is drawn together for the intervals, such as the clip of a question.
        targets: The right answers; '' where a clip has no label.
        questions: In words; empty for a classifier.
        types: Question types; empty for a classifier.
    """

    groups: Sequence[str] = ()
    targets: Sequence[str] = ()
    questions: Sequence[str] = ()
    types: Sequence[str] = ()

    def bootstrap(self) -> Bootstrap:
        """What makes summaries of numbers for each entry."""
        return Bootstrap(self.groups, self.types)


@dataclass(frozen=True)
class EvaluatedArm:
    """What was measured of the unsplit model or of one configuration.

    Attributes:
        name: `unsplit`, or the configuration.
        fingerprint: Of the codec's weights, 16 hexadecimal digits; of the unsplit model, those of its own.
        figures: By name, in percent, but `divergence` in nats and `judge_score` from 0 to 5. `same_answer`
            and `divergence` compare with the unsplit model, and `change_...` is the difference to it.
        answers: To each entry.
        num_bits: Of a code at each position; None for the unsplit model, as all that follow.
        live_bits: Those that were not the same everywhere in all clips.
        packed_bytes: Of a packed code.
        live_packed_bytes: Of a packed code without the bits that never change.
        coded_bytes: Mean payload of entropy-coded codes; None also where the codec has no tables.
    """

    name: str
    fingerprint: str
    figures: Mapping[str, Summary]
    answers: Sequence[str]
    num_bits: int | None = None
    live_bits: int | None = None
    packed_bytes: int | None = None
    live_packed_bytes: int | None = None
    coded_bytes: float | None = None


@dataclass(frozen=True)
class JudgeRecord:
    """Who judged the answers, and how.

    Attributes:
        host: Of the endpoint.
        model: That was asked for.
        models: As which the endpoint answered.
        revisions: `system_fingerprint`s that it reported; empty if it reports none.
        system_prompt: What it was told first.
        user_prompt: What it was asked about each answer.
        first_date: Day of the first verdict, ISO 8601.
        last_date: Day of the last one.
        num_judged: Different answers that were sent; equal ones to one question are sent once.
        num_requests: With those that were repeated.
        num_unparsable: Answers of which no reply could be read. They are in no figure.
        unparsable: How many entries of each arm have no verdict for that reason.
    """

    host: str
    model: str
    models: Sequence[str]
    revisions: Sequence[str]
    system_prompt: str
    user_prompt: str
    first_date: str
    last_date: str
    num_judged: int
    num_requests: int
    num_unparsable: int
    unparsable: Mapping[str, int]


@dataclass(frozen=True)
class Evaluation:
    """All that was found.

    Attributes:
        plan: What was measured.
        title: What people call the data.
        num_clips: How many clips there were; of a video with several questions, one.
        num_groups: Groups that were resampled for the intervals of 95 %.
        machine: Kind of machine.
        date: Of the last arm, ISO 8601.
        figures: Their names, the most important one first.
        arms: The unsplit model first.
        judge: Who judged the answers; None if nobody did.
        asked: What was asked.
    """

    plan: Plan
    title: str
    num_clips: int
    num_groups: int
    machine: str
    date: str
    figures: Sequence[str]
    arms: Sequence[EvaluatedArm]
    judge: JudgeRecord | None = None
    asked: Asked = field(default_factory=Asked)

    def arm(self, name: str) -> EvaluatedArm | None:
        """An arm by its name; None if it was not measured."""
        return next((each for each in self.arms if each.name == name), None)

    def with_arm(self, arm: EvaluatedArm) -> Evaluation:
        """The same with another arm, in the place of an older one of its name."""
        others = [each for each in self.arms if each.name != arm.name]
        return replace(self, arms=(*others, arm))

    def save(self, path: PathLike) -> None:
        """Write JSON, all of it or nothing; the inverse of `load`."""
        save_json(path, self, HEADER)

    @classmethod
    def load(cls, path: PathLike) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            ValueError: The file cannot be read, or is no evaluation.
        """
        return load_json(path, cls, ValueError, HEADER)
