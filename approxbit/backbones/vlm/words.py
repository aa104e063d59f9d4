"""A tokenizer that knows a list of words, and nothing else: what a small language model needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from approxbit.backbones.vlm.requirement import require_transformers

PADDING, UNKNOWN, END, IMAGE, VIDEO = "<pad>", "<unk>", "</s>", "<image>", "<video>"
SPECIAL = (PADDING, UNKNOWN, END, IMAGE, VIDEO)
"""The first tokens, in the order of their numbers."""
_WORD = re.compile(r"\w+|[^\w\s]+")


def word_tokenizer(words: Sequence[str], marks: Sequence[str] = ()) -> Any:
    """A tokenizer of transformers with a token for each word; small and capital letters are the same.

    Args:
        words: In small letters; punctuation may be one. A question mark is no token, and any other word is
            `<unk>`.
        marks: What a prompt says who speaks by, such as `USER:`; each is one token, of no answer.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: A word comes twice, or is not what one token stands for.

    Example:
        >>> tokenizer = word_tokenizer(["which", "digit", "moves"], ["USER:"])
        >>> tokenizer("USER: Which one moves?").input_ids
        [5, 6, 1, 8]
    """
    transformers = require_transformers()
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    wrong = [word for word in words if not _WORD.fullmatch(word) or word != word.lower() or word == "?"]
    tokens = (*SPECIAL, *marks, *words)
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if wrong or twice:
        raise ValueError(
            f"expected different words of small letters without spaces, found {(wrong or twice)[0]!r}"
        )
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace("?", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[IMAGE, VIDEO, *marks],
    )
