"""Codecs of a model that answers questions: the objective by hand, and a training that releases one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from approxbit import zoo
from approxbit.backbones import VideoQuestionModel
from approxbit.codec import CodecOptions
from approxbit.datasets.scenes.questions import ANSWERS, LEARNED
from approxbit.datasets.scenes.targets import DenseSceneClips
from approxbit.training import ClipData, CodecModule, MicroBatches, ObjectiveWeights, Release
from approxbit.training.downstream import answer_with_layers
from approxbit.training.objective import downstream_loss

KEPT_OUT = ["when", "nearest", "where_while", "sum", "largest"]
SMALL: dict[str, Any] = {
    "words": ["what", "is", "red", "digit"],
    "answers": list(ANSWERS),
    **{"head_width": 16, "head_layers": 1, "width": 32, "num_layers": 3, "num_local": 1, "num_heads": 2},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    task = DenseSceneClips().task
    made = zoo.Provenance(recipe="none", command="none")
    model = zoo.build_backbone("video_questions", SMALL)
    zoo.save_backbone(tmp_path / "asked", model, "video_questions", SMALL, task, made)
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    return tmp_path


def source(root: Path) -> DenseSceneClips:
    cache = str(root / "cache")
    return DenseSceneClips(
        num_train=6, num_validation=2, num_test=2, per_family=1, kept_out=KEPT_OUT, cache=cache
    )


def module(**changes: Any) -> CodecModule:
    torch.manual_seed(1)
    weights = {"task": 1.0, "reconstruction": 0.5, "binary": 0.25, "distillation": 2.0, "downstream": 0.7}
    given = {"objective": ObjectiveWeights(**weights, temperature=3.0), "statistics_batches": 1, **changes}
    return CodecModule("asked", "8-NoEnc-L1", options=CodecOptions(nested_sizes=(2,)), **given)


def test_the_terms_are_those_of_the_answers_to_each_question(root: Path) -> None:
    learner, found = module(), source(root)
    clips, targets = next(iter(found.loader("train", 3)))
    targets = targets._replace(numbers=None)  # else features would be kept in half precision
    learner.train()
    torch.manual_seed(5)
    terms = learner.compute_objective((clips, targets))[0]
    torch.manual_seed(5)
    model = learner.model
    backbone = model.backbone
    assert isinstance(backbone, VideoQuestionModel)
    feature = learner.compute_feature(clips)
    output = model.codec(feature)
    seen, layers = answer_with_layers(model.server_half, output.feature)
    wanted, wanted_layers = answer_with_layers(model.server_half, feature)
    rows, right, teacher = [], [], []
    for clip, asked in enumerate(targets.asked):
        for text, target in asked:
            question = backbone.head.to_tensor([[text]])
            rows.append(backbone.answer_logits(seen[clip : clip + 1], question)[0, 0])
            teacher.append(backbone.answer_logits(wanted[clip : clip + 1], question)[0, 0])
            right.append(ANSWERS.index(target.answer))
    logits = torch.stack(rows)
    torch.testing.assert_close(terms.task, F.cross_entropy(logits, torch.tensor(right)))
    shares = F.log_softmax(torch.stack(teacher) / 3, dim=-1)
    kl = (shares.exp() * (shares - F.log_softmax(logits / 3, dim=-1))).sum(dim=-1).mean()
    torch.testing.assert_close(terms.distillation, 9 * kl, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms.downstream, downstream_loss(layers, wanted_layers))


def test_what_is_kept_out_is_not_asked_in_training(root: Path) -> None:
    found = source(root)

    def types(split: str, training: bool) -> set[str]:
        batches = found.loader(split, 2, training=training)
        return {t.question_type for _, each in batches for asked in each.asked for _, t in asked}

    assert types("train", True) <= set(LEARNED)
    assert types("validation", False) & set(KEPT_OUT)
    with pytest.raises(ValueError, match=r"expected families of action.*found never"):
        DenseSceneClips(kept_out=["never"])


def test_a_codec_learns_and_is_released_with_the_figures_of_its_sizes(root: Path) -> None:
    learner = module()
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Release("asked", "recipes/scenes/codec.yaml", str(root))],
    )
    trainer.fit(learner, datamodule=ClipData(source(root), batch_size=3))
    assert {"validation/macro", "validation/exact_match_sum"} <= trainer.callback_metrics.keys()
    card = zoo.card("asked/8-NoEnc-L1")
    metrics = card.provenance.metrics
    assert {"macro", "exact_match", "2-NoEnc-L1_macro", "2-NoEnc-L1_exact_match_sum"} <= metrics.keys()
    clips, targets = next(iter(source(root).loader("test", 2)))
    released = zoo.load("asked/8-NoEnc-L1")
    asked = [[text for text, _ in each] for each in targets.asked]
    assert released.ask(released.encode(clips), asked) == learner.model.ask(
        learner.model.encode(clips), asked
    )


def test_questions_are_not_taken_apart(root: Path) -> None:
    trainer = L.Trainer(accelerator="cpu", max_steps=1, logger=False, callbacks=[MicroBatches(1)])
    with pytest.raises(ValueError, match="the questions about its clips come together; train without"):
        trainer.fit(module(), datamodule=ClipData(source(root), batch_size=3))
