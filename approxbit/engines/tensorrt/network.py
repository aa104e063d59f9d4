"""An ONNX file as TensorRT's network definition, with the types and shapes that its card says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from approxbit.engines.artefact import GraphCard
from approxbit.engines.tensorrt.graph import DTYPES
from approxbit.engines.tensorrt.library import Features
from approxbit.errors import EngineError


def create_network(trt: Any, builder: Any, precision: str) -> Any:
    """An empty network whose flags suit the precision and the version."""
    features, flags = Features.of(trt), 0
    if features.explicit_batch:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    if precision == "strong-fp16" and features.strong_types:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return builder.create_network(flags)


def parse_onnx(trt: Any, network: Any, path: Path, logger: Any) -> None:
    """Fill a network from a file; weights beside the file are found there.

    Raises:
        EngineError: TensorRT's parser refuses the graph. The message lists each node and the reason.
    """
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        lines = [_describe(parser.get_error(index)) for index in range(parser.num_errors)]
        raise EngineError("\n  ".join([f"TensorRT {trt.__version__} cannot read {path}:", *lines]))


def _describe(error: Any) -> str:
    where = f"node {error.node()}"
    if hasattr(error, "node_name"):  # from 10.0 on
        where += f" ({error.node_operator()}, {error.node_name()})"
    return f"{where}: {error.desc()}"


def check_tensors(network: Any, graph: GraphCard) -> None:
    """Let only networks pass whose inputs and outputs are those of the card.

    Raises:
        EngineError: They are others.
    """
    for side, count, get in (
        ("inputs", network.num_inputs, network.get_input),
        ("outputs", network.num_outputs, network.get_output),
    ):
        expected = [(each.name, each.dtype, each.shape) for each in getattr(graph, side)]
        found = [_tensor_facts(get(index)) for index in range(count)]
        if found != expected:
            raise EngineError(f"{graph.file}: expected the {side} {expected}, TensorRT reads {found}")


def _tensor_facts(tensor: Any) -> tuple[str, str, tuple[int | None, ...]]:
    shape = tuple(None if size < 0 else int(size) for size in tensor.shape)
    return tensor.name, DTYPES.get(tensor.dtype.name, tensor.dtype.name), shape


def add_batch_profile(builder: Any, config: Any, graph: GraphCard, max_batch: int) -> bool:
    """Say between which batches the engine must work, if the graph leaves the batch open.

    The engine is tuned for half of the largest batch: a server that waits for company rarely sees all of it.
    """
    if all(None not in tensor.shape for tensor in graph.inputs):
        return False
    profile = builder.create_optimization_profile()
    for tensor in graph.inputs:
        smallest, typical, largest = (
            tuple(batch if size is None else size for size in tensor.shape)
            for batch in (1, max(1, max_batch // 2), max_batch)
        )
        profile.set_shape(tensor.name, smallest, typical, largest)
    config.add_optimization_profile(profile)
    return True


def pin_float32(trt: Any, network: Any, node_names: tuple[str, ...]) -> tuple[int, list[str]]:
    """Keep layers in FP32 where TensorRT may choose: those of the named nodes, and every softmax.

    The sums of squares of a LayerNorm overflow in FP16, and the answer is NaN or, worse, nearly right.

    Returns:
        How many layers are pinned, and the nodes of which no layer was found.
    """
    num_pinned, missing = 0, set(node_names)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        node = _node_of(layer.name, node_names)
        if node is not None:
            missing.discard(node)
        if (node is not None or layer.type == trt.LayerType.SOFTMAX) and _has_float_outputs(trt, layer):
            layer.precision = trt.float32
            for output in range(layer.num_outputs):
                layer.set_output_type(output, trt.float32)
            num_pinned += 1
    return num_pinned, [name for name in node_names if name in missing]


def _node_of(layer_name: str, node_names: tuple[str, ...]) -> str | None:
    """The node that a layer was made of: TensorRT numbers the second and later layers of a node."""
    for name in (layer_name, re.sub(r"_\d+$", "", layer_name)):
        if name in node_names:
            return name
    return None


def _has_float_outputs(trt: Any, layer: Any) -> bool:
    if layer.type == trt.LayerType.CONSTANT:
        return False
    return all(
        layer.get_output(index).dtype in (trt.float32, trt.float16) for index in range(layer.num_outputs)
    )
