"""What the README of an artefact says: the commands to type where the artefact is to run."""

from __future__ import annotations

from approxbit.engines.artefact import Card
from approxbit.engines.build_script import SCRIPT_FILE
from approxbit.exporting.gate import Target

GUIDE_FILE = "README.txt"


def write_guide(card: Card, target: Target) -> str:
    """The text of `README.txt`."""
    sections = [_contents(card, target)]
    sections += [_with_onnxruntime(card)] if target.tensorrt is None else [_with_tensorrt(card, target)]
    if target.dynamic_batch is not None:
        sections.append(_with_triton(target.dynamic_batch))
    if target.notes:
        sections.append("To know\n\n" + "\n".join(f"- {note}" for note in target.notes))
    return "\n\n".join(sections) + "\n"


def _contents(card: Card, target: Target) -> str:
    edge, server = card.graphs["edge"], card.graphs["server"]
    clip = card.clip_format
    lines = [
        f"{card.name}, exported for {target.name}: {target.device}, {target.reader}",
        "",
        f"edge.onnx      {edge.inputs[0]} -> {edge.outputs[0]}",
        f"server.onnx    {server.inputs[0]} -> {server.outputs[0]}",
    ]
    if card.has_whole:
        whole = card.graphs["whole"]
        lines.append(f"whole.onnx     {whole.inputs[0]} -> {whole.outputs[0]}, the model without a cut")
    lines += [
        "reference.npz  clips, and the codes and answers that an engine must give",
        "card.json      what all of that is",
        "",
        f"A clip is {clip.num_frames} RGB frames, short side scaled to {clip.size} pixels and cropped in the "
        f"middle, in [0, 1], minus {clip.mean}, divided by {clip.std}.",
        f"A code is {card.code_format.payload_bytes} bytes.",
    ]
    if card.code_format.prior is not None:
        lines.append("With prior.tables, `packet` of its code format codes it in fewer.")
    return "\n".join(lines)


def _with_tensorrt(card: Card, target: Target) -> str:
    if target.name == "server":
        half, run = "server", "run([payload]).logits[0]"
    else:
        half, run = "edge", "run(clip).payload"
    where = "the server" if target.jetpack is None else f"the device (JetPack {target.jetpack})"
    return f"""\
On {where}, with TensorRT's Python API, numpy, and Python {target.python} or newer

    python3 {SCRIPT_FILE} . --graph {half}

builds the engine, compares it with reference.npz and refuses it if it is further off than
{card.tolerance}. The same as command lines of trtexec:

    python3 {SCRIPT_FILE} . --graph {half} --dry-run

Then, with `pip install approxbit`:

    from approxbit.engines.opening import open_{half}
    result = open_{half}(".", "tensorrt").{run}"""


def _with_onnxruntime(card: Card) -> str:
    return f"""\
On the device

    pip install approxbit onnxruntime

    import numpy as np
    from approxbit.engines.opening import open_edge, open_server
    clip = np.load("reference.npz")["clip"][0]
    payload = open_edge(".").run(clip).payload  # {card.code_format.payload_bytes} bytes
    answer = open_server(".").run([payload]).logits[0]"""


def _with_triton(max_batch: int) -> str:
    return f"""\
The server half in Triton Inference Server

    python3 -c 'from approxbit.exporting.triton import write_triton_repository as write
    write(".", "models", max_batch={max_batch})'
    tritonserver --model-repository=models"""
