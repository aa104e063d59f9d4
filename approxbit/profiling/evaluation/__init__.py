"""How right the answers of a family are, before and after its codes, and who else judged them."""

from approxbit.profiling.evaluation.endpoint import Endpoint
from approxbit.profiling.evaluation.evaluate import Questioning, evaluate_family
from approxbit.profiling.evaluation.judge import judge_answers
from approxbit.profiling.evaluation.record import UNSPLIT, EvaluatedArm, Evaluation

__all__ = [
    "UNSPLIT",
    "Endpoint",
    "EvaluatedArm",
    "Evaluation",
    "Questioning",
    "evaluate_family",
    "judge_answers",
]
