"""A tiny Video-LLaVA of a user's package, evaluated by the command: answers token by token."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from approxbit import zoo
from approxbit.backbones.vlm import Asker
from approxbit.cli import main
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.questions import MSVDQAClips
from approxbit.profiling.evaluation import Evaluation
from approxbit.tasks import QuestionAnswering
from approxbit.trust import trust

WORDS = ("who", "what", "is", "waving", "it", "man", "dog", "no", "someone", "ASSISTANT", "USER")
MODULE = """
import torch
import transformers

from approxbit.backbones.vlm import video_llava


def make():
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4}
    vision = transformers.CLIPVisionConfig(**sizes, image_size=16, patch_size=8)
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    text = transformers.LlamaConfig(**{**sizes, "num_hidden_layers": 2}, vocab_size=64, **ends)
    config = transformers.VideoLlavaConfig(
        vision_config=vision, text_config=text, image_token_index=62, video_token_index=63
    )
    torch.manual_seed(2)
    backbone = video_llava(config, num_frames=4)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.ndim > 1 and "norm" not in name:
                parameter.mul_(4.0)
    return backbone
"""


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The family `tiny-vlm`, whose builder a user's package has."""
    (tmp_path / "own_vlms").mkdir()
    (tmp_path / "own_vlms" / "__init__.py").write_text("")
    (tmp_path / "own_vlms" / "models.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("APPROXBIT_TRUST", "")
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    trust("own_vlms")
    backbone = zoo.build_backbone("own_vlms.models:make")
    folder, task = tmp_path / "checkpoints" / "tiny-vlm", QuestionAnswering()
    zoo.save_backbone(folder, backbone, "own_vlms.models:make", task=task)
    configuration = Configuration.parse("16-NoEnc-L2")
    codec = Codec(backbone.feature_shape("L2"), configuration, backbone.num_tokens("L2"))
    zoo.save_codec(folder, codec.eval())
    yield "tiny-vlm"
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_vlms"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    vocabulary = {word: number for number, word in enumerate(("<unk>", "</s>", *WORDS))}
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), 62)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=model, unk_token="<unk>", eos_token="</s>")
    fast.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@torch.no_grad()
def test_greedy_answers_teacher_forced_divergence_and_ranks(
    family: str, tokenizer: Path, msvd: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "found.json"
    words = ["evaluate", family, "--data", f"msvd_qa:{msvd}", "--trust", "own_vlms", "--out", str(out)]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--tokenizer", str(tokenizer), "--ranked", "3", "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["plan"]["candidates"][0] == "man"  # which two of the five answers are
    assert len(document["plan"]["candidates"]) == 3
    assert document["plan"]["prompt"].startswith("USER: <video>")
    found = Evaluation.load(out)
    whole, codes = found.arms
    model = zoo.load("tiny-vlm/16-NoEnc-L2")
    asker = Asker.from_folder(model.backbone, tokenizer)
    loader = MSVDQAClips(str(msvd)).fitted(model.backbone.clip_shape).loader("validation", 1)
    lost, answers, ranks = [], [], []
    for clip, [(question, target)] in loader:
        reference = model.backbone(model.backbone.normalise(clip))
        visual = model.answer(model.encode(clip))
        tokens = asker.answer(reference, question).tokens
        answers.append(asker.answer(visual, question).text)
        p, q = (asker.log_probabilities(each, question, tokens).numpy() for each in (reference, visual))
        lost.append((np.exp(p) * (p - q)).sum(axis=-1).mean())
        candidates = document["plan"]["candidates"]
        scores = asker.log_likelihoods(visual, question, candidates).numpy()
        order = [candidates[index] for index in np.argsort(-scores)]
        ranks.append(order.index(target.answer) + 1 if target.answer in order else np.inf)
    assert list(codes.answers) == answers
    assert codes.figures["divergence"].overall.value == pytest.approx(np.mean(lost), abs=1e-6)
    assert codes.figures["divergence"].overall.value > 0
    expected = 100 * np.mean(1 / np.array(ranks))
    assert codes.figures["reciprocal_rank"].overall.value == pytest.approx(expected, abs=1e-4)
    same = np.mean([one == other for one, other in zip(whole.answers, answers, strict=True)])
    assert codes.figures["same_answer"].overall.value == pytest.approx(100 * same)
    assert codes.packed_bytes == model.codec.payload_bytes


def test_a_language_model_needs_its_tokenizer(
    family: str, msvd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", family, "--data", f"msvd_qa:{msvd}", "--trust", "own_vlms"])
    assert "expected the tokenizer of the video-language model" in capsys.readouterr().err
