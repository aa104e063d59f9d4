"""`approxbit inspect`: what a card says, where a backbone can be cut, what the codes of a codec are worth."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Dict, List, Optional

import typer

from approxbit.cli.console import DATA, JSON, TRUST, print_json, print_table, print_text
from approxbit.cli.models import describe_models, print_models
from approxbit.errors import advise_install
from approxbit.trust import trust_package_of

NAME = typer.Argument(
    ...,
    help="A family (digits-movinet), a model (digits-movinet/16-Enc-B5), a builder (mvitv2_b) or an import "
    "path (my_package.models:make).",
)
POINTS = typer.Option(
    False, "--points", help="Show where the backbone can be cut; needs torch. Of a builder always shown."
)
CODES = typer.Option(
    False, "--codes", help="Look at the codes of a codec; needs torch, and half a minute at least."
)
CLIPS = typer.Option(480, min=1, help="Test clips whose codes to look at.")
SILENCED = typer.Option(120, min=1, help="Clips, the first of them, to answer again without each bit.")
VIDEO = typer.Option(None, help="Look at the codes of your own video files instead; may be repeated.")
OUT = typer.Option(None, help="Where to write the picture of the codes (PNG).")
NUM_NAMES = 3

EXPLANATION = """
Entropies in bits: alone, and for who knows the same bit one time step earlier, the same bit to the left and
above, the other bits of the position, or all that a decoder knows by then. Near 0 are logits within 0.01.
On the right, what changes when the bit is held at its majority value: answers, their divergence in bits,
and accuracy in points.
"""


def inspect(
    name: str = NAME,
    shows_points: bool = POINTS,
    shows_codes: bool = CODES,
    clips: int = CLIPS,
    silenced_clips: int = SILENCED,
    video: Optional[List[Path]] = VIDEO,
    data: Optional[str] = DATA,
    out: Optional[Path] = OUT,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Show what is known of a family or a model: labels, figures, how it was made; of a family, its models.

    Of each point where a backbone can be cut, what it costs: FLOPs are those of convolutions, matrix
    products and attention for one clip, 2 for each multiply-add. Of codes, what they are worth: bits in use,
    entropy and what is redundant in it, what each bit does for the answer, and which clips have codes alike.
    """
    from approxbit.families import split_name

    if (video or data or out) and not shows_codes:
        raise ValueError("--video, --data and --out need --codes")
    if video and data:
        raise ValueError("expected --video or --data, found both")
    if shows_codes and not split_name(name)[1]:
        raise ValueError(f"--codes needs a codec such as digits-movinet/16-Enc-B5, found {name!r}")
    facts = _find(name)
    if shows_points or facts["kind"] == "builder":
        facts["offload_points"] = _find_points(facts)
    if shows_codes:
        facts["codes"] = _inspect_codes(name, clips, silenced_clips, video or [], data, out)
    if as_json:
        print_json(facts)
        return
    _print_facts(facts)
    if "offload_points" in facts:
        _print_points(facts["offload_points"])
    if "codes" in facts:
        _print_codes(facts["codes"])
    if out:
        print_text(f"\npicture: {out}")


def _find(name: str) -> Dict[str, Any]:
    """What is known of a name without opening what it names."""
    from approxbit.families import list_families, split_name
    from approxbit.families.hub import is_hub_name

    family, configuration = split_name(name)
    is_family = is_hub_name(name) or family in list_families()
    models = describe_models(family) if is_family else []
    if configuration:
        return _model_facts(name, models)
    if is_family:
        return {**_family_facts(name), "models": models}
    known = f"the families {', '.join(list_families()) or '(none)'}, a model of one"
    try:
        from approxbit.zoo import BUILDERS, is_builder
    except ModuleNotFoundError as error:
        hint = f"builders such as mvitv2_b need {advise_install(str(error.name))}"
        raise ImportError(f"expected {known} or a builder, found {name!r}; {hint}") from error
    if not is_builder(name):
        raise ValueError(
            f"expected {known}, a builder ({', '.join(sorted(BUILDERS))}) or an import path such as "
            f"my_package.models:make, found {name!r}"
        )
    trust_package_of(name)
    return {"name": name, "kind": "builder", "builder": name, "arguments": {}}


def _model_facts(name: str, models: List[Dict[str, Any]]) -> Dict[str, Any]:
    from approxbit.families import card, locate

    shown = card(name)
    is_nested = shown.name != locate(name)[1]
    facts = {"name": name, **({"nested_in": shown.name} if is_nested else {}), **_card_facts(shown)}
    (measured,) = (each for each in models if each["model"] == name)
    return {**facts, **{key: measured[key] for key in ("bytes", "accuracy", "unsplit")}}


def _family_facts(family: str) -> Dict[str, Any]:
    """Of its backbone; a family of codecs alone has none."""
    from approxbit.families import card, locate
    from approxbit.families.folder import BACKBONE

    root, local = locate(family)
    if not (root / local / f"{BACKBONE}.json").is_file():
        return {"name": family, "kind": "family"}
    return {"name": family, **_card_facts(card(family))}


def _find_points(facts: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Where the backbone behind a name can be cut."""
    from approxbit.families import locate
    from approxbit.zoo import list_offload_points

    name = facts["name"] if "builder" in facts else facts.get("backbone")
    root = None if "builder" in facts else locate(facts["name"])[0]
    if name is None:
        raise ValueError(f"{facts['name']} has codecs only: name one of them to see its backbone's points")
    return [
        {
            "offload_point": point.name,
            "feature_shape": list(point.feature_shape),
            "num_tokens": point.num_tokens,
            "float32_bytes": point.feature_bytes,
            "edge_flops": point.edge_flops,
            "edge_flops_share": round(point.edge_flops_share, 4),
        }
        for point in list_offload_points(name, checkpoints=root)
    ]


def _print_facts(facts: Dict[str, Any]) -> None:
    lines = {key: value for key, value in facts.items() if key not in ("models", "offload_points", "codes")}
    if "label_names" in lines:
        names = lines["label_names"]
        shown = ", ".join(names[:NUM_NAMES]) + (", ..." if len(names) > NUM_NAMES else "")
        lines["label_names"] = f"{len(names)}: {shown}" if names else "not known"
    print_table([], [[key, str(value)] for key, value in lines.items()], num_text_columns=2)
    if facts.get("models"):
        print_text("")
        print_models(facts["models"])


def _print_points(points: List[Dict[str, Any]]) -> None:
    print_text("")
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


def _card_facts(card: Any) -> Dict[str, Any]:
    """A card, flat, without the shapes of its tensors."""
    task = getattr(card, "task", card)  # a codec has that of its backbone, and says what is asked
    facts: Dict[str, Any] = {"kind": card.kind, "asked": task.asked}
    for field in ("builder", "backbone"):
        if hasattr(card, field):
            facts[field] = getattr(card, field)
    if task is not card:
        sets = getattr(task, "label_sets", ())
        facts["label_sets"] = {each.name: each.num_classes for each in sets}
        facts["label_names"] = list(task.class_names)
    facts["arguments"] = dict(card.arguments)
    facts["weights"] = f"{len(card.weights.shapes)} tensors, sha256 {card.weights.sha256}"
    facts["fingerprint"] = card.weights.fingerprint
    made = card.provenance
    facts["metrics"] = dict(made.metrics)
    facts["data"] = {"source": made.data.source, **made.data.arguments} if made.data else None
    for field in ("split", "command", "recipe", "seed", "date", "machine", "license"):
        facts[field] = getattr(made, field)
    if made.checkpoint_sha256:
        facts["checkpoint_sha256"] = made.checkpoint_sha256
    return facts


def _inspect_codes(
    name: str,
    clips: int,
    silenced_clips: int,
    videos: List[Path],
    data: Optional[str],
    out: Optional[Path],
) -> Dict[str, Any]:
    """Everything that can be said of a codec's codes; the picture is drawn on the way."""
    from approxbit.datasets.table import open_source
    from approxbit.datasets.videos import clips_of_files
    from approxbit.profiling import inspect_codec
    from approxbit.report import Inspection, draw_inspection, judge
    from approxbit.zoo import load

    with redirect_stdout(sys.stderr):  # progress bars
        if videos:
            source = clips_of_files(videos, load(name).backbone.clip_shape)
            codes = inspect_codec(name, source, "video", len(videos), silenced_clips)
        else:
            chosen = open_source(data) if data else None
            codes = inspect_codec(name, chosen, num_clips=clips, num_importance=silenced_clips)
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
        "-" if drop is None else f"{0.0 - 100 * drop[bit]:+.1f}",
    ]
