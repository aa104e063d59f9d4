"""`approxbit list`, and what is known of a family's models without opening one."""

from typing import Any, Dict, List

from approxbit.cli.console import JSON, WRONG_USE, fail, print_json, print_table


def list_models(as_json: bool = JSON) -> None:
    """List the models that `approxbit run` and `approxbit.load` know, with their measurements.

    A family that cannot be read is named and left out; the command then ends with 1.
    """
    from approxbit.errors import ApproxBitError
    from approxbit.families import list_families

    rows: List[Dict[str, Any]] = []
    broken: List[str] = []
    for family in list_families():
        try:
            rows += describe_models(family)
        except ApproxBitError as error:
            broken.append(str(error))
    print_json(rows) if as_json else print_models(rows)
    if broken:
        fail("\n".join(broken), WRONG_USE)


def describe_models(family: str) -> List[Dict[str, Any]]:
    """What the cards and, where there is one, the LUT say about the models of a family."""
    from approxbit.families import find_configurations, load_lut, locate
    from approxbit.families.cards import CodecCard, load_card
    from approxbit.select import EDGE_ONLY

    try:
        lut = load_lut(family)
        measured = {row.arm: row for row in lut.rows}
    except ValueError:  # not measured yet
        measured = {}
    unsplit = measured[EDGE_ONLY].accuracy if EDGE_ONLY in measured else None
    root, local = locate(family)
    found = find_configurations(root / local)
    cards = {path: load_card(path, f"{local}/{path.stem}", CodecCard) for path in set(found.values())}
    rows = []
    for configuration in sorted(found):
        row = measured.get(str(configuration))
        rows.append(
            {
                "model": f"{family}/{configuration}",
                "label_set": cards[found[configuration]].asked,
                "bytes": round(row.payload_bytes, 1) if row else None,
                "accuracy": row.accuracy if row else None,
                "unsplit": unsplit if row else None,
            }
        )
    return rows


def print_models(rows: List[Dict[str, Any]]) -> None:
    """A line for each model; what was not measured is a dash."""
    print_table(
        ["model", "label set", "bytes", "accuracy %", "unsplit %"],
        [[_format(fact) for fact in row.values()] for row in rows],
        num_text_columns=2,
    )


def _format(fact: Any) -> str:
    if fact is None:
        return "-"
    return fact if isinstance(fact, str) else f"{fact:g}"
