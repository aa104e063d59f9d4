"""Variables of TensorFlow checkpoints and SavedModels by their names; the one file that needs TensorFlow."""

from __future__ import annotations

import re
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from approxbit.backbones.official.report import LeftOut
from approxbit.errors import WeightsError

MAX_UNPACKED_BYTES = 4 << 30
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# Keys of what belongs to the training and not to the model.
TRAINING_KEY = re.compile(r"(optimizer|save_counter|global_step)/|.*/\.OPTIMIZER_SLOT/")


def is_tensorflow(path: Path) -> bool:
    """Whether a path is a folder, a tar file (packed or not), or the prefix of a checkpoint's files."""
    return path.is_dir() or _index_of(path).is_file() or (path.is_file() and _is_tar(path))


def read_tensorflow(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[LeftOut, ...]]:
    """The variables of a checkpoint or SavedModel under the names that they had in the model.

    Args:
        path: A folder with one of them, a tar file of such a folder, or the prefix of a checkpoint.

    Returns:
        Name -> value, and what belongs to the training.

    Raises:
        ImportError: TensorFlow is not installed.
        WeightsError: There is no checkpoint, it is damaged, or its variables have no names of their own.
    """
    if path.is_dir() or _index_of(path).is_file():
        return _read_prefix(path, find_prefix(path))
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, Path(folder))
        return _read_prefix(path, find_prefix(Path(folder), shown=path))


def _index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(262)
    return start[:2] == b"\x1f\x8b" or start[257:] == b"ustar"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            num_bytes = sum(member.size for member in archive)
            if num_bytes > MAX_UNPACKED_BYTES:
                raise WeightsError(
                    f"{path}: at most {MAX_UNPACKED_BYTES:,} bytes were expected in it, found {num_bytes:,}"
                )
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise WeightsError(f"{path}: is a damaged or incomplete tar file: {error}") from error


def find_prefix(path: Path, shown: Path | None = None) -> Path:
    """The checkpoint below a folder, without `.index`; of several, the one with the highest number."""
    if not path.is_dir():
        return path
    indices = sorted(path.rglob("*.index"), key=lambda index: (len(index.name), index.name))
    if not indices:
        raise WeightsError(f"{shown or path}: a TensorFlow checkpoint was expected, found no .index file")
    return indices[-1].with_suffix("")


def _read_prefix(path: Path, prefix: Path) -> tuple[dict[str, NDArray[Any]], tuple[LeftOut, ...]]:
    try:
        import tensorflow
        from tensorflow.core.protobuf import trackable_object_graph_pb2
    except ImportError as error:
        raise ImportError(
            f"{path}: reading a TensorFlow checkpoint needs TensorFlow: pip install tensorflow"
        ) from error
    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        keys = set(reader.get_variable_to_shape_map())
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        if OBJECT_GRAPH in keys:
            graph.ParseFromString(reader.get_tensor(OBJECT_GRAPH))
        names = _names_of(graph) or {key: key for key in keys}
        training = tuple(key for key in names if TRAINING_KEY.match(key))
        wanted = {key: name for key, name in names.items() if key in keys and key not in training}
        if len(set(wanted.values())) < len(wanted):
            raise WeightsError(
                f"{path}: variables with a name each were expected, found {len(wanted)} variables with "
                f"{len(set(wanted.values()))} names; save them from a model of Keras 2"
            )
        variables = {name: np.array(reader.get_tensor(key)) for key, name in wanted.items()}
    except (tensorflow.errors.OpError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: is a damaged TensorFlow checkpoint: {error}") from error
    return variables, (LeftOut(training, "of the training"),) if training else ()


def _names_of(graph: Any) -> dict[str, str]:
    """Key in the checkpoint -> name in the model; TensorFlow 2 writes the graph that says so."""
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.name == "VARIABLE_VALUE"
    }
