"""A video model that answers questions: visual tokens, and a small transformer that reads them for one.

visual tokens [token, width] ---------> keys and values, once for all questions
                                              |
question in words -> word tokens -> [attention among words, over visual tokens, MLP] x n -> mean -> answer
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from approxbit.backbones.video_vit import Attention, Tokens, VideoViT, mlp

MAX_WORDS = 20
_PLACE_STD = 0.5
"""Beside words of variance 1. Words much smaller than what attention adds to them are not told apart."""
Words = Float[Tensor, "batch word channel"]


class QuestionLayer(nn.Module):
    """Words look at one another, then at the clip."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.word_norm, self.words = nn.LayerNorm(width), Attention(width, num_heads)
        self.visual_norm, self.visual = nn.LayerNorm(width), Attention(width, num_heads)
        self.mlp_norm, self.mlp = nn.LayerNorm(width), mlp(width)

    def forward(self, words: Words, together: Tensor, visual: Tokens) -> Words:
        """The next layer's words.

        Args:
            words: Of all questions about a clip, `[batch, word, width]`.
            together: True for two words of one question, `[batch, word, word]`.
            visual: `[batch, token, width]`.
        """
        words = words + self.words(self.word_norm(words), mask=together[:, None])
        words = words + self.visual(self.visual_norm(words), visual)
        answered: Words = words + self.mlp(self.mlp_norm(words))
        return answered


class QuestionHead(nn.Module):
    """Answers of a vocabulary to questions in known words.

    Args:
        words: The words of questions; any other counts as unknown.
        answers: What may be answered.
        visual_width: Channels of a visual token.
        grid: Visual tokens of a clip in time, height and width.
        merge: So many tokens in height and in width become one, which knows its time, row and column: what
            is asked then looks at fewer.
        width: Channels of a word, a multiple of `num_heads`.
        num_layers: Layers.
        num_heads: Heads of attention.
    """

    def __init__(
        self,
        words: Sequence[str],
        answers: Sequence[str],
        visual_width: int,
        grid: tuple[int, int, int],
        width: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        merge: int = 1,
    ) -> None:
        super().__init__()
        if grid[1] % merge or grid[2] % merge:
            raise ValueError(f"expected a grid of whole squares of {merge} x {merge} tokens, found {grid}")
        self.grid, self.merge = grid, merge
        self.words = {word: number for number, word in enumerate(words, start=2)}  # 0 fills up, 1 is unknown
        self.answers = tuple(answers)
        self.visual = nn.Linear(merge**2 * visual_width, width)
        sides = (grid[0], grid[1] // merge, grid[2] // merge)
        # Apart from one another, so that "at the end" is one direction for all tokens, as is "on the left".
        self.visual_time, self.visual_row, self.visual_column = (
            nn.Parameter(_PLACE_STD * torch.randn(number, width)) for number in sides
        )
        self.visual_norm = nn.LayerNorm(width)
        self.embedding = nn.Embedding(len(self.words) + 2, width)
        self.place = nn.Parameter(_PLACE_STD * torch.randn(1, 1, MAX_WORDS, width))
        self.layers = nn.ModuleList(QuestionLayer(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, len(self.answers))

    def encode(self, questions: Iterable[str]) -> list[list[int]]:
        """Numbers of the words of each question.

        Raises:
            ValueError: A question is empty, or has more than `MAX_WORDS` words.
        """
        encoded = []
        for question in questions:
            words = question.lower().replace("?", " ").replace(",", " ").split()
            if not 1 <= len(words) <= MAX_WORDS:
                raise ValueError(f"expected a question of 1 to {MAX_WORDS} words, found {question!r}")
            encoded.append([self.words.get(word, 1) for word in words])
        return encoded

    def to_tensor(self, asked: Sequence[Sequence[str]]) -> Int64[Tensor, "batch question word"]:
        """Questions of several clips, filled up with 0 to the longest and to the most."""
        encoded = [self.encode(questions) for questions in asked]
        most = max(len(questions) for questions in encoded)
        longest = max((len(words) for questions in encoded for words in questions), default=1)
        filled = torch.zeros(len(encoded), most, longest, dtype=torch.int64)
        for clip, questions in enumerate(encoded):
            for number, words in enumerate(questions):
                filled[clip, number, : len(words)] = torch.tensor(words)
        return filled

    def forward(
        self, visual: Tokens, questions: Int64[Tensor, "batch question word"]
    ) -> Float[Tensor, "batch question answer"]:
        """Logits of all answers to each question; those of questions of zeros mean nothing."""
        context = self._context(visual)
        words, together, belongs, _ = self._start(questions)
        for layer in self.layers:
            words = layer(words, together, context)
        share = belongs.to(words.dtype)
        mean = share @ self.norm(words) / share.sum(dim=2, keepdim=True).clamp(min=1)
        logits: Tensor = self.classifier(mean)
        return logits

    def point(
        self, visual: Tokens, questions: Int64[Tensor, "batch question word"]
    ) -> tuple[Int64[Tensor, "batch packed"], Float[Tensor, "batch packed square"]]:
        """Where the first head of the first layer looks, so that a training can say where it should.

        Returns:
            Numbers of all words about each clip, 0 for what fills up; and, before the softmax, how much each
            of them looks at each square of merged tokens.
        """
        context = self._context(visual)
        words, together, _, numbers = self._start(questions)
        layer = self.layers[0]
        assert isinstance(layer, QuestionLayer)
        words = words + layer.words(layer.word_norm(words), mask=together[:, None])
        return numbers, layer.visual.scores(layer.visual_norm(words), context)[:, 0]

    def _context(self, visual: Tokens) -> Float[Tensor, "batch square width"]:
        place = self.visual_time[:, None, None] + self.visual_row[:, None] + self.visual_column
        context: Tensor = self.visual_norm(self.visual(self.merged(visual)) + place.flatten(0, 2))
        return context

    def _start(self, questions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Words; which of them are of one question; which belong to each question; their numbers."""
        numbers, places, belongs = _pack(questions)
        words = self.embedding(numbers) + self.place[0, 0, places]
        # What fills up looks at what fills up: attention to nothing at all would be not a number.
        question_of = belongs.byte().argmax(dim=1).masked_fill(~belongs.any(dim=1), -1)
        return words, question_of[:, :, None] == question_of[:, None, :], belongs, numbers

    def merged(self, visual: Tokens) -> Float[Tensor, "batch square channels_of_square"]:
        """Squares of tokens as one, their channels behind one another."""
        time, height, width = self.grid
        squares = visual.reshape(
            -1, time, height // self.merge, self.merge, width // self.merge, self.merge, visual.shape[-1]
        )
        merged: Tensor = squares.transpose(3, 4).reshape(len(visual), -1, self.merge**2 * visual.shape[-1])
        return merged


def _pack(questions: Int64[Tensor, "batch question word"]) -> tuple[Tensor, Tensor, Tensor]:
    """All words about a clip in one row, since questions filled up to the longest are half empty.

    Returns:
        Numbers of the words `[batch, word]`, 0 where a row is filled up; their places in their questions; and
        which of them belong to each question, `[batch, question, word]`.
    """
    is_word = questions.flatten(1) > 0
    longest = max(1, int(is_word.sum(dim=1).max()))
    order = (~is_word).to(torch.int8).argsort(dim=1, stable=True)[:, :longest]
    _, num_questions, length = questions.shape
    is_kept = is_word.gather(1, order)
    belongs = torch.arange(num_questions, device=order.device)[:, None] == (order // length)[:, None]
    return questions.flatten(1).gather(1, order), order % length, belongs & is_kept[:, None]


class VideoQuestionModel(VideoViT):
    """A `VideoViT` with a head that answers questions about its visual tokens.

    `forward` and the server half end with visual tokens, as those of video-language models do;
    `answer_logits` and `ask` go on from there, with as many questions as one likes.

    Args:
        words: The words of questions.
        answers: What may be answered.
        head_width: Channels of the head.
        head_layers: Layers of the head.
        head_merge: How many tokens become one for the head, in height and in width.
        **tower: As for `VideoViT`.
    """

    def __init__(
        self,
        words: Sequence[str] = (),
        answers: Sequence[str] = ("yes", "no"),
        head_width: int = 128,
        head_layers: int = 4,
        head_merge: int = 1,
        **tower: Any,
    ) -> None:
        super().__init__(**tower)
        self.head = QuestionHead(
            words, answers, self.width, self.grid, head_width, head_layers, merge=head_merge
        )

    def answer_logits(
        self, visual: Tokens, questions: Int64[Tensor, "batch question word"]
    ) -> Float[Tensor, "batch question answer"]:
        """Logits of the answers; see `QuestionHead.to_tensor` for questions."""
        logits: Tensor = self.head(visual, questions)
        return logits

    @torch.no_grad()
    def ask(self, visual: Tokens, asked: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answers to questions about each of several clips.

        Args:
            visual: What `forward` or the server half gives.
            asked: The questions about each clip.

        Raises:
            ValueError: A question is empty or too long, or the clips are not as many.
        """
        if len(asked) != len(visual):
            raise ValueError(f"expected questions about {len(visual)} clips, found {len(asked)}")
        if not any(asked):
            return [[] for _ in asked]
        logits = self.answer_logits(visual, self.head.to_tensor(asked).to(visual.device))
        best = logits.argmax(dim=-1)
        return [
            [self.head.answers[int(best[clip, number])] for number in range(len(questions))]
            for clip, questions in enumerate(asked)
        ]
