"""A model that answers questions learns: its losses by hand, its views, what stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from approxbit import zoo
from approxbit.backbones import VideoQuestionModel
from approxbit.datasets.dense import DenseTargets, QuestionTargets
from approxbit.datasets.scenes.questions import ANSWERS
from approxbit.datasets.scenes.targets import NUM_CLASSES, NUM_VALUES, DenseSceneClips
from approxbit.tasks import QuestionAnswering, Target
from approxbit.training import ClipData, QuestionModule, Release

SIZES = {"head_width": 16, "head_layers": 1, "width": 16, "num_layers": 2, "num_local": 1, "num_heads": 2}
TINY: dict[str, Any] = {
    **{"words": ["what", "is", "there"], "answers": ["yes", "no", "seven"], "clip_shape": [3, 2, 16, 16]},
    **SIZES,
}


def module(**changes: Any) -> QuestionModule:
    torch.manual_seed(0)
    given = {"classes": {"value": 10}, "values": {"offset": 2}, **changes}
    return QuestionModule("video_questions", TINY, **given)


VALUES = [[3, -1, 7, 3], [-1, -1, -1, 2]]


def batch() -> tuple[torch.Tensor, QuestionTargets]:
    torch.manual_seed(1)
    dense = DenseTargets({"value": torch.tensor(VALUES)}, {"offset": torch.rand(2, 4, 2)})
    dense.values["offset"][0, 1] = torch.nan
    asked = [
        [("what is there", Target("seven", "what")), ("is there", Target("no", "is"))],
        [("is what there", Target("yes", "is"))],
    ]
    return torch.rand(2, 3, 2, 16, 16), QuestionTargets(asked, dense)


def test_the_losses_are_those_worked_out_by_hand() -> None:
    learner = module(dense_weight=2.0, question_weight=3.0)
    clips, targets = batch()
    terms = learner.compute_terms((clips, targets))
    tokens = learner.backbone((clips - 0.4) / 0.25)
    assert targets.dense is not None
    values = learner.dense["value"](tokens)
    picked = torch.stack([values[0, 0], values[0, 2], values[0, 3], values[1, 3]])
    dense = F.cross_entropy(picked, torch.tensor([3, 7, 3, 2]))
    known = torch.tensor([[True, False, True, True], [True] * 4])
    dense = dense + F.smooth_l1_loss(
        learner.dense["offset"](tokens)[known], targets.dense.values["offset"][known]
    )
    questions = learner.backbone.head.to_tensor([["what is there", "is there"], ["is what there"]])
    logits = learner.backbone.answer_logits(tokens, questions)
    rows = torch.stack([logits[0, 0], logits[0, 1], logits[1, 0]])
    asked = F.cross_entropy(rows, torch.tensor([2, 1, 0]))
    torch.testing.assert_close(terms["dense"], dense)
    torch.testing.assert_close(terms["questions"], asked)
    torch.testing.assert_close(terms["loss"], 2 * dense + 3 * asked)


def test_words_learn_to_look_at_what_they_name() -> None:
    torch.manual_seed(0)
    small = {**TINY, "clip_shape": [3, 2, 32, 32], "head_merge": 2, "head_layers": 2}
    digits = ["zero", "what", "is", "there", "four", "five", "six", "seven", "eight", "nine"]
    small["words"] = ["is", "there", "seven", "what", *digits[4:7], *digits[8:], "zero"]
    names = {"value": digits}
    learner = QuestionModule("video_questions", small, {"value": 10}, names=names)
    values = torch.full((2, 16), -1)
    values[0, 0], values[0, 11], values[1, 5] = 7, 7, 2  # clip 0: seven in squares 0 and 3; clip 1: "is" in 0
    dense = DenseTargets({"value": values}, {})
    asked = [[("is seven there", Target("yes")), ("seven", Target("no"))], [("there is", Target("no"))]]
    clips, targets = torch.rand(2, 3, 2, 32, 32), QuestionTargets(asked, dense)
    terms = learner.compute_terms((clips, targets))

    head, tokens = learner.backbone.head, learner.visual((clips, targets))
    first = head.layers[0]
    found = []
    for clip, question, word, squares in (
        (0, "is seven there", 1, [0, 3]),
        (0, "seven", 0, [0, 3]),
        (1, "there is", 1, [0]),
    ):
        numbers = head.to_tensor([[question]])[0, 0]
        words = head.embedding(numbers) + head.place[0, 0, : len(numbers)]
        words = words + first.words(first.word_norm(words)[None])[0]
        context = head._context(tokens[clip : clip + 1])
        query = first.visual.query(first.visual_norm(words))[word].unflatten(0, (4, 4))[0]
        key = first.visual.key_value(context)[0, :, :16].unflatten(1, (4, 4))[:, 0]
        found.append(-(key @ query / 2).softmax(dim=0)[squares].sum().log())
    torch.testing.assert_close(terms["pointing"], torch.stack(found).mean())
    torch.testing.assert_close(terms["loss"], terms["dense"] + terms["questions"] + terms["pointing"])
    for _ in range(30):
        for parameter, grad in zip(
            head.parameters(),
            torch.autograd.grad(
                learner.compute_terms((clips, targets))["pointing"],
                list(head.parameters()),
                allow_unused=True,
            ),
            strict=True,
        ):
            if grad is not None:
                parameter.data -= 0.1 * grad
    assert learner.compute_terms((clips, targets))["pointing"] < terms["pointing"] / 2


def test_slices_of_time_are_learned_from_by_themselves() -> None:
    learner = module(question_weight=0.0, num_slices=1, dense_weight=2.0)
    learner.backbone.grid = (2, 1, 2)  # as if a clip of 4 frames and 8 x 16 pixels had two slices
    clips, targets = torch.rand(2, 3, 4, 8, 16), batch()[1]
    learner.backbone.embedding.place.data = learner.backbone.embedding.place.data[:, :, :2]
    learner.backbone.embedding.time.data = torch.randn(1, 2, 1, 16)
    learner.backbone.layers[0].local_tokens = 2
    found = set()
    for seed in range(8):
        torch.manual_seed(seed)
        terms = learner.compute_terms((clips, targets))
        found.add(round(terms["dense"].item(), 5))
        assert terms["loss"].item() == pytest.approx(2 * terms["dense"].item())
    expected = set()
    assert targets.dense is not None
    for first in (0, 1):
        tokens = learner.backbone.look_at((clips[:, :, 2 * first : 2 * first + 2] - 0.4) / 0.25, first)
        part = targets.dense.of_patches(slice(2 * first, 2 * first + 2))
        assert part.classes["value"].tolist() == [row[2 * first : 2 * first + 2] for row in VALUES]
        expected.add(round(learner.dense.loss(tokens, part).item(), 5))
    assert found == expected


@pytest.mark.parametrize(
    "phase",
    [
        {},
        {"question_weight": 0.0},
        {"train_from": "head"},
        {"train_from": "L1"},
        {"dense_weight": 0.0},
        {"view": "script"},
        {"view": "script", "train_from": "L1"},
    ],
    ids=str,
)
def test_what_learns_gets_a_gradient_and_all_else_is_frozen(phase: dict[str, Any]) -> None:
    learner = module(**phase)
    learner.compute_terms(batch())["loss"].backward()
    for name, parameter in learner.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_an_answer_that_the_model_cannot_give_is_named() -> None:
    clips, targets = batch()
    targets.asked[0][0] = ("what is there", Target("eleven", "what"))
    with pytest.raises(ValueError, match="answers that the model can give, found 'eleven' and 0 others"):
        module().compute_terms((clips, targets))


def test_a_tower_that_does_not_learn_gets_no_gradient() -> None:
    learner = module(train_from="head")
    learner.compute_terms(batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in learner.backbone.layers.parameters())
    assert learner.backbone.head.classifier.weight.grad is not None


@pytest.mark.parametrize(
    ("view", "differs"), [("whole", True), ("shuffled", True), ("one_frame", False), ("nothing", False)]
)
def test_a_view_shows_what_it_says(view: str, differs: bool) -> None:
    learner = module(view=view).eval()
    clips, targets = batch()
    other = clips.clone()
    other[:, :, 0] = 1 - other[:, :, 0]  # one_frame looks at the second of two
    seen = [learner.visual((each, targets)) for each in (clips, other)]
    assert torch.equal(*seen) != differs


def test_the_script_takes_the_place_of_the_tower() -> None:
    learner = module(view="script", dense_weight=0.0)
    clips, targets = batch()
    assert torch.equal(learner.visual((clips, targets)), learner.visual((torch.zeros_like(clips), targets)))
    learner.compute_terms((clips, targets))["loss"].backward()
    assert learner.script[0].weight.grad is not None
    assert learner.backbone.layers[0].mlp[0].weight.grad is None
    with pytest.raises(ValueError, match="expected dense targets for the view 'script', found none"):
        learner.visual((clips, QuestionTargets(targets.asked)))


def test_figures_are_of_every_family_and_their_mean() -> None:
    learner = module().eval()
    clips, targets = batch()
    learner.task = DenseSceneClips().task.__class__(("what", "is"))
    learner.validation_step((clips, targets), 0)
    with torch.no_grad():
        tokens = learner.visual((clips, targets))
        given = learner.backbone.ask(tokens, [[text for text, _ in each] for each in targets.asked])
    rights = {"what": [given[0][0] == "seven"], "is": [given[0][1] == "no", given[1][0] == "yes"]}
    found = learner.collect()
    shares = {name: 100 * sum(each) / len(each) for name, each in rights.items()}
    assert {name: found[f"exact_match_{name}"] for name in shares} == shares
    assert found["macro"] == pytest.approx(sum(shares.values()) / 2)
    assert 0 <= found["dense_value"] <= 100
    assert learner.collect() == {}


def test_a_family_goes_on_with_more_layers_or_another_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {**TINY, "clip_shape": [3, 2, 32, 32]}
    torch.manual_seed(0)
    zoo.save_backbone(
        tmp_path / "seen",
        zoo.build_backbone("video_questions", small),
        builder="video_questions",
        arguments=small,
        task=QuestionAnswering(),
        provenance=zoo.Provenance(recipe="none", command="none"),
    )
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    clips, targets = torch.rand(2, 3, 2, 32, 32), batch()[1]
    same, more, other = (
        QuestionModule("seen", arguments).eval()
        for arguments in (None, {"num_layers": 4}, {"words": ["is"], "head_merge": 2})
    )
    seen = same.visual((clips, targets))
    assert torch.equal(more.visual((clips, targets)), seen)
    assert torch.equal(other.visual((clips, targets)), seen)
    assert more.arguments == {**small, "num_layers": 4}
    asked = more.backbone.head.to_tensor([["what is there"]] * 2)
    assert torch.equal(more.backbone.answer_logits(seen, asked), same.backbone.answer_logits(seen, asked))
    assert list(other.backbone.head.words) == ["is"]
    with pytest.raises(ValueError, match=r"the weights of seen are not those of \{'width': 32\}"):
        QuestionModule("seen", {"width": 32})


def test_what_a_frozen_part_gives_is_computed_once_for_each_clip() -> None:
    learner = module(train_from="L1")
    clips, targets = batch()
    known = targets._replace(numbers=[7, 3])
    first = learner.compute_terms((clips, known))["loss"]
    torch.testing.assert_close(first, learner.compute_terms((clips, targets))["loss"], rtol=1e-3, atol=1e-3)
    again = learner.compute_terms((torch.zeros_like(clips), known))["loss"]
    assert torch.equal(again, first)
    other = learner.compute_terms((torch.zeros_like(clips), targets._replace(numbers=[3, 8])))["loss"]
    assert not torch.equal(other, first)
    with torch.autocast("cpu", torch.bfloat16):
        half = learner.compute_terms((clips, known))["loss"]
    torch.testing.assert_close(half, first, rtol=0.05, atol=0.05)
    assert not torch.equal(learner.eval().visual((clips, known)), learner.visual((1 - clips, known)))


def test_what_cannot_learn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a view of whole, one_frame.*found 'half'"):
        module(view="half")
    with pytest.raises(ValueError, match="expected a tower to train on dense targets, or a question_weight"):
        module(dense_weight=1.0, question_weight=0.0, train_from="head")
    with pytest.raises(ValueError, match=r"names: expected a word that the model knows.* 10 classes 'value'"):
        module(names={"value": ["what"] * 9})
    with pytest.raises(ValueError, match=r"names: expected a word that the model knows.*'red'"):
        module(names={"value": ["what"] * 9 + ["red"]})
    with pytest.raises(ValueError, match=r"names: .* the 0 classes 'shape', found \['what'\]"):
        module(names={"shape": ["what"]})
    with pytest.raises(ValueError, match="expected num_slices for dense targets of whole clips and a tower"):
        module(num_slices=1)
    with pytest.raises(ValueError, match="expected a model that answers questions, found MoViNet"):
        QuestionModule("movinet_small", {"num_classes": 3, "clip_shape": [3, 4, 32, 32]})


def test_scenes_are_learned_by_the_trainer(tmp_path: Path) -> None:
    source = DenseSceneClips(num_train=6, num_validation=2, num_test=2, per_family=1, cache=str(tmp_path))
    arguments = {"words": ["what"], "answers": list(ANSWERS), **SIZES}
    learner = QuestionModule("video_questions", arguments, NUM_CLASSES, NUM_VALUES)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Release("asked", "recipes/scenes/questions.yaml", str(tmp_path))],
    )
    before = learner.backbone.head.classifier.weight.detach().clone()
    data = ClipData(source, batch_size=3)
    with pytest.raises(ValueError, match="expected a view of 'whole' for what ships, found 'nothing'"):
        trainer.callbacks[-1].on_fit_start(trainer, module(view="nothing"))  # type: ignore[attr-defined]
    trainer.fit(learner, datamodule=data)
    assert not torch.equal(learner.backbone.head.classifier.weight, before)
    assert {"validation/macro", "validation/dense_value"} <= trainer.callback_metrics.keys()

    card = zoo.card("asked", tmp_path)
    assert isinstance(card, zoo.BackboneCard)
    assert isinstance(card.task, QuestionAnswering)
    assert card.provenance.metrics["macro"] >= 0
    assert card.provenance.data is not None
    released = zoo.load_backbone("asked", tmp_path)
    assert isinstance(released, VideoQuestionModel)
    clips, targets = next(iter(data.val_dataloader()))
    asked = [[text for text, _ in each] for each in targets.asked]
    expected = learner.backbone.ask(learner.visual((clips, targets)), asked)
    assert released.ask(released(released.normalise(clips)), asked) == expected
