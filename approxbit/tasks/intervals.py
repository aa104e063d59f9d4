"""Means of what was found clip by clip, each with the interval that other clips might have given."""

from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

LEVEL = 95.0
NUM_RESAMPLES = 1000
_CHUNK = 50  # resamples at a time, so that many groups take little memory


@dataclass(frozen=True)
class Interval:
    """A mean.

    Attributes:
        value: The mean itself.
        low: Where the middle 95 % of the means of resampled groups begin; None where there is one group.
        high: Where they end.
        count: Of how many values.
    """

    value: float
    low: Optional[float]
    high: Optional[float]
    count: int


@dataclass(frozen=True)
class Summary:
    """A figure of one arm.

    Attributes:
        overall: Mean of all values.
        macro: Mean of the means of all question types; None where there are no types.
        by_type: Mean for each question type that occurs.
    """

    overall: Interval
    macro: Optional[Interval] = None
    by_type: Mapping[str, Interval] = field(default_factory=dict)


class Bootstrap:
    """Draws groups of values with replacement: questions about one clip, or clips of one writer, go together.

    All figures, and all arms that are summarised with one seed, see the same draws.

    Args:
        groups: The group of each value, such as the name of its clip.
        types: The question type of each value; '' where it has none. By default there are no types.
        num_resamples: How often all groups are drawn.
        seed: Of the draws.

    Raises:
        ValueError: There are no values, or not as many types.

    Example:
        >>> bootstrap = Bootstrap(["a", "a", "b"], types=["what", "who", "who"])
        >>> found = bootstrap.summarise({"exact_match": [100, 0, 100]})["exact_match"]
        >>> round(found.overall.value, 3), found.macro.value, found.by_type["who"].count
        (66.667, 75.0, 2)
    """

    def __init__(
        self,
        groups: Sequence[str],
        types: Sequence[str] = (),
        num_resamples: int = NUM_RESAMPLES,
        seed: int = 0,
    ) -> None:
        if not groups or (types and len(types) != len(groups)):
            raise ValueError(
                f"expected a group and a type for each of one or more values, found {len(groups)} groups and "
                f"{len(types)} types"
            )
        unique, numbers = np.unique(np.asarray(groups), return_inverse=True)
        self.num_groups = len(unique)
        self._group = numbers.reshape(-1)
        self.types: Tuple[str, ...] = tuple(sorted({each for each in types if each}))
        named = np.asarray(types if types else [""] * len(groups))
        self._masks = [np.ones(len(groups), dtype=bool), *(named == each for each in self.types)]
        self.num_resamples, self.seed = num_resamples, seed

    def summarise(self, values: Mapping[str, Sequence[float]]) -> Dict[str, Summary]:
        """The summary of each figure.

        Args:
            values: By figure, a number for each value in order; nan where the figure says nothing of it. A
                figure that says nothing of any is left out.

        Raises:
            ValueError: There are not as many numbers as groups were given, or one is infinite.
        """
        arrays = {name: np.asarray(each, dtype=np.float64) for name, each in values.items()}
        for name, array in arrays.items():
            if array.shape != self._group.shape:
                raise ValueError(f"{name}: expected {len(self._group)} numbers, found {array.size}")
            if np.isinf(array).any():
                raise ValueError(f"{name}: expected finite numbers, found an infinite one")
        known = {name: array for name, array in arrays.items() if not np.isnan(array).all()}
        if not known:
            return {}
        sums, counts = self._by_group(list(known.values()))
        drawn_sums, drawn_counts = self._draw(sums, counts)
        means, drawn = _ratio(sums.sum(axis=0), counts.sum(axis=0)), _ratio(drawn_sums, drawn_counts)
        return {
            name: self._summary(means[index], drawn[:, index], counts.sum(axis=0)[index])
            for index, name in enumerate(known)
        }

    def _by_group(self, arrays: List[np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
        """Sums and counts, `[group, figure, 1 + type]`."""
        shape = self.num_groups, len(arrays), len(self._masks)
        sums, counts = np.zeros(shape), np.zeros(shape)
        for figure, array in enumerate(arrays):
            for column, mask in enumerate(self._masks):
                is_known = mask & ~np.isnan(array)
                group = self._group[is_known]
                sums[:, figure, column] = np.bincount(group, array[is_known], self.num_groups)
                counts[:, figure, column] = np.bincount(group, minlength=self.num_groups)
        return sums, counts

    def _draw(self, sums: np.ndarray, counts: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Sums and counts of resampled groups, `[resample, figure, 1 + type]`."""
        random = np.random.default_rng(self.seed)
        both = np.concatenate([sums, counts], axis=1)
        flat = both.reshape(self.num_groups, -1)
        found = []
        for start in range(0, self.num_resamples, _CHUNK):
            number = min(_CHUNK, self.num_resamples - start)
            draws = random.integers(0, self.num_groups, (number, self.num_groups))
            times = np.stack([np.bincount(each, minlength=self.num_groups) for each in draws])
            found.append((times @ flat).reshape(number, *both.shape[1:]))
        drawn = np.concatenate(found)
        return drawn[:, : sums.shape[1]], drawn[:, sums.shape[1] :]

    def _summary(self, means: np.ndarray, drawn: np.ndarray, counts: np.ndarray) -> Summary:
        """Of one figure: means and counts `[1 + type]`, resampled means `[resample, 1 + type]`."""
        overall = self._interval(means[0], drawn[:, 0], counts[0])
        occurring = [column for column in range(1, len(means)) if counts[column]]
        if not occurring:
            return Summary(overall)
        by_type = {
            self.types[column - 1]: self._interval(means[column], drawn[:, column], counts[column])
            for column in occurring
        }
        macro = _mean_of_known(means[None, occurring])[0], _mean_of_known(drawn[:, occurring])
        return Summary(overall, self._interval(*macro, counts[occurring].sum()), by_type)

    def _interval(self, mean: float, drawn: np.ndarray, count: float) -> Interval:
        known = drawn[~np.isnan(drawn)]
        if self.num_groups < 2 or not len(known):
            return Interval(round(float(mean), 6), None, None, int(count))
        rest = (100 - LEVEL) / 2
        low, high = (round(float(each), 6) for each in np.percentile(known, (rest, 100 - rest)))
        return Interval(round(float(mean), 6), low, high, int(count))


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means; nan where there is nothing."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _mean_of_known(means: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is no nan; nan where nothing is known."""
    is_known = ~np.isnan(means)
    return _ratio(np.where(is_known, means, 0.0).sum(axis=-1), is_known.sum(axis=-1))
