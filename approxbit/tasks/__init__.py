"""What an answer means: its names, how it is scored and how it is shown. A task knows nothing of a data set.

Every task has `figures`, the names of what `score(answers, targets)` gives in percent, and
`describe(answer)`, its readings with their probabilities. In files it is JSON, of its `json_kind`.
"""

from typing import Union

from approxbit.tasks.classification import Classification, LabelSet, match_tasks, require_classification
from approxbit.tasks.intervals import Bootstrap, Interval, Summary
from approxbit.tasks.question_answering import QuestionAnswering, Target

Task = Union[Classification, QuestionAnswering]

__all__ = [
    "Bootstrap",
    "Classification",
    "Interval",
    "LabelSet",
    "QuestionAnswering",
    "Summary",
    "Target",
    "Task",
    "match_tasks",
    "require_classification",
]
