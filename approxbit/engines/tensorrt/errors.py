"""What can go wrong with TensorRT and CUDA on a device."""

from approxbit.errors import ApproxBitError


class EngineError(ApproxBitError):
    """An engine that cannot be built, read or run. The message says which, why, and what to do."""


class CudaError(EngineError):
    """CUDA's run-time library is missing, or one of its functions failed."""
