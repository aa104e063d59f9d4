"""`approxbit list` and `approxbit inspect`."""

from typing import Any, Dict, List

import typer

from approxbit.cli.console import JSON, print_json, print_table

NAME = typer.Argument(
    ..., help="A family (digits-movinet), a model (digits-movinet/16-Enc-B5) or a builder (mvitv2_b)."
)


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


def inspect(name: str = NAME, as_json: bool = JSON) -> None:
    """Show where a backbone can be cut, and what each cut costs; of what is shipped, its card too.

    FLOPs are those of convolutions, matrix products and attention for one clip, 2 for each multiply-add.
    """
    from approxbit.zoo import BUILDERS, card, list_offload_points

    if name in BUILDERS:
        facts: Dict[str, Any] = {"name": name, "kind": "builder"}
        builder, arguments = name, {}
    else:
        shown: Any = _find_card(name)
        owner: Any = card(getattr(shown, "backbone", name))
        builder, arguments = owner.builder, owner.arguments
        facts = _card_facts(shown)
    points: List[Dict[str, Any]] = [
        {
            "offload_point": point.name,
            "feature_shape": list(point.feature_shape),
            "num_tokens": point.num_tokens,
            "float32_bytes": point.feature_bytes,
            "edge_flops": point.edge_flops,
            "edge_flops_share": round(point.edge_flops_share, 4),
        }
        for point in list_offload_points(builder, arguments)
    ]
    if as_json:
        print_json({**facts, "offload_points": points})
        return
    print_table([], [[key, str(value)] for key, value in facts.items()], num_text_columns=2)
    header = [
        "offload point",
        "feature [channel, time, height, width]",
        "class tokens",
        "float32 bytes",
        "edge GFLOPs",
        "share of FLOPs",
    ]
    print_table(
        header,
        [
            [
                point["offload_point"],
                str(point["feature_shape"]),
                str(point["num_tokens"]),
                f"{point['float32_bytes']:,}",
                f"{point['edge_flops'] / 1e9:,.3g}",
                f"{100 * point['edge_flops_share']:.1f} %",
            ]
            for point in points
        ],
        num_text_columns=2,
    )


def _find_card(name: str) -> Any:
    from approxbit.zoo import BUILDERS, card

    try:
        return card(name)
    except ValueError as error:
        raise ValueError(f"{error}; and there are the builders {', '.join(sorted(BUILDERS))}") from error


def _card_facts(card: Any) -> Dict[str, Any]:
    """A card, flat, without its long lists."""
    facts = {"name": card.name, "kind": card.kind, "label_set": card.label_set}
    for field in ("builder", "backbone"):
        if hasattr(card, field):
            facts[field] = getattr(card, field)
    if hasattr(card, "label_names"):
        facts["classes"] = len(card.label_names)
    facts["arguments"] = dict(card.arguments)
    facts["weights"] = f"{len(card.weights.shapes)} tensors, sha256 {card.weights.sha256}"
    facts["fingerprint"] = card.weights.fingerprint
    made = card.provenance
    facts["metrics"] = dict(made.metrics)
    for field in ("command", "recipe", "seed", "date", "machine", "license"):
        facts[field] = getattr(made, field)
    return facts
