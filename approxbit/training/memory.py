"""The memory of a training: what is free, what a computation holds, what the process keeps."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # documented, for all its underscore
from torch.utils._pytree import tree_leaves

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask glibc to reuse large blocks instead of giving them back to the system after each operator.

    Activations of a video model are tens of megabytes each; by default every one of them is mapped,
    zeroed page by page and unmapped again.

    Returns:
        Whether the allocator took it; always False where it is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))


def free_bytes(device: torch.device) -> int:
    """What tensors on a device may still take, within the limit of a container too.

    Raises:
        ValueError: It cannot be known: the device is neither CUDA nor the host of a Linux system.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    facts = Path("/proc/meminfo")
    if device.type != "cpu" or not facts.exists():
        raise ValueError(f"the free memory of {device} cannot be known here: give MicroBatches a size")
    kilobytes = {name: value.split()[0] for name, value in _lines(facts, ":")}
    free = 1024 * int(kilobytes["MemAvailable"])
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and limit.read_text().strip().isdigit():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def _lines(path: Path, separator: str) -> list[list[str]]:
    return [line.split(separator, 1) for line in path.read_text().splitlines()]


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most that the tensors which a computation makes hold at one time, backward pass included.

    Every operator is watched, on any device; what operators use inside themselves is not seen.
    """
    watch = _Watch()
    with watch:
        compute()
    return watch.peak


class _Watch(TorchDispatchMode):
    """Counts the storages that appear, and those that go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._see((args, kwargs), counts=False)  # what was there before, which a view shows again
        result = func(*args, **(kwargs or {}))
        self._see(result, counts=True)
        return result

    def _see(self, values: Any, counts: bool) -> None:
        for each in tree_leaves(values):
            if not isinstance(each, Tensor):
                continue
            storage = each.untyped_storage()
            key = storage._cdata
            if key in self._known:
                continue
            size = storage.nbytes() if counts else 0
            self._known.add(key)
            weakref.finalize(storage, self._forget, key, size)
            self.now += size
            self.peak = max(self.peak, self.now)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
