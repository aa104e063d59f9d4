"""`approxbit list`."""

from typing import Any, Dict

from approxbit.cli.console import JSON, print_json, print_table


def list_models(as_json: bool = JSON) -> None:
    """List the models that `approxbit run` and `approxbit.load` know, with their measurements."""
    from approxbit.zoo import available

    rows = [_describe(name) for name in available()]
    if as_json:
        print_json(rows)
        return
    header = ["model", "label set", "bytes", "accuracy %", "unsplit %"]
    print_table(
        header,
        [["-" if fact is None else str(fact) for fact in row.values()] for row in rows],
        num_text_columns=2,
    )


def _describe(name: str) -> Dict[str, Any]:
    """What the cards and, where there is one, the LUT say about a model."""
    from approxbit.select import EDGE_ONLY
    from approxbit.zoo import card, load_lut

    family, _, configuration = name.partition("/")
    facts: Dict[str, Any] = {"model": name, "label_set": card(name).label_set}
    facts.update(bytes=None, accuracy=None, unsplit=None)
    try:
        lut = load_lut(family)
        row = lut.row(configuration)
    except ValueError:  # not profiled yet
        return facts
    facts.update(bytes=int(row.payload_bytes), accuracy=row.accuracy)
    if EDGE_ONLY in lut.arms:
        facts["unsplit"] = lut.row(EDGE_ONLY).accuracy
    return facts
