"""What people and the hub read of a published family: `README.md`, made of its cards and its LUT."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Iterator, Sequence

from approxbit.configuration import Configuration
from approxbit.families.cards import BackboneCard, Card, CodecCard
from approxbit.families.hub import PREFIX, import_hub
from approxbit.select import LUT
from approxbit.tasks import Task
from approxbit.trust import package_of

LIBRARY = "approxbit"
TAGS = (LIBRARY, "video", "edge", "split-computing")
UNKNOWN = "unknown"

# By `json_kind` of a task, what the hub calls it and its main figure.
HUB_TASKS = {
    "classification": ("video-classification", "accuracy"),
    "question_answering": ("video-text-to-text", "exact_match"),
}

TEMPLATE = """---
{metadata}
---

# {family}

A video model that an edge device and a server share: the device runs the first layers of `{builder}` and
sends a learned binary code of their output, the server decodes it and runs the rest.

```python
import approxbit

{use}
```

| model | label set | edge and server must share | tensors |
|---|---|---|---|
{models}
{arms}
## What was measured

{figures}

## How it was made

| file | command | seed | date | machine | license |
|---|---|---|---|---|---|
{provenance}
"""


def write_model_card(
    repository: str, backbone: BackboneCard, codecs: Sequence[CodecCard], lut: LUT | None
) -> str:
    """The text of `README.md`, with its metadata in the hub's YAML.

    Args:
        repository: `owner/name`.
        backbone: The card of the family's backbone.
        codecs: Those of its codecs.
        lut: What was measured of its arms; None for nothing.

    Raises:
        ImportError: huggingface_hub is not installed.
    """
    cards: list[Card] = [backbone, *codecs]
    return TEMPLATE.format(
        metadata=_metadata(backbone, cards),
        family=backbone.name,
        builder=backbone.builder,
        use=_use(f"{PREFIX}{repository}", backbone.builder, codecs),
        models="\n".join(_row(*_model_cells(each, backbone.task)) for each in cards),
        arms="" if lut is None else _arms(lut),
        figures="\n".join(_figures(cards)),
        provenance="\n".join(_row(*_provenance_cells(each)) for each in cards),
    )


def _use(source: str, builder: str, codecs: Sequence[CodecCard]) -> str:
    package = package_of(builder)
    first = f'approxbit.trust("{package}")  # has the code of the backbone\n' if package else ""
    if not codecs:
        return f'{first}backbone = approxbit.load_backbone("{source}")'
    return (
        f"{first}"
        f'model = approxbit.load("{source}/{codecs[0].configuration}")\n'
        f'edge = approxbit.Edge("{source}", server="host:50051")  # of `approxbit serve --family {source}`'
    )


def _metadata(backbone: BackboneCard, cards: Sequence[Card]) -> str:
    hub, licenses = import_hub(), {each.provenance.license.lower() for each in cards}
    results = [
        hub.EvalResult(
            task_type=HUB_TASKS[backbone.task.json_kind][0],
            dataset_type=_data_of(each),
            dataset_name=_data_of(each),
            dataset_split=each.provenance.split or None,
            metric_type=HUB_TASKS[backbone.task.json_kind][1],
            metric_name=f"{figure} of {name}",
            metric_value=value,
        )
        for each in cards
        for name, figure, value in _scores(each, backbone.task)
    ]
    data = hub.ModelCardData(
        license=licenses.pop() if len(licenses) == 1 else "other",
        library_name=LIBRARY,
        pipeline_tag=HUB_TASKS[backbone.task.json_kind][0],
        tags=list(TAGS),
        model_name=backbone.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _data_of(card: Card) -> str:
    """The clips that a card names."""
    return UNKNOWN if card.provenance.data is None else card.provenance.data.source


def _scores(card: Card, task: Task) -> Iterator[tuple[str, str, float]]:
    """Model, figure and value of each score in a card; those of nested models have their name before them."""
    for name, value in card.provenance.metrics.items():
        configuration, figure = _stem(card), name
        with suppress(ValueError):
            configuration = str(Configuration.parse(name.partition("_")[0]))
            figure = name.partition("_")[2]
        if figure in task.figures:
            yield configuration, figure, value


def _model_cells(card: Card, task: Task) -> list[Any]:
    asked = card.asked if isinstance(card, CodecCard) else task.asked
    return [f"`{_stem(card)}`", asked or "-", f"`{card.weights.fingerprint}`", len(card.weights.shapes)]


def _arms(lut: LUT) -> str:
    rows = [_row(f"`{row.arm}`", f"{row.payload_bytes:,.1f}", f"{row.accuracy:.2f}") for row in lut.rows]
    title = f"{lut.num_clips} {lut.split} clips, {lut.figures[0]}; {lut.device}; {lut.date}"
    return "\n".join(["", "| arm | payload, bytes | accuracy, % |", "|---|---|---|", *rows, "", title, ""])


def _figures(cards: Sequence[Card]) -> Iterator[str]:
    for card in cards:
        facts = ", ".join(f"{name} {value:g}" for name, value in card.provenance.metrics.items())
        split = f" ({card.provenance.split} clips)" if card.provenance.split else ""
        yield f"- `{_stem(card)}`{split}: {facts or 'nothing'}"


def _provenance_cells(card: Card) -> list[Any]:
    made = card.provenance
    seed = "-" if made.seed is None else made.seed
    return [
        f"`{_stem(card)}`",
        f"`{made.command}`" if made.command else "-",
        seed,
        made.date,
        made.machine,
        made.license,
    ]


def _stem(card: Card) -> str:
    return str(card.configuration) if isinstance(card, CodecCard) else "backbone"


def _row(*cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
