"""What every task promises, and how one stands in a card."""

from typing import Any, Dict, Mapping, Protocol, Sequence, Union

from approxbit.tasks.classification import Classification
from approxbit.tasks.question_answering import QuestionAnswering


class Task(Protocol):
    """What an answer means. A task knows the names in its answers and nothing of a data set.

    Training, profiling, engines and demo know a task in the place of the data that its models saw.
    """

    @property
    def figures(self) -> Sequence[str]:
        """Names of what `score` gives; the first one is the figure that a LUT goes by."""

    def score(self, answers: Any, targets: Any) -> Dict[str, float]:
        """Named figures, in percent, of answers to clips whose right answers are known."""

    def to_json(self) -> Dict[str, Any]:
        """What `read_task` reads; strings, numbers, lists and dictionaries only."""


AnyTask = Union[Classification, QuestionAnswering]
KINDS: Mapping[str, Any] = {"classification": Classification, "question_answering": QuestionAnswering}


def read_task(fields: Mapping[str, Any]) -> AnyTask:
    """The task that `to_json` described; equal to it.

    Raises:
        ValueError: There is no such kind of task, or a field is missing, unknown or of another type.
    """
    kind = fields.get("kind") if isinstance(fields, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"expected a task of the kind {' or '.join(sorted(KINDS))}, found {kind!r}")
    rest = {name: value for name, value in fields.items() if name != "kind"}
    return KINDS[kind].from_json(rest)
