"""`approxbit evaluate`."""

import os
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

import typer

from approxbit.cli.console import (
    DATA,
    INTERRUPTED,
    JSON,
    TRUST,
    fail,
    print_json,
    print_table,
    print_text,
    say,
)

if TYPE_CHECKING:
    from approxbit.profiling.evaluation import EvaluatedArm, Evaluation

KEY_VARIABLE = "APPROXBIT_JUDGE_KEY"

NAME = typer.Argument(
    ..., metavar="FAMILY[/CONFIGURATION]", help="A family with all its configurations, or one of them."
)
SPLIT = typer.Option(
    "validation",
    help="Of the data: validation, test or test_b, if it has one. Choose on validation, report test once.",
)
CLIPS = typer.Option(
    None, min=1, help="Clips (of MSVD-QA, questions) at most; by default the whole split.", show_default=False
)
OUT = typer.Option(
    None,
    metavar="FILE.json",
    help="Figures and all answers, written after each configuration; the same command goes on from there.",
)
BATCH = typer.Option(32, min=1, help="Clips of a batch.")
DEVICE = typer.Option("cpu", help="Of torch, such as cuda.")
TOKENIZER = typer.Option(
    "", metavar="FOLDER", help="The tokenizer of a video-language model that came without one."
)
PROMPT = typer.Option(
    "", help="Of a video-language model, with <video> and {question}; by default that of its kind."
)
RANKED = typer.Option(
    0, min=0, help="Answers that a video-language model ranks: the commonest of the train split. Slow."
)
JUDGE = typer.Option(
    "",
    metavar="URL",
    help="An OpenAI-compatible endpoint that judges the answers, such as https://host/v1. It is sent the "
    f"questions and answers. A key is read from {KEY_VARIABLE}.",
)
JUDGE_MODEL = typer.Option("", metavar="NAME", help="The endpoint's model that judges.")


def evaluate(
    name: str = NAME,
    data: Optional[str] = DATA,
    split: str = SPLIT,
    clips: Optional[int] = CLIPS,
    out: Optional[Path] = OUT,
    judge: str = JUDGE,
    judge_model: str = JUDGE_MODEL,
    tokenizer: str = TOKENIZER,
    prompt: str = PROMPT,
    ranked: int = RANKED,
    batch_size: int = BATCH,
    device: str = DEVICE,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Measure how right a family's answers are: those of the unsplit model, and of every configuration.

    Beside each figure stands its interval of 95 % by bootstrap over clips, and beside each configuration its
    bytes. Questions are asked when the code is made already. Figures are in percent; `divergence` is
    KL(unsplit, configuration) of the answers in nats.
    """
    from approxbit.datasets.table import open_source
    from approxbit.profiling.evaluation import (
        Endpoint,
        Evaluation,
        Questioning,
        evaluate_family,
        judge_answers,
    )

    if bool(judge) != bool(judge_model):
        raise ValueError("expected --judge URL and --judge-model NAME together")
    if judge and out is None:
        raise ValueError("expected --out FILE.json with --judge, so that no answer is sent twice")
    endpoint = Endpoint(judge, judge_model, os.environ.get(KEY_VARIABLE, "")) if judge else None
    known = Evaluation.load(out) if out is not None and out.exists() else None

    def keep(found: "Evaluation") -> None:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            found.save(out)

    with interruptible(out), redirect_stdout(sys.stderr):  # progress bars
        found = evaluate_family(
            name,
            open_source(data) if data else None,
            split=split,
            num_clips=clips,
            known=known,
            keep=keep,
            questioning=Questioning(tokenizer, prompt, ranked),
            device=device,
            batch_size=batch_size,
        )
        if endpoint is not None and out is not None:
            found = judge_answers(found, endpoint, out.with_suffix(".judged.jsonl"))
            keep(found)
    _show(found, out, as_json)


@contextmanager
def interruptible(out: Optional[Path]) -> Iterator[None]:
    """End at an interruption with where to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        is_kept = out is not None and out.exists()
        fail(f"interrupted; the same command goes on from {out}" if is_kept else "interrupted", INTERRUPTED)


def _show(found: "Evaluation", out: Optional[Path], as_json: bool) -> None:
    if as_json:
        print_json(_without_entries(found))
    else:
        _print(found)
    if out is not None:
        say(f"figures and answers: {out}")


def _without_entries(found: "Evaluation") -> Dict[str, Any]:
    from approxbit.files import to_json

    document: Dict[str, Any] = to_json(found)
    del document["asked"]
    for arm in document["arms"]:
        del arm["answers"]
    return document


def _print(found: "Evaluation") -> None:
    plan = found.plan
    entries = f"{len(found.asked.questions):,} questions about " if found.asked.questions else ""
    print_text(f"{plan.family}: {entries}{found.num_clips:,} {plan.split} clips of {found.title}")
    print_text(f"in brackets: 95 %, by bootstrap over {found.num_groups:,} clips or groups of clips\n")
    primary = found.figures[0]
    has_types = any(arm.figures[primary].by_type for arm in found.arms if primary in arm.figures)
    header = ["arm", primary.replace("_", " ")]
    header += ["mean of types"] if has_types else []
    header += [each.replace("_", " ") for each in found.figures[1:]]
    header += ["live bits", "packed, bytes", "without dead bits", "coded"]
    rows = []
    for arm in found.arms:
        row = [arm.name, _cell(arm, primary, with_interval=True)]
        row += [_macro(arm, primary)] if has_types else []
        row += [_cell(arm, each, each.startswith("change")) for each in found.figures[1:]]
        rows.append([*row, *_bytes(arm)])
    print_table(header, rows)
    if has_types:
        _print_types(found, primary)
    if found.judge is not None:
        _print_judge(found)


def _print_types(found: "Evaluation", primary: str) -> None:
    print_text("")
    types = {kind: each.count for arm in found.arms for kind, each in arm.figures[primary].by_type.items()}
    header = [primary.replace("_", " "), "questions", *(arm.name for arm in found.arms)]
    rows = []
    for kind in sorted(types):
        cells = [arm.figures[primary].by_type.get(kind) for arm in found.arms]
        rows.append(
            [kind, f"{types[kind]:,}", *("-" if each is None else f"{each.value:.1f}" for each in cells)]
        )
    print_table(header, rows)


def _print_judge(found: "Evaluation") -> None:
    judge = found.judge
    assert judge is not None
    named = ", ".join(judge.models) or "no model's name"
    revisions = ", ".join(judge.revisions) or "no revision"
    days = " to ".join(dict.fromkeys((judge.first_date, judge.last_date)))
    print_text(
        f"\njudge: {judge.model} at {judge.host} ({named}; {revisions}), {days}: {judge.num_judged:,} "
        f"different answers, {judge.num_unparsable:,} without a verdict that could be read"
    )


def _cell(arm: "EvaluatedArm", figure: str, with_interval: bool = False) -> str:
    if figure not in arm.figures:
        return "-"
    found = arm.figures[figure].overall
    shown = f"{found.value:.3f}" if figure == "divergence" else f"{found.value:.1f}"
    if not with_interval or found.low is None or found.high is None:
        return shown
    return f"{shown} [{found.low:.1f}, {found.high:.1f}]"


def _macro(arm: "EvaluatedArm", figure: str) -> str:
    macro = arm.figures[figure].macro if figure in arm.figures else None
    return "-" if macro is None else f"{macro.value:.1f}"


def _bytes(arm: "EvaluatedArm") -> List[str]:
    if arm.num_bits is None:
        return ["-"] * 4
    coded = "-" if arm.coded_bytes is None else f"{arm.coded_bytes:,.1f}"
    return [
        f"{arm.live_bits} of {arm.num_bits}",
        f"{arm.packed_bytes:,}",
        f"{arm.live_packed_bytes:,}",
        coded,
    ]
