"""`approxbit run --ask`: questions about clips, one after the other, so that each clip crosses once."""

import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Sequence

if TYPE_CHECKING:
    from approxbit.edge.answer import EdgeAnswer
    from approxbit.edge.client import Clip, Edge


def check_questions(name: str, questions: Sequence[str]) -> None:
    """Let only questions pass that a model may be asked, and none for a model that is asked none.

    Raises:
        ValueError: A classifier is asked, a model that answers questions is not, or a question is no text.
    """
    from approxbit.engines.questions import as_question
    from approxbit.families import find_task, split_name
    from approxbit.tasks import Classification

    family = split_name(name)[0]
    is_classifier = isinstance(find_task(name), Classification)
    if is_classifier and questions:
        raise ValueError(
            f"{family} tells classes of clips and answers no questions: leave --ask out, or name a family "
            "whose task is question_answering"
        )
    if not is_classifier and not questions:
        raise ValueError(f"{family} answers questions: ask one with --ask 'what is red', or several, each so")
    for question in questions:
        as_question(question)


def ask_all(
    edge: "Edge", path: object, clip: "Clip", questions: Sequence[str], refused: List[str]
) -> "Iterator[EdgeAnswer]":
    """An answer to each question about a clip, as it comes; those that the model does not take are told."""
    from approxbit.edge.exchange import RefusedError
    from approxbit.edge.session import OF_QUESTIONS

    about: Any = clip.frames
    for question in questions:
        try:
            about = edge.ask(about, question, clip.shift_frames)
            yield about
        except RefusedError as error:
            if error.status not in OF_QUESTIONS:
                raise
            refused.append(question)
            sys.stderr.write(f"approxbit: {path}: {question!r:.80}: {error}\n")


def describe_words(answer: "EdgeAnswer") -> Dict[str, Any]:
    """What a line of JSON says of an answer in words."""
    return {"question": answer.question, "answer": answer.text, "is_late": answer.is_late}


def show_words(video: str, arm: str, facts: Dict[str, Any]) -> str:
    """A line for people; headers count as question and as answer."""
    payload_bytes, packet_bytes = facts["payload_bytes"], facts["packet_bytes"]
    sizes = f"{packet_bytes - payload_bytes} bytes of question, {facts['answer_bytes']} of answer"
    if payload_bytes:
        sizes = f"{payload_bytes} bytes of {'code' if _is_code(facts['arm']) else 'clip'}, {sizes}"
    elif not packet_bytes:
        sizes = "nothing sent"
    return f"{video}: {facts['question']} -> {facts['answer']}, {arm}, {sizes}, {facts['latency_ms']:.1f} ms"


def _is_code(arm: str) -> bool:
    from approxbit.configuration import Configuration

    try:
        Configuration.parse(arm)
    except ValueError:
        return False
    return True
