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

from approxbit.backbones.video_vit import Attention, Tokens, VideoViT, initialise, mlp

MAX_WORDS = 20


class QuestionLayer(nn.Module):
    """Words look at one another, then at the clip."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.word_norm, self.words = nn.LayerNorm(width), Attention(width, num_heads)
        self.visual_norm, self.visual = nn.LayerNorm(width), Attention(width, num_heads)
        self.mlp_norm, self.mlp = nn.LayerNorm(width), mlp(width)

    def forward(self, words: Tensor, mask: Tensor, visual: Tokens) -> Tensor:
        """The next layer's words.

        Args:
            words: `[batch, question, word, width]`.
            mask: True for words, false for what fills up, `[batch, question, word]`.
            visual: `[batch, token, width]`.
        """
        batch, questions, length, width = words.shape
        flat = words.flatten(0, 1)
        flat = flat + self.words(self.word_norm(flat), mask=mask.flatten(0, 1)[:, None, None, :])
        asked = flat.reshape(batch, questions * length, width)
        asked = asked + self.visual(self.visual_norm(asked), visual)
        asked = asked + self.mlp(self.mlp_norm(asked))
        answered: Tensor = asked.reshape(batch, questions, length, width)
        return answered


class QuestionHead(nn.Module):
    """Answers of a vocabulary to questions in known words.

    Args:
        words: The words of questions; any other counts as unknown.
        answers: What may be answered.
        visual_width: Channels of a visual token.
        num_visual: Visual tokens of a clip; each gets a learned place.
        width: Channels of a word, a multiple of `num_heads`.
        num_layers: Layers.
        num_heads: Heads of attention.
    """

    def __init__(
        self,
        words: Sequence[str],
        answers: Sequence[str],
        visual_width: int,
        num_visual: int,
        width: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        self.words = {word: number for number, word in enumerate(words, start=2)}  # 0 fills up, 1 is unknown
        self.answers = tuple(answers)
        self.visual = nn.Linear(visual_width, width)
        self.visual_place = nn.Parameter(0.02 * torch.randn(1, num_visual, width))
        self.visual_norm = nn.LayerNorm(width)
        self.embedding = nn.Embedding(len(self.words) + 2, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, 1, MAX_WORDS, width))
        self.layers = nn.ModuleList(QuestionLayer(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, len(self.answers))
        self.apply(initialise)
        nn.init.normal_(self.embedding.weight, std=0.02)

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
        context = self.visual_norm(self.visual(visual) + self.visual_place)
        mask = questions > 0
        mask[..., 0] = True  # attention to nothing at all would be not a number
        words = self.embedding(questions) + self.place[:, :, : questions.shape[2]]
        for layer in self.layers:
            words = layer(words, mask, context)
        share = mask.to(words.dtype).unsqueeze(-1)
        mean = (self.norm(words) * share).sum(dim=2) / share.sum(dim=2)
        logits: Tensor = self.classifier(mean)
        return logits


class VideoQuestionModel(VideoViT):
    """A `VideoViT` with a head that answers questions about its visual tokens.

    `forward` and the server half end with visual tokens, as those of video-language models do;
    `answer_logits` and `ask` go on from there, with as many questions as one likes.

    Args:
        words: The words of questions.
        answers: What may be answered.
        head_width: Channels of the head.
        head_layers: Layers of the head.
        **tower: As for `VideoViT`.
    """

    def __init__(
        self,
        words: Sequence[str] = (),
        answers: Sequence[str] = ("yes", "no"),
        head_width: int = 128,
        head_layers: int = 4,
        **tower: Any,
    ) -> None:
        super().__init__(**tower)
        self.head = QuestionHead(
            words, answers, self.width, self.num_visual_tokens(), head_width, head_layers
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
