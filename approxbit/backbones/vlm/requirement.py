"""The one door to transformers, which only the video-language models need."""

from __future__ import annotations

from types import ModuleType

OLDEST, TOO_NEW = (5, 18), (6, 0)


def require_transformers() -> ModuleType:
    """The transformers package, imported when it is asked for.

    Raises:
        ImportError: It is not installed, or is not of a version that takes visual embeddings in
            `generate(mm_encoder_outputs=...)`.
    """
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "video-language models need transformers: install the extra with pip install 'approxbit[vlm]'"
        ) from error
    major, minor = transformers.__version__.split(".")[:2]
    if not OLDEST <= (int(major), int(minor)) < TOO_NEW:
        raise ImportError(
            f"video-language models need transformers>=5.18,<6, found {transformers.__version__}: "
            "pip install 'approxbit[vlm]'"
        )
    return transformers
