"""Video models shared by an edge device and a server through learned binary codes.

    import approxbit

    model = approxbit.load("digits-movinet/16-Enc-B5")  # needs approxbit[serve] or approxbit[train]

Every name below loads its room on first use, so that `import approxbit` stays light on a device.
"""

import importlib
from typing import Any, List

_HOME_OF = {
    "AccuracySLA": "select",
    "Answer": "wire",
    "ApproxBitError": "errors",
    "ArtefactError": "errors",
    "Backbone": "backbones.base",
    "BandwidthEstimator": "link",
    "Code": "codec",
    "Codec": "codec",
    "Configuration": "configuration",
    "CudaError": "errors",
    "DatasetError": "errors",
    "EdgeStream": "offload.streaming",
    "EngineError": "errors",
    "ExportError": "errors",
    "Feature": "backbones.feature",
    "FingerprintError": "errors",
    "GateError": "errors",
    "HashMismatchError": "errors",
    "LUT": "select",
    "LUTError": "errors",
    "LUTRow": "select",
    "LatencySLA": "select",
    "LinkError": "errors",
    "LinkTimeoutError": "errors",
    "MissingKeyError": "errors",
    "OffloadPoint": "backbones.splitting",
    "OffloadedModel": "offload",
    "Packet": "wire",
    "ServerStream": "offload.streaming",
    "StreamError": "errors",
    "Trace": "link",
    "VideoError": "errors",
    "WeightsError": "errors",
    "WireError": "errors",
    "WrongShapeError": "errors",
    "available": "families",
    "build": "zoo",
    "build_family": "zoo",
    "card": "families",
    "choose_offload_points": "backbones.splitting",
    "load": "zoo",
    "load_backbone": "zoo",
    "load_family": "zoo",
    "load_lut": "families",
    "offload_points": "backbones.splitting",
    "pack": "wire",
    "split": "backbones.splitting",
    "unpack": "wire",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("approxbit")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'approxbit' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module("approxbit." + _HOME_OF[name]), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"approxbit.{name} needs the package {error.name}: "
            "pip install 'approxbit[serve]', or [train] to train too"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__, "__version__"})
