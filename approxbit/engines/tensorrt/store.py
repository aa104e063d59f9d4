"""Where built engines lie: each beside a record of what it was built of and how it compared.

An engine runs on one kind of GPU, with one version of TensorRT. Its file's name therefore ends in a hash of
both, of the graph and of the options; the record beside it, in JSON, has them in words.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from approxbit.errors import EngineError
from approxbit.files import load_json, save_json, sha256_of, write_whole

_HEADER = {"format": "approxbit-engine", "version": 1}
ENGINES_FOLDER = "engines"


@dataclass(frozen=True)
class EngineKey:
    """All that decides which engine comes out of a build.

    Attributes:
        graph: `edge`, `server` or `whole`.
        graph_digest: `GraphCard.digest`.
        gpu: Its name.
        compute_capability: Such as `8.7`.
        tensorrt: Its full version.
        options: The fields of `BuildOptions`.
    """

    graph: str
    graph_digest: str
    gpu: str
    compute_capability: str
    tensorrt: str
    options: Dict[str, Any]

    @property
    def hash(self) -> str:
        """16 hexadecimal digits."""
        return sha256_of(json.dumps(vars(self), sort_keys=True).encode())[:16]

    def runs_where(self, other: "EngineKey") -> bool:
        """Whether both are engines of one graph for one machine, built with whatever options."""
        return all(getattr(self, name) == getattr(other, name) for name in vars(self) if name != "options")


@dataclass(frozen=True)
class EngineRecord:
    """What the file beside an engine says.

    Attributes:
        key: What the engine was built of.
        engine_sha256: Of the engine's bytes.
        built: Time of the build, UTC, `YYYY-MM-DDThh:mm:ss`.
        build_seconds: How long it took.
        accepted: Whether the engine agreed with the reference.
        report: The comparison and the times, in numbers.
    """

    key: EngineKey
    engine_sha256: str
    built: str
    build_seconds: float
    accepted: bool
    report: Dict[str, Any]


class EngineStore:
    """A folder of engines and their records.

    Args:
        folder: Made when the first engine is saved.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def engine_path(self, key: EngineKey) -> Path:
        """Where the engine of a key lies, or would lie."""
        return self.folder / f"{key.graph}-{key.hash}.engine"

    def load(self, key: EngineKey) -> Optional[Tuple[bytes, EngineRecord]]:
        """The accepted engine of a key; None if there is none, or its file is not the recorded one."""
        path = self.engine_path(key)
        try:
            record = read_record(path.with_suffix(".json"))
            plan = path.read_bytes()
        except (OSError, EngineError):
            return None
        whole = record.key == key and record.engine_sha256 == sha256_of(plan)
        return (plan, record) if whole and record.accepted else None

    def save(self, plan: bytes, record: EngineRecord) -> Path:
        """Write an engine and its record; a refused engine is named `.rejected`, where no runner looks.

        Returns:
            Where the engine lies now.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.engine_path(record.key)
        rejected = path.with_suffix(".rejected")
        save_json(path.with_suffix(".json"), record, _HEADER)
        write_whole(path if record.accepted else rejected, plan)
        stale = rejected if record.accepted else path
        if stale.exists():
            stale.unlink()
        return path if record.accepted else rejected

    def find(self, key: EngineKey) -> Path:
        """The newest accepted engine of the key's graph for its machine, whatever its options.

        Raises:
            EngineError: There is none. The message says how to build one.
        """
        found = []
        for path in sorted(self.folder.glob(f"{key.graph}-*.json")):
            record, engine_path = read_record(path), path.with_suffix(".engine")
            if record.accepted and engine_path.exists() and record.key.runs_where(key):
                found.append((record.built, str(engine_path)))
        if not found:
            raise EngineError(
                f"{self.folder} holds no accepted {key.graph} engine of this export for {key.gpu} and "
                f"TensorRT {key.tensorrt}: build it here with build_engine.py --graph {key.graph}"
            )
        return Path(max(found)[1])


def read_record(path: Path) -> EngineRecord:
    """Read what `EngineStore.save` wrote beside an engine.

    Raises:
        EngineError: The file cannot be read or is not a record. The message names the entry.
    """
    return load_json(path, EngineRecord, EngineError, _HEADER)
