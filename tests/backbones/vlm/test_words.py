"""A tokenizer of a list of words."""

from __future__ import annotations

import pytest

from approxbit.backbones.vlm.words import SPECIAL, word_tokenizer

pytest.importorskip("transformers")


def test_words_marks_and_punctuation_are_one_token_each():
    tokenizer = word_tokenizer(["seven", "moves", "the", ",", "."], ["USER:", "<|end|>"])
    tokens = tokenizer("USER: The SEVEN moves? <|end|> the, seven. eight").input_ids
    names = ["USER:", "the", "seven", "moves", "<|end|>", "the", ",", "seven", ".", "<unk>"]
    assert tokenizer.convert_ids_to_tokens(tokens) == names
    assert tokenizer.convert_ids_to_tokens(list(range(len(SPECIAL)))) == list(SPECIAL)
    assert len(tokenizer) == len(SPECIAL) + 7


def test_what_is_decoded_has_no_special_tokens():
    tokenizer = word_tokenizer(["seven", "moves"], ["USER:"])
    tokens = tokenizer("USER: seven moves").input_ids
    assert (
        tokenizer.decode([*tokens, tokenizer.eos_token_id], skip_special_tokens=True).strip() == "seven moves"
    )


@pytest.mark.parametrize("words", [["two words"], ["Red"], ["?"], [""], ["red", "red"], ["<pad>"], ["USER:"]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(ValueError, match="expected different words of small letters without spaces, found"):
        word_tokenizer(words, ["USER:"])


def test_a_tokenizer_is_the_same_after_it_was_written(tmp_path):
    import transformers

    tokenizer = word_tokenizer(["seven", "moves", "."], ["USER:"])
    tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    text = "USER: seven? moves. eight"
    assert again(text).input_ids == tokenizer(text).input_ids
    assert again.eos_token_id == tokenizer.eos_token_id
