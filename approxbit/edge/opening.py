"""From the name of a family to the device that answers for it, without torch in this process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from approxbit.edge.device import Device, open_device
from approxbit.engines.finding import find_prepared
from approxbit.errors import ArtefactError
from approxbit.families import split_name

EXPORTERS = ("torch", "onnx")
"""Without these nothing can be exported; the exporter itself names what else is missing."""


def open_family(name: str, num_threads: int = 1) -> Device:
    """The device of a family, or of one model of it, over the graphs that were exported for it.

    Graphs that are missing are exported first, by `approxbit export` in a process of its own, which says so
    on standard error; this process stays as small as it is on a device.

    Args:
        name: Such as `digits-movinet`, or `digits-movinet/16-Enc-B5` for the codes of one configuration.
        num_threads: Threads for each operator.

    Raises:
        ValueError: There is no such family or model, or `num_threads` is below 1.
        WeightsError: A card cannot be read.
        ArtefactError: An artefact is not the one that it should be, or the export has failed.
        ImportError: onnxruntime is not installed, or graphs are missing and cannot be exported here. The
            message says how they can come here.
    """
    family, configuration = split_name(name)
    chosen = [configuration] if configuration else None
    prepared = find_prepared(family, configurations=chosen) or find_prepared(family)
    if prepared is None:
        _export(name)
        prepared = find_prepared(family, configurations=chosen)
    if prepared is None:
        raise ArtefactError(f"{name} was exported, and its graphs are not there: is its cache being cleared?")
    return open_device(prepared, num_threads, chosen)


def _export(name: str) -> None:
    missing = [package for package in EXPORTERS if not _is_installed(package)]
    if missing:
        family = split_name(name)[0]
        raise ImportError(
            f"there are no exported graphs of {name} here, and exporting them needs {missing[0]}: "
            "pip install 'approxbit[export]'\n"
            f"or, where that is installed, run `approxbit export --config {family} --out FOLDER`; copy the "
            "folder here and set APPROXBIT_CACHE=FOLDER"
        )
    command = [sys.executable, "-m", "approxbit", "export", "--config", name]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    if finished.returncode:
        raise ArtefactError(f"the export of {name} has failed, as it says above")


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:  # a finder of the program's own may say so by an error
        return False
