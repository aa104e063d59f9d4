"""How the answers of a model are read off its output, one reader for each way of answering.

backbone                                   reader
a classifier                               ClassReader        logits of its label sets
with `answer_logits`                       VocabularyReader   logits of known answers
a video-language model and its tokenizer   TokenReader        answers token by token
with `ask` alone                           WordReader         words, of which no likelihood is known
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.datasets.listing import UNLABELED
from approxbit.profiling.evaluation.clips import Question
from approxbit.tasks import Classification, Task
from approxbit.tasks.likelihood import Candidates, divergence, log_softmax
from approxbit.tasks.question_answering import contains, normalise

NUM_BEST = 5
EXACT, CONTAINED, RECIPROCAL_RANK, AMONG_BEST = (
    "exact_match",
    "contained",
    "reciprocal_rank",
    f"among_best_{NUM_BEST}",
)
NOTHING = float("nan")


@dataclass(frozen=True)
class Reading:
    """A model's answer to one entry.

    Attributes:
        answer: In words.
        scores: Logarithms of the probabilities of the candidates; None if they are not known.
        tokens: Of an answer token by token.
        logits: Of a classifier's own classes.
    """

    answer: str
    scores: np.ndarray | None = None
    tokens: tuple[int, ...] = ()
    logits: np.ndarray | None = None


class Reader(ABC):
    """Reads answers, scores them, and compares them with those of the unsplit model.

    Attributes:
        figures: Names of what `score` gives, the most important one first.
        prompt: Around each question, if any.
        candidates: Answers that are ranked, where there are questions.
    """

    figures: tuple[str, ...]
    prompt: str = ""
    candidates: tuple[str, ...] = ()

    @abstractmethod
    def read(self, output: Tensor, asked: Sequence[Sequence[Question]]) -> list[Reading]:
        """The answers to all entries of a batch, clip by clip.

        Args:
            output: What the backbone or its server half gave, `[batch, ...]`.
            asked: About each clip.
        """

    @abstractmethod
    def score(self, question: Question, reading: Reading) -> dict[str, float]:
        """The figures of one answer, in percent."""

    def diverge(
        self,
        readings: Sequence[Reading],
        references: Sequence[Reading],
        output: Tensor,
        whole: Callable[[], Tensor],
        asked: Sequence[Sequence[Question]],
    ) -> list[float]:
        """KL(unsplit, this) of each answer in nats; nan where likelihoods are not known.

        Args:
            readings: Of a batch.
            references: Those of the unsplit model.
            output: What the readings were read off.
            whole: Gives the output of the unsplit model.
            asked: About each clip.
        """
        return [_diverge(each, other) for each, other in zip(readings, references, strict=True)]


def _diverge(reading: Reading, reference: Reading) -> float:
    if reading.scores is None or reference.scores is None:
        return NOTHING
    return divergence(reference.scores, reading.scores)


class ClassReader(Reader):
    """Of a classifier. The answer is the likeliest class of the label set that is asked."""

    def __init__(self, task: Classification) -> None:
        self.task, self.figures = task, task.figures

    def read(self, output: Tensor, asked: Sequence[Sequence[Question]]) -> list[Reading]:
        """The classes of a batch of logits."""
        label_set, readings = self.task.label_set(), []
        for logits in output.double().cpu().numpy():
            own = label_set.logits(logits)
            best = label_set.name_of(int(own.argmax()))
            readings.append(Reading(best, log_softmax(own), logits=logits))
        return readings

    def score(self, question: Question, reading: Reading) -> dict[str, float]:
        """Whether the class is right, in each label set; nothing of a clip without a label."""
        if question.label == UNLABELED or reading.logits is None:
            return dict.fromkeys(self.figures, NOTHING)
        found = self.task.hits(reading.logits[None], np.array([question.label]))
        return {name: 100.0 * bool(hit[0]) for name, hit in found.items()}


class WordReader(Reader):
    """Of a backbone that answers in words by its `ask`."""

    figures: tuple[str, ...] = (EXACT, CONTAINED)

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone

    def read(self, output: Tensor, asked: Sequence[Sequence[Question]]) -> list[Reading]:
        """The answers of `ask`."""
        answers = self.backbone.ask(output, [[each.text for each in about] for about in asked])
        return [Reading(answer) for about in answers for answer in about]

    def score(self, question: Question, reading: Reading) -> dict[str, float]:
        """Exact match, whether the right answer is contained, and its rank where candidates have scores."""
        found = {
            EXACT: 100.0 * (normalise(reading.answer) == normalise(question.answer)),
            CONTAINED: 100.0 * contains(reading.answer, question.answer),
        }
        if reading.scores is not None:
            found.update(self._rank(question, reading.scores))
        return found

    def _rank(self, question: Question, scores: np.ndarray) -> dict[str, float]:
        rank = self._ranked.rank_of(question.answer, scores)
        return {RECIPROCAL_RANK: 100.0 / rank if rank else 0.0, AMONG_BEST: 100.0 * (1 <= rank <= NUM_BEST)}

    def _rank_among(self, candidates: Sequence[str]) -> None:
        self.candidates, self._ranked = tuple(candidates), Candidates(candidates)
        if candidates:
            self.figures = (EXACT, CONTAINED, RECIPROCAL_RANK, AMONG_BEST)


class VocabularyReader(WordReader):
    """Of a backbone with logits of known answers: `answer_logits`, and a `head` as `QuestionHead` is one."""

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        self._rank_among(backbone.head.answers)

    def read(self, output: Tensor, asked: Sequence[Sequence[Question]]) -> list[Reading]:
        """The likeliest answers."""
        if not any(asked):
            return []
        texts = [[each.text for each in about] for about in asked]
        questions = self.backbone.head.to_tensor(texts).to(output.device)
        logits = self.backbone.answer_logits(output, questions).float().cpu().numpy()
        found = []
        for clip, about in enumerate(asked):
            for scores in log_softmax(logits[clip, : len(about)]):
                found.append(Reading(self.candidates[int(scores.argmax())], scores))
        return found


class TokenReader(WordReader):
    """Of a video-language model, whose answers are sequences of tokens.

    Args:
        asker: As `approxbit.backbones.vlm.Asker` is one.
        candidates: Answers to rank by their likelihood, which costs about a forward pass for each.
    """

    def __init__(self, asker: Any, candidates: Sequence[str] = ()) -> None:
        super().__init__(asker.backbone)
        self.asker, self.prompt = asker, asker.prompt
        self._rank_among(candidates)

    def read(self, output: Tensor, asked: Sequence[Sequence[Question]]) -> list[Reading]:
        """The greedy answers."""
        found = []
        for clip, about in enumerate(asked):
            visual = output[clip : clip + 1]
            answers = self.asker.answers(visual, [each.text for each in about])
            for each, said in zip(about, answers, strict=True):
                scores = None
                if self.candidates:
                    likelihoods = self.asker.log_likelihoods(visual, each.text, self.candidates)
                    scores = likelihoods.cpu().numpy()
                found.append(Reading(said.text, scores, said.tokens))
        return found

    def diverge(
        self,
        readings: Sequence[Reading],
        references: Sequence[Reading],
        output: Tensor,
        whole: Callable[[], Tensor],
        asked: Sequence[Sequence[Question]],
    ) -> list[float]:
        """Mean over the tokens of the unsplit model's answer, which both models are forced to give."""
        found, other = [], whole()
        flat = [(clip, each) for clip, about in enumerate(asked) for each in about]
        for (clip, question), reference in zip(flat, references, strict=True):
            if not reference.tokens:
                found.append(NOTHING)
                continue
            both = [
                self.asker.log_probabilities(visual[clip : clip + 1], question.text, reference.tokens)
                for visual in (other, output)
            ]
            found.append(divergence(*(each.cpu().numpy() for each in both)))
        return found


def open_reader(
    backbone: Backbone,
    task: Task,
    tokenizer: str = "",
    prompt: str = "",
    candidates: Callable[[], Sequence[str]] = tuple,
) -> Reader:
    """What reads the answers of a backbone.

    Args:
        backbone: Which answers.
        task: What an answer means.
        tokenizer: Folder with the tokenizer of a video-language model that came without one.
        prompt: Of a video-language model; its own by default.
        candidates: Gives the answers that a video-language model shall rank.

    Raises:
        ValueError: Nothing is known of how the backbone answers questions, or a tokenizer or prompt is given
            to one that has no use for it.
        ImportError: transformers is missing for a video-language model.
    """
    is_language_model = hasattr(backbone, "visual_token_id")
    if (tokenizer or prompt) and not is_language_model:
        raise ValueError(f"expected a tokenizer or prompt with a video-language model only, not {backbone!r}")
    if isinstance(task, Classification):
        return ClassReader(task)
    if is_language_model:
        return TokenReader(_open_asker(backbone, tokenizer, prompt), candidates())
    if hasattr(backbone, "answer_logits"):
        return VocabularyReader(backbone)
    if hasattr(backbone, "ask"):
        return WordReader(backbone)
    raise ValueError(f"expected a backbone that answers by `ask` or `answer_logits`, found {backbone!r}")


def _open_asker(backbone: Any, tokenizer: str, prompt: str) -> Any:
    from approxbit.backbones.vlm import Asker

    if tokenizer:
        return Asker.from_folder(backbone, tokenizer, prompt)
    own = getattr(backbone, "asker", None)
    if own is None:
        raise ValueError(
            "expected the tokenizer of the video-language model, a folder that `save_pretrained` wrote: "
            "--tokenizer FOLDER"
        )
    return Asker(backbone, own.tokenizer, prompt, own.max_new_tokens) if prompt else own
