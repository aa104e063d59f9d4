"""The learned prior of codes: how probable each bit is, given the bits that are coded before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.codec.code import Code
from approxbit.codec.codec import Codec
from approxbit.wire.entropy import PRESETS, PriorTables
from approxbit.wire.entropy.context import AROUND, BEFORE, Offset
from approxbit.wire.entropy.global_units import MAX_WEIGHTS, GlobalUnits
from approxbit.wire.entropy.kernels import OUTPUT_SHIFT

Shape3 = tuple[int, int, int]
_BITS_PER_NAT = 1 / math.log(2)
_LOGIT_UNITS_PER_NAT = 256
_TOKEN_UNITS_PER_NAT = 1024
_GLOBAL_UNITS_PER_ONE = 4096
_BITS_OF_A_STEP = 2**17
_INT16_MAX = 2**15 - 1


class WindowPairs(NamedTuple):
    """Codes of windows, and of windows of the same videos that began earlier.

    Attributes:
        code: uint8 `[pair, ...]`.
        earlier: The same of the earlier windows.
        steps: By how many time steps of the code's grid each window moved on.
    """

    code: Code
    earlier: Code
    steps: int


class CodePrior(nn.Module):
    """Code -> bits that the entropy coder needs for it; what `approxbit.wire.entropy` computes in integers.

    For each bit of the codebook, a linear unit and `num_hidden` rectified ones see

        of the bit itself    the 13 neighbours that come before the position
        of earlier bits      the position and its neighbours, later ones too
        of a reference       the same position and its neighbours, all bits known (optional)
        of the position      its time, height and width, each with a bias

    and their weighted sum is the logit. Neighbours are +1, -1, or 0 beyond the border. A class token sees the
    earlier bits of itself. Global units, where the preset has them, see every bit that is coded before,
    wherever it is (NADE: Larochelle and Murray, 2011), and add to all logits.

    Args:
        codebook_size: Bits per position, K.
        grid_size: Time, height and width of the code's grid.
        num_tokens: Class tokens beside the grid.
        preset: `fast`, `small` or `global`; see `approxbit.wire.entropy.PRESETS`.
        num_reference: How many positions of a reference are looked at: 0 (none), 1, 7, 19 or 27.

    Raises:
        ValueError: There is no such preset.
    """

    def __init__(
        self,
        codebook_size: int,
        grid_size: Shape3,
        num_tokens: int = 0,
        preset: str = "fast",
        num_reference: int = 0,
    ):
        super().__init__()
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, found {preset!r}")
        num_earlier, num_hidden, num_global = PRESETS[preset]
        bits, units = codebook_size, 1 + num_hidden
        num_bits = bits * (math.prod(grid_size) + num_tokens)
        num_global = min(num_global, MAX_WEIGHTS // num_bits)
        self.codebook_size, self.grid_size, self.num_tokens = codebook_size, grid_size, num_tokens
        self.num_units, self.num_earlier, self.num_reference = units, num_earlier, num_reference
        self.before = _unit_weights(bits, units, len(BEFORE))
        self.earlier = _unit_weights(bits, units, num_earlier, bits)
        self.reference = _unit_weights(bits, units, num_reference)
        self.biases = nn.ParameterList(_unit_weights(bits, units, length) for length in grid_size)
        self.output = nn.Parameter(torch.full((bits, num_hidden), 0.1) * _signs(num_hidden))
        self.token_weights = nn.Parameter(torch.zeros(bits, bits) if num_tokens else torch.zeros(0, 0))
        self.token_biases = nn.Parameter(torch.zeros(bits if num_tokens else 0))
        self.global_input = nn.Parameter(0.05 * torch.randn(num_bits, num_global))
        self.global_bias = nn.Parameter(torch.zeros(num_global))
        self.global_output = nn.Parameter(0.05 * torch.randn(num_bits, num_global))
        for each in self.parameters():  # DDP waits for the gradient of each, of an empty one too
            each.requires_grad_(each.numel() > 0)
        self.register_buffer("is_earlier", torch.ones(bits, bits).tril(-1), persistent=False)

    is_earlier: Tensor

    @classmethod
    def for_codec(cls, codec: Codec, preset: str = "fast", num_reference: int = 0) -> CodePrior:
        """An untrained prior of a codec's codes; arguments as in the class."""
        bits = codec.configuration.codebook_size
        return cls(bits, codec.grid_size, codec.num_tokens, preset, num_reference)

    def logits(self, code: Code, reference: Code | None = None) -> Code:
        """Logits: of the grid [batch, bit, time, height, width] and of the tokens [batch, token, bit].

        Args:
            code: Bits of this prior's size, of any dtype.
            reference: A guess at the same bits, 0.5 where there is none; without it, all are 0.5.

        Raises:
            ValueError: The code is of another size, or there is a reference and the prior looks at none.
        """
        self._check(code, reference)
        dtype = self.before.dtype  # which is not that of codes where a whole training is in bfloat16
        grid, tokens = _signed(code.grid, dtype), _signed(code.tokens, dtype)
        sums = torch.einsum("nbkthw,kun->bkuthw", _shifted(grid, BEFORE), self.before)
        sums = sums + self._from_earlier(grid)
        if reference is not None:
            around = _shifted(_signed(reference.grid, dtype), AROUND[: self.num_reference])
            sums = sums + torch.einsum("nbkthw,kun->bkuthw", around, self.reference)
        for axis, bias in enumerate(self.biases):
            sums = sums + bias.reshape(*bias.shape[:2], *(-1 if each == axis else 1 for each in range(3)))
        logits = sums[:, :, 0] + torch.einsum("bkuthw,ku->bkthw", F.relu(sums[:, :, 1:]), self.output)
        return self._add_global(Code(logits, self._token_logits(tokens)), grid, tokens)

    def forward(self, code: Code, reference: Code | None = None) -> Float[Tensor, " batch"]:
        """Cross-entropy of each clip's code in bits: its coded size in bytes is an eighth of it, rounded up.

        Differentiable in the prior's parameters and, through straight-through values, in the code: both
        as what is to be coded and as what later bits are predicted from.
        """
        logits = self.logits(code, reference)
        grid, tokens = (_nats(*pair).flatten(1).sum(1) for pair in zip(logits, code, strict=True))
        return (grid + tokens) * _BITS_PER_NAT

    def _add_global(self, logits: Code, grid: Tensor, tokens: Tensor) -> Code:
        if not len(self.global_bias):
            return logits
        size, num_positions = grid.shape[2:], math.prod(grid.shape[2:])
        values = torch.cat([grid.flatten(2), tokens.transpose(1, 2)], dim=2)  # in the order of coding
        seen = values.flatten(1)[:, :-1, None] * self.global_input[:-1]
        sums = torch.cat([self.global_bias.expand(len(seen), 1, -1), seen], dim=1).cumsum(1)
        added = torch.einsum("niu,iu->ni", F.relu(sums), self.global_output).view_as(values)
        of_grid, of_tokens = added.split([num_positions, tokens.shape[1]], dim=2)
        return Code(logits.grid + of_grid.unflatten(2, size), logits.tokens + of_tokens.transpose(1, 2))

    def _from_earlier(self, grid: Tensor) -> Tensor:
        batch, bits, *size = grid.shape
        around = _shifted(grid, AROUND[: self.num_earlier])
        columns = around.permute(1, 0, 2, 3, 4, 5).reshape(batch, self.num_earlier * bits, -1)
        weights = (self.earlier * self.is_earlier[:, None, None, :]).flatten(2).flatten(0, 1)
        return (weights @ columns).reshape(batch, bits, self.num_units, *size)

    def _token_logits(self, tokens: Tensor) -> Tensor:
        if not self.num_tokens:
            return tokens
        return F.linear(tokens, self.token_weights * self.is_earlier, self.token_biases)

    def _check(self, code: Code, reference: Code | None) -> None:
        expected = (self.codebook_size, *self.grid_size, self.num_tokens)
        for each in (code, code if reference is None else reference):
            found = (*each.grid.shape[1:], each.tokens.shape[1])
            if found != expected:
                raise ValueError(f"a prior of (bits, time, height, width, tokens) {expected}, found {found}")
        if reference is not None and not self.num_reference:
            raise ValueError("this prior looks at no reference: make it with num_reference=7")

    def fit(
        self,
        codes: Code,
        num_steps: int = 400,
        batch_size: int | None = None,
        learning_rate: float = 0.03,
        seed: int = 0,
    ) -> float:
        """Learn from codes, and return the bits per clip over the last tenth of the steps.

        Args:
            codes: Of training clips, `[clip, ...]`; uint8 keeps the memory small.
            num_steps: Steps of Adam; the learning rate falls to 0 along a cosine.
            batch_size: Codes of a step; by default as many as hold 2^17 bits together, between 8 and 256.
            learning_rate: At the first step.
            seed: Chooses the codes of each step.
        """
        generator = torch.Generator().manual_seed(seed)
        batch_size = batch_size or self._usual_batch_size

        def bits(step: int) -> Tensor:
            chosen = torch.randint(len(codes.grid), (batch_size,), generator=generator)
            per_code: Tensor = self(codes_at(codes, chosen))
            return per_code

        return self._minimize(bits, num_steps, learning_rate)

    def fit_updates(
        self,
        pairs: Sequence[WindowPairs],
        num_steps: int = 400,
        batch_size: int | None = None,
        learning_rate: float = 0.03,
        seed: int = 0,
    ) -> float:
        """Learn from codes of which earlier ones have seen the first time steps, as `fit` does from codes.

        Args:
            pairs: Of training videos, for each shift that windows will have; steps of Adam take turns.
            num_steps: As for `fit`, like all that follow.
            batch_size: Pairs of a step.
            learning_rate: At the first step.
            seed: Chooses the pairs of each step.
        """
        generator = torch.Generator().manual_seed(seed)
        batch_size = batch_size or self._usual_batch_size

        def bits(step: int) -> Tensor:
            of_shift = pairs[step % len(pairs)]
            chosen = torch.randint(len(of_shift.code.grid), (batch_size,), generator=generator)
            code, earlier = (codes_at(each, chosen) for each in (of_shift.code, of_shift.earlier))
            per_code: Tensor = self(code, guess_code(earlier, of_shift.steps))
            return per_code

        return self._minimize(bits, num_steps, learning_rate)

    @property
    def _usual_batch_size(self) -> int:
        bits_per_code = self.codebook_size * (math.prod(self.grid_size) + self.num_tokens)
        return min(max(_BITS_OF_A_STEP // bits_per_code, 8), 256)

    def _minimize(self, bits: Callable[[int], Tensor], num_steps: int, learning_rate: float) -> float:
        """Take steps of Adam, and return the mean bits over the last tenth of them."""
        groups: list[dict[str, Any]] = [
            {
                "params": [
                    each for name, each in self.named_parameters() if name.startswith("global_") == slow
                ],
                "lr": learning_rate / 3 if slow else learning_rate,  # global units see hundreds of bits
            }
            for slow in (False, True)
        ]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
        recent = []
        for step in track(range(num_steps), "tables"):
            mean = bits(step).mean()
            optimizer.zero_grad()
            mean.backward()
            optimizer.step()
            schedule.step()
            if 10 * (step + 1) > 9 * num_steps:
                recent.append(mean.item())
        return sum(recent) / len(recent)

    @torch.no_grad()
    def freeze(self) -> PriorTables:
        """The integer tables from which the entropy coder computes nearly the same probabilities.

        Each unit is scaled so that the sizes of its weights sum up to just less than 2^15: as fine as int16
        sums allow. Its output is an integer, and takes the scale back exactly.
        """
        weights = (self.before, self.earlier * self.is_earlier[:, None, None, :], self.reference)
        largest = sum(bias.abs().amax(2) for bias in self.biases)
        largest = largest + sum(part.abs().flatten(2).sum(2) for part in weights)
        output = torch.cat([torch.ones(self.codebook_size, 1), self.output.cpu()], dim=1).to(largest)
        num_weights = len(BEFORE) + self.num_earlier * (self.codebook_size - 1) + self.num_reference + 3
        finest = (_INT16_MAX - num_weights / 2) / largest.clamp_min(1e-6)  # rounding adds half to each
        size = output.abs() * _LOGIT_UNITS_PER_NAT * 2**OUTPUT_SHIFT
        multiplier = (size / finest).ceil().clamp(1, _INT16_MAX)
        scale = torch.minimum(size / multiplier, finest)
        before, earlier, reference = (
            part * scale.reshape(*scale.shape, *[1] * (part.ndim - 2)) for part in weights
        )
        bit, other = torch.tril_indices(self.codebook_size, self.codebook_size, -1)
        has_tokens = self.num_tokens > 0
        of_tokens = self.token_weights[bit, other] if has_tokens else self.token_weights.flatten()
        return PriorTables(
            self.grid_size,
            self.num_tokens,
            _rounded(before.transpose(1, 2)),
            _rounded(earlier.permute(0, 3, 2, 1)[bit, other]),
            _rounded(reference.transpose(1, 2)),
            _rounded(torch.cat([bias * scale[:, :, None] for bias in self.biases], dim=2)),
            _rounded(multiplier * output.sign()),
            _rounded(of_tokens * _TOKEN_UNITS_PER_NAT),
            _rounded(self.token_biases * _TOKEN_UNITS_PER_NAT),
            self._freeze_global(),
        )

    def _freeze_global(self) -> GlobalUnits | None:
        """The global units in integers; the largest weights to and from a unit are made equal first."""
        if not len(self.global_bias):
            return None
        to_unit = torch.maximum(self.global_input.abs().amax(0), self.global_bias.abs()).clamp_min(1e-6)
        balance = (self.global_output.abs().amax(0).clamp_min(1e-6) / to_unit).sqrt()
        shape = self.codebook_size, -1, len(balance)
        return GlobalUnits(
            _rounded(self.global_input * balance * _GLOBAL_UNITS_PER_ONE).reshape(shape),
            _rounded(self.global_bias * balance * _GLOBAL_UNITS_PER_ONE),
            _rounded(self.global_output / balance * _GLOBAL_UNITS_PER_ONE).reshape(shape),
        )


def codes_at(codes: Code, chosen: Tensor) -> Code:
    """Some of many codes."""
    return Code(codes.grid[chosen], codes.tokens[chosen])


def guess_code(earlier: Code, steps: int) -> Code:
    """What an earlier code says of the one that begins some time steps later: 0.5 where it says nothing."""
    num_known = earlier.grid.shape[2] - steps
    guess = torch.full(earlier.grid.shape, 0.5, device=earlier.grid.device)
    guess[:, :, :num_known] = earlier.grid[:, :, steps:]
    return Code(guess, earlier.tokens)


def _unit_weights(bits: int, units: int, *shape: int) -> nn.Parameter:
    """Weights [bit, unit, ...]: 0 for the linear unit, small random numbers for the others."""
    weights = 0.1 * torch.randn(bits, units, *shape)
    weights[:, 0] = 0
    return nn.Parameter(weights)


def _signs(num_hidden: int) -> Tensor:
    return torch.tensor([1.0, -1.0]).repeat(num_hidden)[:num_hidden]


def _signed(bits: Shaped[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    return 2 * bits.to(dtype) - 1


def _shifted(
    grid: Float[Tensor, "batch bit time height width"], offsets: Sequence[Offset]
) -> Float[Tensor, "offset batch bit time height width"]:
    """The grid as seen from each position at each offset; 0 beyond the border."""
    time, height, width = grid.shape[2:]
    padded = F.pad(grid, (1, 1, 1, 1, 1, 1))
    views = [
        padded[:, :, 1 + dt : 1 + dt + time, 1 + dh : 1 + dh + height, 1 + dw : 1 + dw + width]
        for dt, dh, dw in offsets
    ]
    return torch.stack(views) if views else grid.new_zeros(0, *grid.shape)


def _nats(logits: Tensor, bits: Tensor) -> Tensor:
    return F.softplus(logits) - bits * logits


def _rounded(values: Tensor) -> np.ndarray:
    limit = float(_INT16_MAX)
    return values.round().clamp(-limit, limit).cpu().numpy().astype(np.int16)
