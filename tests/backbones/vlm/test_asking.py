"""Questions in words for tiny video-language models, with a tokenizer of a few words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from approxbit.backbones.vlm import Asker

WORDS = ("USER", "user", "assistant", "ASSISTANT", "who", "is", "waving", "Answer", "in", "one", "word")
WORDS += ("or", "a", "short", "phrase", "man", "dog", "red", "cat")
END = 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A folder with a tokenizer: words by their number, `</s>` ends an answer."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    vocabulary = {"<unk>": 0, "</s>": END, **{word: number for number, word in enumerate(WORDS, 2)}}
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), 62)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("tokenizer")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=model, unk_token="<unk>", eos_token="</s>")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def asker(backbone, tokenizer):
    return Asker.from_folder(backbone, tokenizer)


@pytest.fixture
def visual(backbone, tiny):
    with torch.no_grad():
        return backbone(backbone.normalise(tiny.clips_of(backbone, 1)))


def test_the_prompt_holds_a_placeholder_for_each_embedding_before_the_question(asker, visual):
    [ids] = asker.input_ids("who is waving?", visual.shape[1]).tolist()
    places = [place for place, token in enumerate(ids) if token == asker.backbone.visual_token_id]
    assert places == list(range(places[0], places[0] + visual.shape[1]))
    who = WORDS.index("who") + 2
    assert who not in ids[: places[-1]]
    assert ids[places[-1] + 1 :].index(who) < len(ids)


def test_the_answer_is_the_likeliest_token_again_and_again(asker, visual):
    said = asker.answer(visual, "who is waving?")
    assert 1 <= len(said.tokens) <= asker.max_new_tokens
    ids = asker.input_ids("who is waving?", visual.shape[1])
    for place, token in enumerate(said.tokens[:5]):
        prefix = torch.cat((ids, torch.tensor([said.tokens[:place]], dtype=torch.int64)), dim=1)
        with torch.no_grad():
            assert int(asker.backbone.logits(visual, prefix)[0, -1].argmax()) == token
    shares = asker.log_probabilities(visual, "who is waving?", said.tokens)
    assert shares.argmax(dim=-1).tolist() == list(said.tokens)
    assert torch.allclose(shares.exp().sum(dim=-1), torch.ones(len(said.tokens), dtype=torch.float64))


def test_an_answer_ends_where_the_model_ends_it(asker, visual):
    whole = asker.answer(visual, "who is waving?").tokens
    asker.tokenizer.eos_token = asker.tokenizer.convert_ids_to_tokens(whole[2])
    first = whole.index(whole[2])
    assert asker.answer(visual, "who is waving?").tokens == whole[: first + 1]


def test_likelihoods_are_sums_over_the_tokens_whatever_stands_beside(asker, visual):
    candidates = ["man", "a red cat", "dog"] * 7  # more than go at once, of several lengths
    found = asker.log_likelihoods(visual, "who is waving?", candidates)
    for candidate, likelihood in zip(candidates[:3], found[:3], strict=True):
        tokens = [WORDS.index(word) + 2 for word in candidate.split()] + [END]
        shares = asker.log_probabilities(visual, "who is waving?", tokens)
        expected = shares[torch.arange(len(tokens)), tokens].sum()
        assert float(likelihood) == pytest.approx(float(expected), abs=1e-4)
    assert torch.allclose(found[:3].repeat(7), found, atol=1e-4)
    assert asker.log_likelihoods(visual, "who is waving?", []).shape == (0,)


@pytest.mark.parametrize(
    "prompt", ["no video {question}", "<video> no question", "{question} <video>", "<video><video>{question}"]
)
def test_a_prompt_without_video_and_question_is_refused(backbone, tokenizer, prompt):
    with pytest.raises(ValueError, match=r"expected a prompt with <video> once and \{question\} once behind"):
        Asker.from_folder(backbone, tokenizer, prompt)


def test_what_is_no_tokenizer_and_no_answer_is_refused(backbone, asker, visual, tmp_path: Path):
    with pytest.raises(ValueError, match="expected a folder with a tokenizer"):
        Asker.from_folder(backbone, tmp_path)
    with pytest.raises(ValueError, match="expected an answer of at least one token, found none"):
        asker.log_probabilities(visual, "who?", ())
