"""`approxbit list` and `approxbit inspect`."""

from typing import Any, Dict, List

import typer

from approxbit.cli.console import JSON, print_json, print_table

NAME = typer.Argument(..., help="A family (digits-movinet) or a model (digits-movinet/16-Enc-B5).")


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
    """Show the card of a backbone or a codec, and where its backbone can be cut."""
    from approxbit.zoo import build_backbone, card

    shown = card(name)
    backbone_card = shown if "/" not in name else card(getattr(shown, "backbone", name))
    backbone = build_backbone(getattr(backbone_card, "builder", ""), getattr(backbone_card, "arguments", {}))
    points: List[Dict[str, Any]] = []
    for point in backbone.offload_points:
        shape = list(backbone.feature_shape(point))
        tokens = backbone.num_tokens(point)
        size = shape[0] * (shape[1] * shape[2] * shape[3] + tokens)
        points.append(
            {"offload_point": point, "feature_shape": shape, "num_tokens": tokens, "float32_bytes": 4 * size}
        )
    facts = _card_facts(shown)
    if as_json:
        print_json({**facts, "offload_points": points})
        return
    print_table([], [[key, str(value)] for key, value in facts.items()], num_text_columns=2)
    header = ["offload point", "feature [channel, time, height, width]", "class tokens", "float32 bytes"]
    print_table(
        header,
        [
            [
                point["offload_point"],
                str(point["feature_shape"]),
                str(point["num_tokens"]),
                f"{point['float32_bytes']:,}",
            ]
            for point in points
        ],
        num_text_columns=2,
    )


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
