"""Everything that the device computes with, for all arms of a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from approxbit.edge.arms import (
    CodesArm,
    EdgeArm,
    EdgeOnlyArm,
    EdgeOnlyQuestionsArm,
    RawClipArm,
    compressed_video_arms,
)
from approxbit.engines.answers import rank
from approxbit.engines.prepared import load_prepared
from approxbit.engines.questions import QuestionRunner
from approxbit.engines.runner import ClipFormat, EdgeRunner, WholeRunner
from approxbit.files import PathLike
from approxbit.tasks import Classification, Task, require_classification
from approxbit.wire import Content


@dataclass(frozen=True)
class Device:
    """All arms, and what is known about them.

    Attributes:
        arms: Of different names.
        clip_format: How frames become a clip.
        task: What an answer means.
        feature_bytes: By configuration, the size of its feature as float32.
        backend: What computes, such as `onnxruntime 1.22.0`.
        num_threads: Threads for each operator.
    """

    arms: tuple[EdgeArm, ...]
    clip_format: ClipFormat
    task: Task
    feature_bytes: Mapping[str, int]
    backend: str
    num_threads: int

    def arm(self, name: str) -> EdgeArm:
        """One of the arms.

        Raises:
            ValueError: There is none of that name.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        known = ", ".join(arm.name for arm in self.arms)
        raise ValueError(f"expected one of the arms {known}, found {name!r}")

    @property
    def answers_questions(self) -> bool:
        """Whether it is asked questions about clips, and does not tell their classes."""
        return not isinstance(self.task, Classification)

    def rank(self, answer: Content, label_set: str = "") -> list[tuple[str, float]]:
        """Names and probabilities of an answer's classes; see `approxbit.engines.answers.rank`.

        Raises:
            ValueError: The task is another one.
        """
        return rank(answer, require_classification(self.task), label_set)


def all_arms(
    whole: WholeRunner,
    runners: Iterable[EdgeRunner],
    task: Task | None = None,
    questions: QuestionRunner | None = None,
) -> tuple[EdgeArm, ...]:
    """Every way to answer a clip that a device with these runners has.

    Args:
        whole: The unsplit model.
        runners: Of different configurations.
        task: What the model's answers mean; by default classes without names.
        questions: Of a model that answers questions, what reads its visual tokens; without it the device
            cannot answer by itself.
    """
    clip_format, task = whole.clip_format, task or Classification.of_names()
    alone: tuple[EdgeArm, ...] = ()
    if isinstance(task, Classification):
        alone = (EdgeOnlyArm(whole, task),)
    elif questions is not None:
        alone = (EdgeOnlyQuestionsArm(whole, questions, task),)
    return (
        *alone,
        RawClipArm(clip_format),
        *compressed_video_arms(clip_format),
        *map(CodesArm, runners),
    )


def open_device(
    prepared: PathLike,
    num_threads: int = 1,
    configurations: Sequence[str] | None = None,
    questions: QuestionRunner | None = None,
) -> Device:
    """Open a prepared family with ONNX Runtime; torch is not needed.

    Graphs of a family that answers questions end with visual tokens: such a device needs its server.

    Args:
        prepared: The file that `approxbit.exporting.prepare.prepare_family` wrote.
        num_threads: Threads for each operator.
        configurations: Those to open; by default all that are prepared.
        questions: What reads the visual tokens of a family that answers questions, if anything here can.

    Raises:
        ArtefactError: The file is not well-formed, or an artefact is not the one that it names.
        ImportError: onnxruntime is not installed.
        ValueError: `num_threads` is below 1, or a configuration is not prepared.
    """
    family = load_prepared(prepared)
    if configurations is not None:
        family = family.only(configurations)
    whole, task = family.open_whole(num_threads), family.task
    return Device(
        arms=all_arms(whole, family.open_runners(num_threads).values(), task, questions),
        clip_format=whole.clip_format,
        task=task,
        feature_bytes=family.feature_bytes,
        backend=whole.backend,
        num_threads=num_threads,
    )
