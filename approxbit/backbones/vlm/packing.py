"""Many questions about each clip in one pass: a language model reads the clip once, each question by itself.

shared   opening of the prompt | visual embeddings
row 1    question 1, answer 1 | question 2, answer 2 | ...
row 2    question 3, answer 3 | ...

A word looks at all that is shared, and at the words before it of its own question. It counts its position as
if its question were the only one, so that logits are those of one question at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from approxbit.backbones.video_vit import attend
from approxbit.backbones.vlm.asking import Asker
from approxbit.backbones.vlm.base import VideoLanguageModel
from approxbit.backbones.vlm.requirement import require_transformers

ROW_LENGTH = 64
"""Words of a row, unless a question with its answer is longer."""
_PACKED, _PLAIN = "approxbit_packed", "approxbit_plain"


class Packed(NamedTuple):
    """Questions with their answers in rows, every one of them whole in one row.

    Attributes:
        tokens: Of the rows of each clip, filled up at their ends.
        places: Of each token in its own question.
        questions: Which question about the clip a token is of, -1 where a row is filled up.
        targets: The token of the answer that comes next; -1 where none does.
    """

    tokens: Int64[Tensor, "batch row word"]
    places: Int64[Tensor, "batch row word"]
    questions: Int64[Tensor, "batch row word"]
    targets: Int64[Tensor, "batch row word"]

    def to(self, device: torch.device) -> Packed:
        """The same on another device."""
        return Packed(*(each.to(device) for each in self))


class PackedOutput(NamedTuple):
    """What a language model makes of clips and packed questions.

    Attributes:
        logits: Of the next token wherever `Packed.targets` has one, in their order.
        states: What half of the layers make of the visual embeddings.
        looks: Before the softmax, how much each word looks at each visual embedding in the first head of the
            first layer.
    """

    logits: Float[Tensor, "target vocabulary"]
    states: Float[Tensor, "batch visual channel"]
    looks: Float[Tensor, "batch row word visual"]


def pack(asker: Asker, asked: Sequence[Sequence[tuple[str, str]]]) -> Packed:
    """Questions about several clips, each with its answer.

    Args:
        asker: Knows prompt and tokens.
        asked: Questions and answers of each clip.

    Raises:
        ValueError: Nothing is asked, or an answer has a word that the tokenizer does not know.
    """
    if not any(asked):
        raise ValueError("expected questions to pack, found none")
    pairs = [[(asker.question_tokens(q), _known_tokens(asker, a)) for q, a in about] for about in asked]
    longest = max(len(question) + len(answer) for about in pairs for question, answer in about)
    length = max(ROW_LENGTH, longest)
    rows = [
        _fill_rows([len(question) + len(answer) for question, answer in about], length) for about in pairs
    ]
    shape = (len(pairs), max(map(len, rows)), length)
    packed = Packed(*(torch.full(shape, fill) for fill in (asker.padding, 0, -1, -1)))
    for clip, about in enumerate(pairs):
        for row, chosen in enumerate(rows[clip]):
            start = 0
            for number in chosen:
                question, answer = about[number]
                end = start + len(question) + len(answer)
                packed.tokens[clip, row, start:end] = torch.tensor(question + answer)
                packed.places[clip, row, start:end] = torch.arange(end - start)
                packed.questions[clip, row, start:end] = number
                packed.targets[clip, row, end - len(answer) - 1 : end - 1] = torch.tensor(answer)
                start = end
    return packed


def _known_tokens(asker: Asker, answer: str) -> list[int]:
    tokens = asker.answer_tokens(answer)
    if asker.tokenizer.unk_token_id in tokens:
        raise ValueError(
            f"expected answers in words that the model knows, found {answer!r}: build it with all words of "
            "the data (in a recipe, arguments: {words: [...]})"
        )
    return tokens


def _fill_rows(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which questions go into each row: the longest first, each into the first row that has room.

    Example:
        >>> _fill_rows([3, 5, 4, 2], room=8)
        [[1, 0], [2, 3]]
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        row = next((row for row, free in enumerate(left) if free >= lengths[number]), len(rows))
        if row == len(rows):
            rows.append([])
            left.append(room)
        rows[row].append(number)
        left[row] -= lengths[number]
    return rows


def read_packed(
    backbone: VideoLanguageModel, visual: Float[Tensor, "batch visual channel"], packed: Packed
) -> PackedOutput:
    """What the language model says next in each answer; gradients reach `visual`.

    Args:
        backbone: With an `asker`, whose prompt the questions were packed with.
        visual: What `forward` or the server half gave for the clips.
        packed: The questions about them.
    """
    model: Any = backbone.model.model.language_model
    opening = torch.tensor([backbone.asker.opening], dtype=torch.int64, device=visual.device)
    num_shared, embed = opening.shape[1] + visual.shape[1], model.get_input_embeddings()
    words = embed(packed.tokens.flatten(1))
    shared = torch.cat((embed(opening).expand(len(visual), -1, -1), visual.to(words.dtype)), dim=1)
    first = torch.arange(num_shared, device=visual.device).expand(len(visual), -1)
    rows = _Rows(_together(packed), num_shared)
    with attention(model, _PACKED):
        out = model(
            inputs_embeds=torch.cat((shared, words), dim=1),
            position_ids=torch.cat((first, num_shared + packed.places.flatten(1)), dim=1),
            use_cache=False,
            output_hidden_states=True,
            rows=rows,
        )
    is_target = packed.targets.flatten(1) >= 0
    logits = backbone.model.lm_head(out.last_hidden_state[:, num_shared:][is_target])
    seen = slice(opening.shape[1], num_shared)
    states = out.hidden_states[len(model.layers) // 2][:, seen]
    return PackedOutput(logits, states, rows.looks[..., seen])


def answered(output: PackedOutput, packed: Packed) -> Bool[Tensor, "batch question"]:
    """Whether the greedy answer to each question would be the given one, word for word.

    It is where every word of the answer is the likeliest one after those before it.
    """
    is_target = packed.targets >= 0
    clips, *_ = is_target.nonzero(as_tuple=True)
    numbers, most = packed.questions[is_target], int(packed.questions.max()) + 1
    is_wrong = output.logits.argmax(dim=-1) != packed.targets[is_target]
    wrong = torch.zeros(len(packed.tokens) * most, dtype=torch.int64, device=is_wrong.device)
    wrong.index_add_(0, clips * most + numbers, is_wrong.long())
    are_right: Tensor = wrong.unflatten(0, (-1, most)) == 0
    return are_right


def _together(packed: Packed) -> Bool[Tensor, "batch row word word"]:
    """Whether the first of two words of a row looks at the second one."""
    questions, length = packed.questions, packed.questions.shape[-1]
    is_earlier = torch.ones(length, length, dtype=torch.bool, device=questions.device).tril()
    together: Tensor = (questions[..., :, None] == questions[..., None, :]) & is_earlier
    return together


class _Rows:
    """What the layers need to know of the rows, and what the first one shows of itself."""

    def __init__(self, together: Tensor, num_shared: int) -> None:
        self.together, self.num_shared = together, num_shared
        self.shape = tuple(together.shape[1:3])
        self.looks: Tensor


def _attend_packed(
    module: Any,
    query: Float[Tensor, "batch head position channel"],
    key: Float[Tensor, "batch key_head position channel"],
    value: Float[Tensor, "batch key_head position channel"],
    attention_mask: Tensor | None,
    scaling: float,
    rows: _Rows,
    **unused: Any,
) -> tuple[Float[Tensor, "batch position head channel"], None]:
    """As transformers' attention: of all that is shared, and then of the rows, each by itself."""
    num_shared, groups = rows.num_shared, query.shape[1] // key.shape[1]
    query, key = (query * scaling).to(value.dtype), key.to(value.dtype)
    key, value = (each.repeat_interleave(groups, dim=1) if groups > 1 else each for each in (key, value))
    (early, late), (keys, own_keys), (values, own_values) = (
        each.split((num_shared, each.shape[2] - num_shared), dim=2) for each in (query, key, value)
    )
    is_later = torch.ones(num_shared, num_shared, dtype=torch.bool, device=query.device).triu(1)
    scores = (early @ keys.transpose(2, 3)).masked_fill(is_later, -torch.inf)
    shared = scores.softmax(dim=-1).to(value.dtype) @ values

    at_shared = (late @ keys.transpose(2, 3)).unflatten(2, rows.shape)
    if module.layer_idx == 0:
        rows.looks = at_shared[:, 0]
    late, own_keys, own_values = (each.unflatten(2, rows.shape) for each in (late, own_keys, own_values))
    at_own = (late @ own_keys.transpose(3, 4)).masked_fill(~rows.together[:, None], -torch.inf)
    shares = torch.cat((at_shared, at_own), dim=-1).softmax(dim=-1).to(value.dtype)
    of_shared, of_own = shares.split((num_shared, shares.shape[-1] - num_shared), dim=-1)
    found = (of_shared.flatten(2, 3) @ values) + (of_own @ own_values).flatten(2, 3)
    return torch.cat((shared, found), dim=2).transpose(1, 2), None


def _attend_plainly(
    module: Any,
    query: Float[Tensor, "batch head position channel"],
    key: Float[Tensor, "batch head position channel"],
    value: Float[Tensor, "batch head position channel"],
    attention_mask: Tensor | None,
    scaling: float,
    **unused: Any,
) -> tuple[Float[Tensor, "batch position head channel"], None]:
    """As transformers' attention of a vision tower, by what is fastest here."""
    return attend(query, key, value, attention_mask).transpose(1, 2), None


@contextmanager
def attention(model: nn.Module, name: str = _PLAIN) -> Iterator[None]:
    """Let a model of transformers attend in another way; by default in the fastest for a vision tower."""
    interface = require_transformers().AttentionInterface
    interface.register(_PACKED, _attend_packed)
    interface.register(_PLAIN, _attend_plainly)
    parts: list[Any] = [part for part in model.modules() if hasattr(part, "config")]
    configs = {id(part.config): part.config for part in parts}
    known = {number: config._attn_implementation for number, config in configs.items()}
    for config in configs.values():
        config._attn_implementation = name
    try:
        yield
    finally:
        for number, config in configs.items():
            config._attn_implementation = known[number]
