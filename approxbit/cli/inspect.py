"""`approxbit inspect`: where a backbone can be cut, and what the codes of a codec are worth."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Dict, List, Optional

import typer

from approxbit.cli.console import JSON, print_json, print_table, print_text

NAME = typer.Argument(
    ..., help="A family (digits-movinet), a model (digits-movinet/16-Enc-B5) or a builder (mvitv2_b)."
)
CLIPS = typer.Option(480, min=0, help="Test clips whose codes to look at; 0 shows a codec's card only.")
SILENCED = typer.Option(120, min=1, help="Clips, the first of them, to answer again without each bit.")
VIDEO = typer.Option(None, help="Look at the codes of your own video files instead; may be repeated.")
OUT = typer.Option(None, help="Where to write the picture of the codes (PNG).")

EXPLANATION = """
Entropies in bits: alone, and for who knows the same bit one time step earlier, the same bit to the left and
above, the other bits of the position, or all that a decoder knows by then. Near 0 are logits within 0.01.
On the right, what changes when the bit is held at its majority value: answers, their divergence in bits,
and accuracy in points.
"""


def inspect(
    name: str = NAME,
    clips: int = CLIPS,
    silenced_clips: int = SILENCED,
    video: Optional[List[Path]] = VIDEO,
    out: Optional[Path] = OUT,
    as_json: bool = JSON,
) -> None:
    """Show where a backbone can be cut, and what each cut costs; of what is shipped, its card too.

    Of a codec, also its codes: bits in use, entropy and what is redundant in it, what each bit does for the
    answer, and which clips have codes alike.

    FLOPs are those of convolutions, matrix products and attention for one clip, 2 for each multiply-add.
    """
    shows_codes = "/" in name and (clips > 0 or bool(video))
    if (video or out) and not shows_codes:
        raise ValueError(
            "--video and --out need a codec such as digits-movinet/16-Enc-B5 and --clips above 0, "
            f"found {name!r}"
        )
    facts, points = _find(name)
    codes = _inspect_codes(name, clips, silenced_clips, video or [], out) if shows_codes else {}
    if as_json:
        print_json({**facts, "offload_points": points, **({"codes": codes} if codes else {})})
        return
    print_table([], [[key, str(value)] for key, value in facts.items()], num_text_columns=2)
    _print_points(points)
    if codes:
        _print_codes(codes)
    if out:
        print_text(f"\npicture: {out}")


def _find(name: str) -> Any:
    """What is known of a name, and the offload points of the backbone behind it."""
    from approxbit.zoo import BUILDERS, card, list_offload_points

    if name in BUILDERS:
        facts: Dict[str, Any] = {"name": name, "kind": "builder"}
        builder, arguments = name, {}
    else:
        shown: Any = _find_card(name)
        owner: Any = card(getattr(shown, "backbone", name))
        builder, arguments = owner.builder, owner.arguments
        facts = {"name": name, **({"nested_in": shown.name} if shown.name != name else {})}
        facts.update(_card_facts(shown))
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
    return facts, points


def _print_points(points: List[Dict[str, Any]]) -> None:
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
    facts = {"kind": card.kind, "label_set": card.label_set}
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


def _inspect_codes(
    name: str, clips: int, silenced_clips: int, videos: List[Path], out: Optional[Path]
) -> Dict[str, Any]:
    """Everything that can be said of a codec's codes; the picture is drawn on the way."""
    from approxbit.profiling import inspect_codec
    from approxbit.report import Inspection, draw_inspection, judge

    with redirect_stdout(sys.stderr):  # progress bars
        codes = inspect_codec(name, videos, max(1, clips), silenced_clips)
    found = Inspection(**codes)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_inspection(out, found)
    return {**codes, "coded_bytes": round(found.coded_bytes, 2), "verdict": judge(found)}


def _print_codes(codes: Dict[str, Any]) -> None:
    tokens = f" and {codes['num_tokens']} class token(s)" if codes["num_tokens"] else ""
    grid = " x ".join(str(length) for length in codes["grid_size"])
    print_text(f"\ncodes of {codes['source']}: {codes['codebook_size']} bits at {grid} positions{tokens}")
    print_text(EXPLANATION)
    _print_bits(codes)
    _print_tokens(codes)
    print_text("")
    near = codes["nearest"]["examples"]
    rows = []
    for clip in near:
        rows.append([clip["clip"], clip["class"], ""])
        rows += [["  " + each["clip"], each["class"], str(each["distance"])] for each in clip["nearest"]]
    print_table(["nearest codes", "class", "bits apart"], rows, num_text_columns=2)
    print_text("")
    for sentence in codes["verdict"]:
        print_text(f"- {sentence}")


def _print_bits(codes: Dict[str, Any]) -> None:
    header = ["bit", "ones", "entropy", "step earlier", "left, above", "other bits", "when coded", "near 0"]
    header += ["answers change", "divergence", "accuracy"]
    near = codes["margin_shares"][codes["margin_distances"].index(0.01)]
    columns = ("entropy", "given_earlier", "given_neighbours", "given_others", "when_coded")
    rows = []
    for bit in range(codes["codebook_size"]):
        row = [str(bit), f"{100 * codes['ones'][bit]:.1f} %"]
        row += [f"{codes[column][bit]:.3f}" for column in columns]
        row += [f"{100 * near[bit]:.2f} %", *_importance_cells(codes["importance"], bit)]
        rows.append(row)
    print_table(header, rows)


def _print_tokens(codes: Dict[str, Any]) -> None:
    if not codes["num_tokens"]:
        return
    print_text("")
    header = ["class-token bit", "ones", "entropy", "answers change", "divergence", "accuracy"]
    rows = [
        [
            str(bit),
            f"{100 * codes['token_ones'][bit]:.1f} %",
            f"{codes['token_entropy'][bit]:.3f}",
            *_importance_cells(codes["token_importance"], bit),
        ]
        for bit in range(codes["codebook_size"])
    ]
    print_table(header, rows)


def _importance_cells(importance: Dict[str, Any], bit: int) -> List[str]:
    drop = importance["accuracy_drop"]
    return [
        f"{100 * importance['changed'][bit]:.1f} %",
        f"{importance['divergence'][bit]:.3f}",
        "-" if drop is None else f"{-100 * drop[bit]:+.1f}",
    ]
