"""What an answer means: its names, how it is scored and how it is shown."""

from approxbit.tasks.classification import Classification, LabelSet
from approxbit.tasks.question_answering import QuestionAnswering, Target
from approxbit.tasks.task import AnyTask, Task, read_task

__all__ = ["AnyTask", "Classification", "LabelSet", "QuestionAnswering", "Target", "Task", "read_task"]
