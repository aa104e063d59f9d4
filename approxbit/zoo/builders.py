"""From the name of a builder to an untrained backbone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from approxbit import backbones
from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import movinet, movinet_small
from approxbit.trust import find_named, is_import_path
from approxbit.wire.frame import MAX_PAYLOAD_BYTES

MOVINETS = ("a0", "a1", "a2", "a3", "a4", "a5")


def _build(name: str, **arguments: Any) -> Backbone:
    """By a builder whose room is imported now, as it takes seconds."""
    with torch.device("cpu"):  # tensors of modules stay what they are
        make = getattr(backbones, name)
    built: Backbone = make(**arguments)
    return built


BUILDERS: dict[str, Callable[..., Backbone]] = {
    "movinet_small": movinet_small,
    **{name: partial(_build, name) for name in ("mvitv2_tiny", "mvitv2_b", "mvitv2_s")},
    "video_questions": partial(_build, "VideoQuestionModel"),
    **{f"movinet_{size}": partial(movinet, size) for size in MOVINETS},
    **{f"movinet_{size}_stream": partial(movinet, size, streaming=True) for size in MOVINETS},
    "video_llava_7b": partial(_build, "video_llava"),
    "llava_onevision_0_5b": partial(_build, "llava_onevision"),
    **{name: partial(_build, name) for name in ("video_llava_small", "llava_onevision_small")},
}


def is_builder(name: str) -> bool:
    """Whether a name is a builder of ours or an import path, and not a family."""
    return name in BUILDERS or is_import_path(name)


def build_backbone(builder: str, arguments: Mapping[str, Any] | None = None) -> Backbone:
    """An untrained backbone in eval mode; lists among the arguments become tuples, as JSON has none.

    Args:
        builder: Key of `BUILDERS`, or an import path into a trusted package, such as
            `my_package.models:make`. What it leads to returns a `Backbone`: a subclass of the user's own, or
            what `approxbit.split` makes of a model. It may load weights of its own.
        arguments: Its keyword arguments.

    Raises:
        UntrustedError: The package of the path is not trusted.
        ValueError: There is no such builder, it does not take these arguments, or it returns something else.
            (Whatever else a function of the user's raises, it raises here.)

    Example:
        >>> build_backbone("movinet_small", {"num_classes": 24, "clip_shape": [3, 8, 32, 32]}).clip_shape
        (3, 8, 32, 32)
    """
    return _call(find_named(builder, BUILDERS, "builder"), builder, arguments or {})


def build_on_meta(builder: str, arguments: Mapping[str, Any] | None = None) -> Backbone:
    """The same on the meta device: shapes without weights, at once and without memory for them.

    An import path may lead to code that cannot run there, such as one that asks a tensor for its value. It
    then runs for real, as `build_backbone` does.

    Raises:
        UntrustedError: The package of the path is not trusted.
        ValueError: As for `build_backbone`.
    """
    make = find_named(builder, BUILDERS, "builder")
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that weights cannot be copied there, as a user's code may do
            return _call(make, builder, arguments or {})
    except (Exception, SystemExit):
        if not is_import_path(builder):
            raise
    return _call(make, builder, arguments or {})


def _call(make: Callable[..., Any], builder: str, arguments: Mapping[str, Any]) -> Backbone:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    try:
        built = make(**plain)
    except TypeError as error:
        if is_import_path(builder):
            raise  # perhaps from deep within: its trace is what helps
        raise ValueError(f"{builder} does not take the arguments {plain!r:.200}: {error}") from error
    if not isinstance(built, Backbone):
        raise ValueError(
            f"{builder} must return an approxbit.Backbone, which approxbit.split makes of any model, found "
            f"a {type(built).__name__}"
        )
    return built.eval()


def check_backbone(backbone: Backbone) -> None:
    """Make sure that a backbone says what it must, in sizes that are no bomb.

    Raises:
        ValueError: A fact is of another type, or a clip has more bytes than a packet may hold.
    """
    shape, means = backbone.clip_shape, (backbone.mean, backbone.std)
    if (
        type(shape) is not tuple
        or [type(each) for each in shape] != [int] * 4
        or min(shape) < 1
        or math.prod(shape) > MAX_PAYLOAD_BYTES
    ):
        raise ValueError(
            "clip_shape: expected (channel, time, height, width) of whole numbers from 1 on, of together at "
            f"most {MAX_PAYLOAD_BYTES} values, found {shape!r:.100}"
        )
    if type(backbone.num_classes) is not int or backbone.num_classes < 0:
        raise ValueError(f"num_classes: expected a count, found {backbone.num_classes!r:.100}")
    for each in means:
        if len(each) != 3 or not all(type(value) in (int, float) and math.isfinite(value) for value in each):
            raise ValueError(f"mean and std: expected three finite numbers each, found {means!r:.100}")
    if not backbone.offload_points:
        raise ValueError("offload_points: expected at least one, found none")
