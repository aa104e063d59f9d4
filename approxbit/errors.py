"""What a running system may want to catch.

    ApproxBitError
    ├── WireError               bytes that are not a well-formed packet or answer
    │   ├── FingerprintError    a packet made by other weights or preprocessing than the receiver's
    │   └── SessionError        a short message of no session that the receiver knows
    ├── LinkError               the other side could not be reached or did not answer
    │   └── LinkTimeoutError    it did not answer in time
    ├── StreamError             a code of a stream that does not follow the last one
    ├── VideoError              a video file that cannot be read, or is too short
    ├── DatasetError            a labels file or folder that is not in its official format
    ├── LUTError                a LUT file that cannot be read
    ├── ArtefactError           an exported folder that is broken, or is not the one its card describes
    ├── EngineError             a TensorRT engine that cannot be built, read or run
    │   └── CudaError           CUDA is missing, or reports a failure
    ├── UntrustedError          a card that names code of a package which the user does not trust
    ├── ExportError             a model that cannot become the graphs that its target asks for
    │   └── GateError           a graph that its target would refuse, or that gives other numbers
    └── WeightsError            weights that do not match what they are loaded into
        ├── HashMismatchError   the file is not the one that its card describes
        ├── MissingKeyError     keys are missing from, or unknown to, the model
        └── WrongShapeError     a tensor has another shape than the model's

A caller's mistake is a plain `ValueError` or `TypeError`; a missing optional package is an `ImportError`
that names the extra to install.
"""

import sys

EXTRAS = {
    "numba": "fast",
    **dict.fromkeys(("torch", "torchvision", "jaxtyping", "safetensors"), "serve"),
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript", "onnxslim"), "export"),
    "transformers": "vlm",
    "pytorchvideo": "pytorchvideo",
}
"""Packages by the smallest extra that has them; `train` has all others."""


def advise_install(package: str) -> str:
    """What is missing, and the smallest extra that brings it.

    Example:
        >>> advise_install("onnx")
        "the package onnx: pip install 'approxbit[export]'"
    """
    package = package.partition(".")[0]
    advice = f"the package {package}: pip install 'approxbit[{EXTRAS.get(package, 'train')}]'"
    is_too_old = sys.version_info < (3, 10)
    return f"{advice}, on Python 3.10 or newer" if is_too_old else advice


class ApproxBitError(Exception):
    """Root of everything that approxbit raises on purpose at run time."""


class WireError(ApproxBitError):
    """Bytes that are not a well-formed packet or answer."""


class FingerprintError(WireError):
    """A packet that was made by other weights or preprocessing than the receiver's."""


class SessionError(WireError):
    """A short message of no session that the receiver knows, or damaged: the two look the same."""


class LinkError(ApproxBitError):
    """The other side could not be reached, or broke off."""


class LinkTimeoutError(LinkError):
    """The other side did not answer in time."""


class StreamError(ApproxBitError):
    """A code that does not follow the last one of its stream: some are missing, or it came before."""


class VideoError(ApproxBitError):
    """A video file that cannot be read, or holds too few frames. The message names the file."""


class DatasetError(ApproxBitError):
    """A labels file or a video folder that is not in its official format. The message names the file."""


class LUTError(ApproxBitError):
    """A LUT file that cannot be read. The message names the file and the entry."""


class ArtefactError(ApproxBitError):
    """An exported folder that is broken, or not the one its card describes. The message names the entry."""


class EngineError(ApproxBitError):
    """A TensorRT engine that cannot be built, read or run. The message says which, why, and what to do."""


class CudaError(EngineError):
    """CUDA's run-time library is missing, or one of its functions failed."""


class ExportError(ApproxBitError):
    """A model that cannot become the graphs that its target asks for."""


class GateError(ExportError):
    """An exported graph that its target would refuse, or that gives other numbers than its model."""


class UntrustedError(ApproxBitError):
    """A name that leads to code of a package which the user does not trust. The message says the cure."""


class WeightsError(ApproxBitError):
    """Weights that do not match the model they are loaded into."""


class HashMismatchError(WeightsError):
    """A weights file that is not the one its card describes."""


class MissingKeyError(WeightsError):
    """A weights file that lacks keys of the model, or has keys that the model does not know."""


class WrongShapeError(WeightsError):
    """A tensor whose shape differs from the model's."""
