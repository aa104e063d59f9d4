"""How the tensor at a cut is arranged, and the feature that it is the same as."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, cat

from approxbit.backbones.feature import Feature

Size = tuple[int, int, int]

FEATURE_AXES = "BCTHW"
GRID_AXES = "THW"
FRAMES_IN_BATCH = "(BT)"


@dataclass(frozen=True)
class GridLayout:
    """A tensor with one axis for each letter of `axes`.

    Args:
        axes: `B` batch (first), `C` channel, `T` time, `H` height and `W` width, as in `"BCTHW"` for
            convolutions or `"BTHWC"` for a Swin transformer. An axis that is left out has length 1:
            `"BCHW"` is a grid of one frame. `"(BT)CHW"` is a tensor whose first axis counts the frames of
            all clips, those of one clip after each other.

    Raises:
        ValueError: `axes` is no such string.
    """

    axes: str = FEATURE_AXES

    def __post_init__(self) -> None:
        letters = set(self.letters)
        is_known = {"B", "C"} <= letters <= set(FEATURE_AXES) and self.letters[0] == "B"
        if not is_known or len(letters) < len(self.letters):
            raise ValueError(
                "the axes of a layout are B, C and any of T, H and W, each once and B first, such as "
                f"'BCTHW', 'BTHWC' or '(BT)CHW', found {self.axes!r}"
            )

    @property
    def has_frames_in_batch(self) -> bool:
        """Whether the first axis counts frames."""
        return self.axes.startswith(FRAMES_IN_BATCH)

    @property
    def letters(self) -> str:
        """The axes after frames and batch have been separated."""
        return self.axes.replace(FRAMES_IN_BATCH, "BT", 1)

    def fits(self, shape: tuple[int, ...], size: Size | None = None) -> bool:
        """Whether tensors of `shape` can be arranged so; whatever their size."""
        return len(shape) == len(self.letters) - self.has_frames_in_batch

    def check(self, shape: tuple[int, ...]) -> None:
        """Make sure that tensors of `shape` can be arranged so.

        Raises:
            ValueError: They cannot.
        """
        if not self.fits(shape):
            num_axes = len(self.letters) - self.has_frames_in_batch
            raise ValueError(f"layout {self.axes!r} is for tensors of {num_axes} axes, found shape {shape}")

    def to_feature(self, value: Float[Tensor, ...], batch: int, size: Size | None = None) -> Feature:
        """The feature of `batch` clips; `to_tensor` is the inverse."""
        grid = value.unflatten(0, (batch, -1)) if self.has_frames_in_batch else value
        absent = [axis for axis in FEATURE_AXES if axis not in self.letters]
        for _ in absent:
            grid = grid.unsqueeze(-1)
        order = [(self.letters + "".join(absent)).index(axis) for axis in FEATURE_AXES]
        grid = grid.permute(order)
        return Feature(grid, grid.new_zeros(batch, 0, grid.shape[1]))

    def to_tensor(self, feature: Feature) -> Float[Tensor, ...]:
        """The tensor that the model works on."""
        absent = [axis for axis in FEATURE_AXES if axis not in self.letters]
        value = feature.grid.permute([FEATURE_AXES.index(axis) for axis in (*self.letters, *absent)])
        for _ in absent:
            value = value.squeeze(-1)
        return value.flatten(0, 1) if self.has_frames_in_batch else value


@dataclass(frozen=True)
class TokenLayout:
    """A tensor [batch, token, channel]: class tokens, then the positions of a grid.

    Args:
        size: Time, height and width of the grid.
        num_class_tokens: How many tokens stand before those of the grid.
        has_frames_in_batch: Whether the first axis counts the frames of all clips, each frame with its own
            class tokens; the time of `size` is then not used.
        order: How the positions follow each other, the axis that runs fastest last: `"THW"`, frame by frame
            and row by row (VideoMAE, ViViT, V-JEPA), or `"HWT"`, patch by patch through time (TimeSformer).

    Raises:
        ValueError: `order` is no order of T, H and W, or frames are in the batch axis and T is not first.
    """

    size: Size
    num_class_tokens: int = 0
    has_frames_in_batch: bool = False
    order: str = GRID_AXES

    def __post_init__(self) -> None:
        if sorted(self.order) != sorted(GRID_AXES):
            raise ValueError(f"the order of tokens is one of T, H and W, such as 'HWT', found {self.order!r}")
        if self.has_frames_in_batch and self.order[0] != "T":
            raise ValueError(f"with frames in the batch axis an order begins with T, found {self.order!r}")

    def fits(self, shape: tuple[int, ...], size: Size | None = None) -> bool:
        """Whether tensors of `shape` can be arranged so, with a grid of `size` (by default the layout's)."""
        return len(shape) == 3 and shape[1] == self._num_tokens(size)

    def check(self, shape: tuple[int, ...], size: Size | None = None) -> None:
        """Make sure that tensors of `shape` can be arranged so.

        Raises:
            ValueError: They cannot.
        """
        if not self.fits(shape, size):
            raise ValueError(
                f"a layout of {self.num_class_tokens} class tokens and a grid of {size or self.size} is for "
                f"tensors [batch, {self._num_tokens(size)}, channel], found shape {shape}"
            )

    def _num_tokens(self, size: Size | None) -> int:
        time, height, width = size or self.size
        num_positions = height * width if self.has_frames_in_batch else time * height * width
        return self.num_class_tokens + num_positions

    def to_feature(self, value: Float[Tensor, ...], batch: int, size: Size | None = None) -> Feature:
        """The feature of `batch` clips, with the class tokens beside the grid; `to_tensor` is the inverse.

        Args:
            value: The tensor that the model works on.
            batch: How many clips it is of.
            size: Size of its grid, where that is another than the layout's.

        Raises:
            ValueError: The tensor has another number of tokens than the layout.
        """
        self.check(tuple(value.shape), size)
        time, height, width = size or self.size
        classes, grid = value[:, : self.num_class_tokens], value[:, self.num_class_tokens :]
        if self.has_frames_in_batch:
            classes = classes.unflatten(0, (batch, -1)).flatten(1, 2)
            grid = grid.unflatten(0, (batch, -1)).flatten(1, 2)
            time = value.shape[0] // batch
        lengths = dict(zip(GRID_AXES, (time, height, width), strict=True))
        grid = grid.transpose(1, 2).unflatten(2, [lengths[axis] for axis in self.order])
        return Feature(grid.permute(0, 1, *(2 + self.order.index(axis) for axis in GRID_AXES)), classes)

    def to_tensor(self, feature: Feature) -> Float[Tensor, "batch token channel"]:
        """The tensor that the model works on."""
        ordered = feature.grid.permute(0, 1, *(2 + GRID_AXES.index(axis) for axis in self.order))
        grid, classes = ordered.flatten(2).transpose(1, 2), feature.tokens
        if self.has_frames_in_batch:
            time = feature.grid.shape[2]
            grid = grid.unflatten(1, (time, -1)).flatten(0, 1)
            classes = classes.unflatten(1, (time, -1)).flatten(0, 1) if self.num_class_tokens else classes
        return cat((classes, grid), dim=1) if self.num_class_tokens else grid


Layout = GridLayout | TokenLayout


def grid_size(grid: Tensor) -> Size:
    """Time, height and width of a convolution's output; an image is one frame."""
    time, height, width = (1, *grid.shape[2:])[-3:]
    return time, height, width
