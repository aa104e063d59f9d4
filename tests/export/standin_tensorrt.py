"""TensorRT on a machine without a GPU: a builder that notes what it is asked, and ONNX Runtime as engine.

It has the names of the version that it plays and no others. That those names are the genuine ones is what
`test_tensorrt_api.py` shows; that the genuine builder takes our calls, `test_rtx.py`.
"""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

_REFUSED_OPERATORS = {"BitShift"}


class DataType(enum.IntEnum):
    FLOAT = 0
    HALF = 1
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 8


_TYPES = {"float32": 0, "float16": 1, "int32": 3, "bool": 4, "uint8": 5, "int64": 8}
_ONNX_TYPES = {1: "float32", 10: "float16", 6: "int32", 9: "bool", 2: "uint8", 7: "int64"}


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class LayerType(enum.Enum):
    SOFTMAX = 1
    CONSTANT = 2
    OTHER = 3


class StandIn(ModuleType):
    """The module. What the last build was asked stands in `asked`; `spoil` may change an engine's outputs."""

    def __init__(self, version: str):
        super().__init__("tensorrt")
        self.__version__ = version
        major = int(version.split(".")[0])
        self.asked: dict[str, Any] = {}
        self.spoil: Callable[[str, np.ndarray], np.ndarray] = lambda name, array: array
        self.fails_to_build = False
        self.DataType, self.TensorIOMode, self.LayerType = DataType, TensorIOMode, LayerType
        self.float32, self.float16 = DataType.FLOAT, DataType.HALF
        self.Logger = SimpleNamespaceCallable
        self.IProfiler = object
        flags = ["EXPLICIT_BATCH"] if major < 11 else []
        flags += ["STRONGLY_TYPED"] if major >= 10 else []
        self.NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", flags, start=0)
        flags = ["FP16", "OBEY_PRECISION_CONSTRAINTS"] if major < 11 else []
        self.BuilderFlag = enum.Enum("BuilderFlag", [*flags, "TF32"])
        self.MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
        self.ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["DETAILED"])
        self.IBuilderConfig = _old_config() if version.startswith("8.5") else Config
        self.Builder = lambda logger: Builder(self)
        self.OnnxParser = lambda network, logger: Parser(network, names_nodes=major >= 10)
        self.Runtime = lambda logger: Runtime(self)

    @staticmethod
    def init_libnvinfer_plugins(logger: object, namespace: str) -> bool:
        return True


class SimpleNamespaceCallable:
    WARNING = "warning"

    def __init__(self, severity: str):
        assert severity == "warning"


class Builder:
    def __init__(self, trt: StandIn):
        self._trt = trt

    def create_network(self, flags: int) -> Network:
        names = {each.name for each in self._trt.NetworkDefinitionCreationFlag if flags & (1 << each.value)}
        self._trt.asked = {"network": names}
        return Network()

    def create_builder_config(self) -> Config:
        return self._trt.IBuilderConfig()

    def create_optimization_profile(self) -> OptimizationProfile:
        return OptimizationProfile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        if self._trt.fails_to_build:
            return None
        assert config.timing_cache is not None
        asked = self._trt.asked
        asked["flags"] = {each.name for each in config.on} | {f"no {each.name}" for each in config.off}
        asked["pinned"] = {layer.name for layer in network.layers if hasattr(layer, "precision")}
        asked["profiles"] = [profile.shapes for profile in config.profiles]
        asked["workspace"] = config.workspace
        asked["optimization_level"] = getattr(config, "builder_optimization_level", None)
        config.timing_cache.content = b"timings of this GPU"
        head = json.dumps({"version": self._trt.__version__}).encode()
        return head + b"\n" + network.model


class OptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, smallest: Any, typical: Any, largest: Any) -> None:
        self.shapes[name] = (smallest, typical, largest)


class TimingCache:
    def __init__(self, content: bytes):
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class Config:
    builder_optimization_level = None

    def __init__(self) -> None:
        self.on: list[Any] = []
        self.off: list[Any] = []
        self.profiles: list[OptimizationProfile] = []
        self.timing_cache: TimingCache | None = None
        self.profiling_verbosity = None
        self.workspace = 0

    def set_flag(self, flag: Any) -> None:
        self.on.append(flag)

    def clear_flag(self, flag: Any) -> None:
        self.off.append(flag)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.workspace = pool_size

    def create_timing_cache(self, content: bytes) -> TimingCache:
        return TimingCache(content)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        fits = cache.content in (b"", b"timings of this GPU")
        self.timing_cache = cache if fits else self.timing_cache
        return fits

    def get_timing_cache(self) -> TimingCache | None:
        return self.timing_cache

    def add_optimization_profile(self, profile: OptimizationProfile) -> None:
        self.profiles.append(profile)


def _old_config() -> type:
    """8.5 does not know how long it is to search."""
    members = {name: value for name, value in vars(Config).items() if name != "builder_optimization_level"}
    return type("Config", (), members)


class Network:
    def __init__(self) -> None:
        self.model = b""
        self.layers: list[Layer] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    num_layers = property(lambda self: len(self.layers))
    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    def get_output(self, index: int) -> Any:
        return self.outputs[index]


class Layer:
    def __init__(self, name: str, kind: LayerType, dtype: DataType):
        self.name, self.type, self.num_outputs, self._dtype = name, kind, 1, dtype

    def get_output(self, index: int) -> Any:
        return SimpleNamespace(dtype=self._dtype)

    def set_output_type(self, index: int, dtype: DataType) -> None:
        assert dtype == self.precision == self._dtype  # type: ignore[attr-defined]


class Parser:
    def __init__(self, network: Network, names_nodes: bool):
        self._network, self._names_nodes = network, names_nodes
        self._errors: list[Any] = []

    num_errors = property(lambda self: len(self._errors))

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse_from_file(self, path: str) -> bool:
        assert isinstance(path, str)
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
        types = {value.name: value.type.tensor_type.elem_type for value in _values(model)}
        for index, node in enumerate(model.graph.node):
            if node.op_type in _REFUSED_OPERATORS:
                self._errors.append(self._error(index, node))
            kind = LayerType.SOFTMAX if node.op_type == "Softmax" else LayerType.OTHER
            dtype = DataType(_TYPES[_ONNX_TYPES[types.get(node.output[0], onnx.TensorProto.FLOAT)]])
            self._network.layers += [Layer(node.name, kind, dtype), Layer(f"{node.name}_7", kind, dtype)]
        for target, values in (
            (self._network.inputs, model.graph.input),
            (self._network.outputs, model.graph.output),
        ):
            target += [SimpleNamespace(**facts) for facts in map(_facts, values)]
        self._network.model = model.SerializeToString()
        return not self._errors

    def _error(self, index: int, node: onnx.NodeProto) -> Any:
        facts = {"node": lambda: index, "desc": lambda: f"No importer registered for op: {node.op_type}"}
        if self._names_nodes:
            facts.update(node_name=lambda: node.name, node_operator=lambda: node.op_type)
        return SimpleNamespace(**facts)


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.value_info, *model.graph.input, *model.graph.output]


def _facts(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return {"name": value.name, "dtype": DataType(_TYPES[_ONNX_TYPES[kind.elem_type]]), "shape": shape}


class Runtime:
    def __init__(self, trt: StandIn):
        self._trt = trt

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        head, _, model = plan.partition(b"\n")
        try:
            fits = json.loads(head)["version"] == self._trt.__version__
        except ValueError:
            return None
        return Engine(self._trt, model) if fits else None


class Engine:
    def __init__(self, trt: StandIn, model: bytes):
        self.trt = trt
        proto = onnx.load_from_string(model)
        self.inputs, self.outputs = (
            list(map(_facts, side)) for side in (proto.graph.input, proto.graph.output)
        )
        self.session = onnxruntime.InferenceSession(model)
        self._facts = {facts["name"]: facts for facts in (*self.inputs, *self.outputs)}
        self.num_io_tensors = len(self._facts)

    def get_tensor_name(self, index: int) -> str:
        return list(self._facts)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        is_input = any(facts["name"] == name for facts in self.inputs)
        return TensorIOMode.INPUT if is_input else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return self._facts[name]["dtype"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._facts[name]["shape"]

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    """Reads and writes the memory whose addresses it was given, as the genuine one does."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shapes = {facts["name"]: facts["shape"] for facts in engine.inputs}
        self.profiler: Any = None

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if not stream_handle or any(-1 in shape for shape in self._shapes.values()):
            return False
        feeds = {}
        for facts in self._engine.inputs:
            shape = self._shapes[facts["name"]]
            feeds[facts["name"]] = self._memory(facts, shape).copy()
        results = self._engine.session.run(None, feeds)
        for facts, result in zip(self._engine.outputs, results, strict=True):
            spoilt = self._engine.trt.spoil(facts["name"], result)
            self._memory(facts, result.shape)[...] = spoilt
        if self.profiler is not None:
            self.profiler.report_layer_time("/encoder/Conv", 0.5)
            self.profiler.report_layer_time("/pack", 0.25)
        return True

    def _memory(self, facts: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
        dtype = np.dtype({value: key for key, value in _TYPES.items()}[facts["dtype"].value])
        size = int(np.prod(shape)) * dtype.itemsize
        block = (ctypes.c_uint8 * size).from_address(self._addresses[facts["name"]])
        return np.ctypeslib.as_array(block).view(dtype).reshape(shape)
