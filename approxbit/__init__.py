"""Video models shared by an edge device and a server through learned binary codes.

    import approxbit

    model = approxbit.load("digits-movinet/16-Enc-B5")  # needs approxbit[serve] or approxbit[train]

Every name below loads its room on first use, so that `import approxbit` stays light on a device.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

from approxbit.trust import trust as trust  # at once: else the module of that name would stand in its place

if TYPE_CHECKING:  # what editors and type checkers read; a test holds it to the table below
    from approxbit.backbones.base import Backbone as Backbone
    from approxbit.backbones.feature import Feature as Feature
    from approxbit.backbones.feature import FeatureShape as FeatureShape
    from approxbit.backbones.splitting import GridLayout as GridLayout
    from approxbit.backbones.splitting import NotCleanError as NotCleanError
    from approxbit.backbones.splitting import OffloadPoint as OffloadPoint
    from approxbit.backbones.splitting import OffloadPoints as OffloadPoints
    from approxbit.backbones.splitting import SplitModel as SplitModel
    from approxbit.backbones.splitting import TokenLayout as TokenLayout
    from approxbit.backbones.splitting import UnknownLayoutError as UnknownLayoutError
    from approxbit.backbones.splitting import choose_offload_points as choose_offload_points
    from approxbit.backbones.splitting import offload_points as offload_points
    from approxbit.backbones.splitting import split as split
    from approxbit.codec import Code as Code
    from approxbit.codec import Codec as Codec
    from approxbit.codec import CodecOptions as CodecOptions
    from approxbit.configuration import Configuration as Configuration
    from approxbit.datasets.source import ClipSource as ClipSource
    from approxbit.datasets.videos import ListedClips as ListedClips
    from approxbit.edge.client import Edge as Edge
    from approxbit.errors import ApproxBitError as ApproxBitError
    from approxbit.errors import ArtefactError as ArtefactError
    from approxbit.errors import CudaError as CudaError
    from approxbit.errors import DatasetError as DatasetError
    from approxbit.errors import EngineError as EngineError
    from approxbit.errors import ExportError as ExportError
    from approxbit.errors import FingerprintError as FingerprintError
    from approxbit.errors import GateError as GateError
    from approxbit.errors import HashMismatchError as HashMismatchError
    from approxbit.errors import LinkError as LinkError
    from approxbit.errors import LinkTimeoutError as LinkTimeoutError
    from approxbit.errors import LUTError as LUTError
    from approxbit.errors import MissingKeyError as MissingKeyError
    from approxbit.errors import StreamError as StreamError
    from approxbit.errors import UntrustedError as UntrustedError
    from approxbit.errors import VideoError as VideoError
    from approxbit.errors import WeightsError as WeightsError
    from approxbit.errors import WireError as WireError
    from approxbit.errors import WrongShapeError as WrongShapeError
    from approxbit.families import available as available
    from approxbit.families import card as card
    from approxbit.families import load_lut as load_lut
    from approxbit.families.publish import push as push
    from approxbit.link import BandwidthEstimator as BandwidthEstimator
    from approxbit.link import Trace as Trace
    from approxbit.offload import OffloadedModel as OffloadedModel
    from approxbit.offload.streaming import EdgeStream as EdgeStream
    from approxbit.offload.streaming import ServerStream as ServerStream
    from approxbit.select import LUT as LUT
    from approxbit.select import AccuracySLA as AccuracySLA
    from approxbit.select import LatencySLA as LatencySLA
    from approxbit.select import LUTRow as LUTRow
    from approxbit.tasks import Classification as Classification
    from approxbit.tasks import LabelSet as LabelSet
    from approxbit.training import BackboneModule as BackboneModule
    from approxbit.training import ClipData as ClipData
    from approxbit.training import CodecModule as CodecModule
    from approxbit.wire import Answer as Answer
    from approxbit.wire import Packet as Packet
    from approxbit.wire import pack as pack
    from approxbit.wire import unpack as unpack
    from approxbit.zoo import build as build
    from approxbit.zoo import build_family as build_family
    from approxbit.zoo import load as load
    from approxbit.zoo import load_backbone as load_backbone
    from approxbit.zoo import load_family as load_family
    from approxbit.zoo import save_backbone as save_backbone
    from approxbit.zoo import save_codec as save_codec

    __version__: str

_HOME_OF = {
    "AccuracySLA": "select",
    "Answer": "wire",
    "ApproxBitError": "errors",
    "ArtefactError": "errors",
    "Backbone": "backbones.base",
    "BackboneModule": "training",
    "BandwidthEstimator": "link",
    "Classification": "tasks",
    "ClipData": "training",
    "ClipSource": "datasets.source",
    "Code": "codec",
    "Codec": "codec",
    "CodecModule": "training",
    "CodecOptions": "codec",
    "Configuration": "configuration",
    "CudaError": "errors",
    "DatasetError": "errors",
    "Edge": "edge.client",
    "EdgeStream": "offload.streaming",
    "EngineError": "errors",
    "ExportError": "errors",
    "Feature": "backbones.feature",
    "FeatureShape": "backbones.feature",
    "FingerprintError": "errors",
    "GateError": "errors",
    "GridLayout": "backbones.splitting",
    "HashMismatchError": "errors",
    "LUT": "select",
    "LUTError": "errors",
    "LUTRow": "select",
    "LabelSet": "tasks",
    "LatencySLA": "select",
    "LinkError": "errors",
    "LinkTimeoutError": "errors",
    "ListedClips": "datasets.videos",
    "MissingKeyError": "errors",
    "NotCleanError": "backbones.splitting",
    "OffloadPoint": "backbones.splitting",
    "OffloadPoints": "backbones.splitting",
    "OffloadedModel": "offload",
    "Packet": "wire",
    "ServerStream": "offload.streaming",
    "SplitModel": "backbones.splitting",
    "StreamError": "errors",
    "TokenLayout": "backbones.splitting",
    "Trace": "link",
    "UnknownLayoutError": "backbones.splitting",
    "UntrustedError": "errors",
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
    "push": "families.publish",
    "save_backbone": "zoo",
    "save_codec": "zoo",
    "split": "backbones.splitting",
    "trust": "trust",
    "unpack": "wire",
}

__all__ = sorted(_HOME_OF)


def _load(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("approxbit")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'approxbit' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module("approxbit." + _HOME_OF[name]), name)
    except ModuleNotFoundError as error:
        from approxbit.errors import advise_install

        raise ImportError(f"approxbit.{name} needs {advise_install(str(error.name))}") from error
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # which would take every name for one that is there
    __getattr__ = _load


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__, "__version__"})
