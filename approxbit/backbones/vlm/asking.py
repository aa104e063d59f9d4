"""Questions in words for a video-language model: a prompt around its visual embeddings, and what it answers.

prompt before <video> | visual embeddings | prompt after it, with the question | answer, token by token
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from approxbit.backbones.vlm.base import VideoLanguageModel
from approxbit.backbones.vlm.requirement import require_transformers

VIDEO, QUESTION = "<video>", "{question}"
_ASKED = f"{QUESTION} Answer in one word or a short phrase."
PROMPTS = {
    "video_llava": f"USER: {VIDEO}\n{_ASKED} ASSISTANT:",
    "llava_onevision": f"<|im_start|>user {VIDEO}\n{_ASKED}<|im_end|><|im_start|>assistant\n",
}
"""By the type of the model, in the form that it was taught."""

MAX_NEW_TOKENS = 64
_AT_ONCE = 16

Visual = Float[Tensor, "1 embedding channel"]


class Said(NamedTuple):
    """An answer.

    Attributes:
        text: Without special tokens and spaces around it.
        tokens: As they were generated, the one that ends an answer included.
    """

    text: str
    tokens: tuple[int, ...]


class Asker:
    """Asks a video-language model, greedily.

    Args:
        backbone: The model.
        tokenizer: Its tokenizer, of transformers.
        prompt: Holds `<video>` and `{question}` once each, in this order; by default as `PROMPTS` has it.
        max_new_tokens: Of an answer, at most.

    Raises:
        ValueError: The prompt is not of that form, or there is none for this type of model.
    """

    def __init__(
        self,
        backbone: VideoLanguageModel,
        tokenizer: Any,
        prompt: str = "",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> None:
        self.prompt = prompt or PROMPTS.get(backbone.model_type, "")
        before, video, after = self.prompt.partition(VIDEO)
        if not video or VIDEO in after or after.count(QUESTION) != 1 or QUESTION in before:
            raise ValueError(
                f"expected a prompt with {VIDEO} once and {QUESTION} once behind it, found {self.prompt!r}"
            )
        self.backbone, self.tokenizer, self.max_new_tokens = backbone, tokenizer, max_new_tokens
        self._before, self._after = before, after

    @classmethod
    def from_folder(cls, backbone: VideoLanguageModel, folder: str | Path, prompt: str = "") -> Asker:
        """With the tokenizer in a local folder that `save_pretrained` wrote.

        Raises:
            ImportError: transformers is missing or too old.
            ValueError: The folder holds no tokenizer, or as for the class.
        """
        transformers = require_transformers()
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: expected a folder with a tokenizer: {error}") from error
        return cls(backbone, tokenizer, prompt)

    @property
    def opening(self) -> list[int]:
        """Tokens of the prompt before the clip."""
        return list(self.tokenizer(self._before).input_ids) if self._before else []

    def question_tokens(self, question: str) -> list[int]:
        """Tokens of the prompt behind the clip, with a question."""
        return self._tokens_of(self._after.replace(QUESTION, question))

    def answer_tokens(self, answer: str) -> list[int]:
        """Tokens of an answer and the one that ends it."""
        end = self.tokenizer.eos_token_id
        return [*self._tokens_of(answer), *([] if end is None else [end])]

    def input_ids(self, question: str, num_visual_tokens: int) -> Int64[Tensor, "1 position"]:
        """The prompt with a question, and with a placeholder for each visual embedding."""
        return torch.tensor([self._prompt(question, num_visual_tokens)], device=self._device)

    def answer(self, visual: Visual, question: str) -> Said:
        """The greedy answer to a question about one clip, of what `forward` or the server half gave."""
        return self.answers(visual, [question])[0]

    @torch.no_grad()
    def answers(self, visual: Visual, questions: Sequence[str]) -> list[Said]:
        """The greedy answers to several questions about one clip, some of them at once."""
        found: list[Said] = []
        for start in range(0, len(questions), _AT_ONCE):
            found += self._answer(visual, questions[start : start + _AT_ONCE])
        return found

    def _answer(self, visual: Visual, questions: Sequence[str]) -> list[Said]:
        prompts = [self._prompt(question, visual.shape[1]) for question in questions]
        longest = max(map(len, prompts))
        # Filled up at the left, so that all answers begin at the same place.
        rows = [[self.padding] * (longest - len(each)) + each for each in prompts]
        mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts])
        found = self.backbone.generate(
            visual.expand(len(prompts), -1, -1),
            torch.tensor(rows, device=self._device),
            attention_mask=mask.to(self._device),
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            num_beams=1,
            suppress_tokens=[self.backbone.visual_token_id],  # it stands for what is seen, never for a word
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.padding,
        )
        return [self._said(tokens) for tokens in found[:, longest:].tolist()]

    def _said(self, tokens: list[int]) -> Said:
        end = self.tokenizer.eos_token_id
        if end in tokens:
            tokens = tokens[: tokens.index(end) + 1]  # where others went on, this one was filled up
        return Said(self.tokenizer.decode(tokens, skip_special_tokens=True).strip(), tuple(tokens))

    @torch.no_grad()
    def log_probabilities(
        self, visual: Visual, question: str, tokens: Sequence[int]
    ) -> Float[Tensor, "token vocabulary"]:
        """Of the next token at each place of a given answer, whatever the model itself would have said.

        Raises:
            ValueError: The answer has no tokens.
        """
        if not tokens:
            raise ValueError("expected an answer of at least one token, found none")
        ids = self.input_ids(question, visual.shape[1])
        whole = torch.cat((ids, torch.tensor([list(tokens)], device=ids.device)), dim=1)
        logits = self.backbone.logits(visual, whole, logits_to_keep=len(tokens) + 1)
        return logits[0, -len(tokens) - 1 : -1].double().log_softmax(dim=-1)

    @torch.no_grad()
    def log_likelihoods(
        self, visual: Visual, question: str, candidates: Sequence[str]
    ) -> Float[Tensor, " candidate"]:
        """Of each of several answers, the sum over its tokens and the one that ends it, in nats."""
        found = []
        for start in range(0, len(candidates), _AT_ONCE):
            found += self._score(visual, question, candidates[start : start + _AT_ONCE])
        return torch.stack(found) if found else torch.zeros(0)

    def _score(self, visual: Visual, question: str, candidates: Sequence[str]) -> list[Tensor]:
        ids = self.input_ids(question, visual.shape[1])
        tokens = [self.answer_tokens(each) for each in candidates]
        most = max(map(len, tokens))
        padded = torch.tensor([[*each, *[self.padding] * (most - len(each))] for each in tokens])
        whole = torch.cat((ids.expand(len(tokens), -1), padded.to(ids.device)), dim=1)
        mask = torch.ones_like(whole)
        for row, each in enumerate(tokens):
            mask[row, ids.shape[1] + len(each) :] = 0
        logits = self.backbone.logits(
            visual.expand(len(tokens), -1, -1), whole, attention_mask=mask, logits_to_keep=most + 1
        )
        shares = logits[:, -most - 1 : -1].double().log_softmax(dim=-1)
        return [shares[row, torch.arange(len(each)), each].sum() for row, each in enumerate(tokens)]

    def _prompt(self, question: str, num_visual_tokens: int) -> list[int]:
        placeholders = [self.backbone.visual_token_id] * num_visual_tokens
        return [*self.opening, *placeholders, *self.question_tokens(question)]

    def _tokens_of(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return found

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.backbone.model.parameters()).device
        return device

    @property
    def padding(self) -> int:
        """Whatever fills up: nothing looks at it."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0
