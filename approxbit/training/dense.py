"""What trainings on dense targets share: readings of tokens, and where words of questions should look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from approxbit.datasets.dense import DenseTargets


class DenseReadings(nn.ModuleDict):
    """A linear reading of tokens for each dense target.

    Args:
        width: Channels of a token.
        classes: Names and numbers of classes.
        values: Names and numbers of values.
    """

    def __init__(self, width: int, classes: Mapping[str, int], values: Mapping[str, int]) -> None:
        super().__init__({name: nn.Linear(width, number) for name, number in {**classes, **values}.items()})
        self.classes, self.value_names = tuple(classes), tuple(values)
        self._hits: dict[str, list[Tensor]] = {}

    def loss(self, tokens: Float[Tensor, "batch patch channel"], dense: DenseTargets) -> Float[Tensor, ""]:
        """Cross-entropies of classes and smooth L1 losses of values, each over what is known, added up.

        One of which nothing is known counts nothing.

        Raises:
            ValueError: There are not as many targets as tokens.
        """
        loss = tokens.new_zeros(())
        for name in self.classes:
            target = self._fit(dense.classes[name], tokens)
            logits, right = self[name](tokens[target >= 0]), target[target >= 0]
            loss = loss + F.cross_entropy(logits, right, reduction="sum") / max(1, right.numel())
        for name in self.value_names:
            target = self._fit(dense.values[name], tokens)
            known = ~target.isnan().any(dim=-1)
            found, right = self[name](tokens[known]), target[known]
            loss = loss + F.smooth_l1_loss(found, right, reduction="sum") / max(1, right.numel())
        return loss

    @torch.no_grad()
    def observe(self, tokens: Float[Tensor, "batch patch channel"], dense: DenseTargets) -> None:
        """Remember which classes are read right."""
        for name in self.classes:
            right = self._fit(dense.classes[name], tokens)
            guess = self[name](tokens).argmax(dim=-1)
            self._hits.setdefault(name, []).append((guess == right)[right >= 0])

    def collect(self) -> dict[str, float]:
        """`dense_<class>` of what was observed since the last time, in percent."""
        found = {
            f"dense_{name}": 100 * torch.cat(hits).float().mean().item() for name, hits in self._hits.items()
        }
        self._hits = {}
        return found

    @staticmethod
    def _fit(target: Tensor, tokens: Tensor) -> Tensor:
        if target.shape[:2] != tokens.shape[:2]:
            raise ValueError(
                f"expected dense targets of {tokens.shape[1]} patches of each clip, which the model has, "
                f"found {target.shape[1]}: give the data the patches of the model"
            )
        return target


def pointing_loss(
    looks: Float[Tensor, "batch word square"],
    numbers: Int64[Tensor, "batch word"],
    names: Mapping[str, Sequence[int]],
    dense: DenseTargets | None,
    merge: Callable[[Tensor], Tensor] = lambda patches: patches,
) -> Float[Tensor, ""]:
    """How little words that name something look at where it is: the mean of -log of the share that is there.

    Words that name what is nowhere in their clip count nothing.

    Args:
        looks: Before the softmax, how much each word looks at each square.
        numbers: Of the words.
        names: Of some dense classes, the number of the word for each.
        dense: What the patches show.
        merge: Patches `[batch, patch, 1]` -> squares `[batch, square, patch_of_square]`.

    Raises:
        ValueError: There are no dense targets.
    """
    if dense is None:
        raise ValueError("expected dense targets to point at, found none in these data")
    losses = [looks.new_zeros(0)]
    for name, words in names.items():
        for index, number in enumerate(words):
            clip, place = (numbers == number).nonzero(as_tuple=True)
            if not len(clip):
                continue
            is_there = (dense.classes[name][clip] == index).float()
            shown = merge(is_there.unsqueeze(-1)).amax(dim=-1) > 0
            seen = looks[clip, place].float().log_softmax(dim=-1).masked_fill(~shown, -torch.inf)
            losses.append(-seen[shown.any(dim=-1)].logsumexp(dim=-1))
    found = torch.cat(losses)
    return found.sum() / max(1, len(found))
