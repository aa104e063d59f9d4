"""What trainings on questions share: rows of logits, figures, what is computed once for each clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from approxbit.backbones.question_head import VideoQuestionModel
from approxbit.datasets.dense import QuestionTargets
from approxbit.tasks import QuestionAnswering, Target

Tokens = Float[Tensor, "batch token channel"]

WHOLE_VIEW = "whole"
PIXEL_VIEWS = (WHOLE_VIEW, "one_frame", "shuffled", "nothing")
"""What a model sees of a clip: all of it; its middle frame all the time; its frames in random order; grey."""


def show(
    clips: Float[Tensor, "batch 3 time height width"], view: str
) -> Float[Tensor, "batch 3 time height width"]:
    """What a model sees of clips by one of `PIXEL_VIEWS`."""
    num_frames = clips.shape[2]
    if view == "one_frame":
        return clips[:, :, num_frames // 2 :][:, :, :1].expand_as(clips)
    if view == "shuffled":
        return clips[:, :, torch.randperm(num_frames, device=clips.device)]
    return torch.full_like(clips, 0.5) if view == "nothing" else clips


def answer_questions(
    model: nn.Module, tokens: Tokens, targets: QuestionTargets
) -> tuple[Float[Tensor, "question answer"], Int64[Tensor, " question"]]:
    """Logits of all questions of a batch in one row, and the numbers of the right answers.

    Args:
        model: Which answers.
        tokens: Visual tokens of the clips.
        targets: The questions about each clip.

    Raises:
        ValueError: A right answer is none that the model can give, or it answers no questions.
    """
    model = require_questions(model)
    head = model.head
    questions = head.to_tensor([[text for text, _ in each] for each in targets.asked]).to(tokens.device)
    logits = model.answer_logits(tokens, questions)[questions[..., 0] > 0]
    numbers = {answer: number for number, answer in enumerate(head.answers)}
    answers = [target.answer for each in targets.asked for _, target in each]
    if unknown := sorted(set(answers) - set(numbers)):
        raise ValueError(
            f"expected answers that the model can give, found {unknown[0]!r} and {len(unknown) - 1} "
            "others: build it with all answers of the data (in a recipe, arguments: {answers: [...]})"
        )
    return logits, torch.tensor([numbers[answer] for answer in answers], device=logits.device)


def require_questions(model: nn.Module) -> VideoQuestionModel:
    """A model, where it is one that answers questions.

    Raises:
        ValueError: It is another.
    """
    if not isinstance(model, VideoQuestionModel):
        raise ValueError(f"expected a model that answers questions, found {type(model).__name__}")
    return model


class QuestionFigures:
    """Answers batch by batch, until somebody asks how many were right."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, Target]] = []

    @torch.no_grad()
    def observe(self, model: nn.Module, tokens: Tokens, targets: QuestionTargets) -> None:
        """Answer the questions about some clips."""
        self.add(
            require_questions(model).ask(tokens, [[text for text, _ in each] for each in targets.asked]),
            targets,
        )

    def add(self, found: Sequence[Sequence[str]], targets: QuestionTargets) -> None:
        """Take in answers to the questions about some clips."""
        for answers, asked in zip(found, targets.asked, strict=True):
            self._pairs += [(answer, target) for answer, (_, target) in zip(answers, asked, strict=True)]

    def collect(self, task: QuestionAnswering) -> dict[str, float]:
        """`exact_match_<question type>` of what was observed since the last time, and `macro`, their mean.

        In percent; empty where nothing was asked.
        """
        if not self._pairs:
            return {}
        answers, targets = zip(*self._pairs, strict=True)
        self._pairs = []
        scores = task.score(answers, targets)
        return {"macro": task.macro(scores), **scores}


class OncePerClip:
    """What is computed once for each clip of a training split, and kept in memory in half precision."""

    def __init__(self) -> None:
        self._kept: dict[int, Tensor] = {}

    def find(
        self, clips: Tensor, numbers: Sequence[int] | None, compute: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "batch ..."]:
        """What `compute` gives for clips.

        Args:
            clips: A batch.
            numbers: Which clips of their split these are; None to compute all anew and keep nothing.
            compute: Clips -> a tensor for each.
        """
        if numbers is None:
            return compute(clips)
        if missing := [place for place, number in enumerate(numbers) if number not in self._kept]:
            for place, found in zip(missing, compute(clips[missing]), strict=True):
                self._kept[numbers[place]] = found.half()
        return torch.stack([self._kept[number].to(clips.dtype) for number in numbers])
