"""What the scores of all answers say: how far two models agree, and where the right answer stands."""

from typing import Dict, List, Sequence

import numpy as np

from approxbit.tasks.question_answering import normalise


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, float64, of logits `[..., answer]`.

    Example:
        >>> np.exp(log_softmax(np.log([1.0, 3.0]))).round(3).tolist()
        [0.25, 0.75]
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def divergence(reference: np.ndarray, found: np.ndarray) -> float:
    """How many nats are lost by taking one distribution of answers for another: KL(reference, found).

    Where answers are sequences of tokens, `[token, vocabulary]` after the tokens of the reference's answer
    (teacher forced): the mean over its tokens.

    Args:
        reference: Logarithms of probabilities, float `[..., answer]`.
        found: Of the same shape.

    Raises:
        ValueError: The shapes differ, or something is not a number.

    Example:
        >>> round(divergence(np.log([0.5, 0.5]), np.log([0.25, 0.75])), 4)
        0.1438
    """
    if reference.shape != found.shape:
        raise ValueError(f"expected two distributions of one shape, found {reference.shape}, {found.shape}")
    if np.isnan(reference).any() or np.isnan(found).any():
        raise ValueError("expected the probabilities of answers, found nan: the model's numbers overflow")
    shares = np.exp(reference)
    with np.errstate(invalid="ignore"):  # an answer of no share counts nothing, also where it is impossible
        lost = np.where(shares > 0, shares * (reference - found), 0.0).sum(axis=-1)
    return max(0.0, float(lost.mean()))


class Candidates:
    """Answers that were scored, of which one may be right.

    Args:
        answers: In the order of their scores; those that are the same after `normalise` count as one.

    Example:
        >>> Candidates(["dog", "cat", "cow"]).rank_of("a cat", np.array([-1.0, -2.0, -3.0]))
        2
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = tuple(answers)
        self._places: Dict[str, List[int]] = {}
        for place, answer in enumerate(answers):
            self._places.setdefault(normalise(answer), []).append(place)

    def rank_of(self, answer: str, scores: np.ndarray) -> int:
        """The place of the right answer, from 1 on, when the answers are ordered by their scores.

        Ties count against it.

        Args:
            answer: The right one.
            scores: Log-likelihoods, float `[answer]`.

        Returns:
            The place; 0 where it is none of the answers.

        Raises:
            ValueError: There are not as many scores as answers.
        """
        if len(scores) != len(self.answers):
            raise ValueError(f"expected a score for each of {len(self.answers)} answers, found {len(scores)}")
        right = self._places.get(normalise(answer))
        if right is None:
            return 0
        best = scores[right].max()
        return 1 + sum(
            bool(scores[places].max() >= best) for places in self._places.values() if places is not right
        )
