"""A video-language model learns: its losses by hand, what stays as it is, the whole way of foreign words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from approxbit import zoo
from approxbit.backbones.vlm import VideoLanguageModel
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.dense import DenseTargets, QuestionTargets
from approxbit.datasets.source import ClipSource
from approxbit.profiling.evaluation import evaluate_family
from approxbit.tasks import QuestionAnswering, Target
from approxbit.training import ClipData, LanguageModule, Release

pytest.importorskip("transformers")

WORDS = ["was", "ist", "da", "rot", "ein", "hund", "katze", "ja", "nein"]
SMALL: dict[str, Any] = {
    **{"words": WORDS, "width": 16, "vision_layers": 2, "text_layers": 2, "num_heads": 2},
    **{"patch": 8, "frame_size": 16, "num_frames": 2},
}
BUILDERS = ("llava_onevision_small", "video_llava_small")
NUM_PLACES = {"llava_onevision_small": 2, "video_llava_small": 8}
ASKED = [
    [("was ist da", Target("ein hund", "was")), ("ist da ein hund", Target("ja", "ist"))],
    [("ist da rot", Target("nein", "ist"))],
]


def module(builder: str = BUILDERS[0], **changes: Any) -> LanguageModule:
    torch.manual_seed(0)
    given = {"classes": {"animal": 2}, "values": {"size": 1}, **changes}
    return LanguageModule(builder, SMALL, **given)


def batch(num_patches: int) -> tuple[Tensor, QuestionTargets]:
    torch.manual_seed(1)
    animals = torch.full((2, num_patches), -1)
    animals[0, 0], animals[0, 1], animals[1, 0] = 0, 1, 0
    dense = DenseTargets({"animal": animals}, {"size": torch.rand(2, num_patches, 1)})
    dense.values["size"][0, 1] = torch.nan
    return torch.rand(2, 3, 2, 16, 16), QuestionTargets(ASKED, dense)


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_losses_of_questions_are_those_worked_out_by_hand(builder: str) -> None:
    names = {"animal": ["hund", "katze"]}
    learner = module(builder, dense_weight=2.0, question_weight=3.0, names=names)
    clips, targets = batch(NUM_PLACES[builder])
    terms = learner.compute_terms((clips, targets))

    backbone, asker = learner.backbone, learner.backbone.asker
    assert targets.dense is not None
    visual = backbone(backbone.normalise(clips))
    losses, pointing = [], []
    for clip, about in enumerate(ASKED):
        for question, right in about:
            tokens = torch.tensor([asker.answer_tokens(right.answer)])
            ids = torch.cat((asker.input_ids(question, visual.shape[1]), tokens), dim=1)
            logits = backbone.logits(visual[clip : clip + 1], ids)[0]
            losses += list(F.cross_entropy(logits[-tokens.shape[1] - 1 : -1], tokens[0], reduction="none"))
            places = [
                place for place, token in enumerate(ids[0].tolist()) if token in learner.names["animal"]
            ]
            if clip == 0:  # "hund" is in place 0; nothing in clip 1 names an animal
                looks = look(learner, visual[:1], ids)
                pointing += [-looks[place].log_softmax(dim=-1)[0] for place in places]
    assert len(losses) == 3 + 2 + 2
    assert len(pointing) == 2
    torch.testing.assert_close(terms["questions"], torch.stack(losses).mean())
    torch.testing.assert_close(terms["pointing"], torch.stack(pointing).mean())

    states = backbone.places(
        backbone.model.model.language_model(
            inputs_embeds=torch.cat((asker_opening(backbone).expand(2, -1, -1), visual), dim=1),
            output_hidden_states=True,
        ).hidden_states[1][:, 1:]
    )
    read = learner.dense["animal"](states)
    dense = F.cross_entropy(torch.stack([read[0, 0], read[0, 1], read[1, 0]]), torch.tensor([0, 1, 0]))
    known = ~targets.dense.values["size"].isnan().squeeze(-1)
    sizes = learner.dense["size"](states)[known]
    dense = dense + F.smooth_l1_loss(sizes, targets.dense.values["size"][known])
    torch.testing.assert_close(terms["dense"], dense)
    whole = 3 * terms["questions"] + 2 * terms["dense"] + terms["pointing"]
    torch.testing.assert_close(terms["loss"], whole)


def asker_opening(backbone: VideoLanguageModel) -> Tensor:
    embedded: Tensor = backbone.model.get_input_embeddings()(torch.tensor([backbone.asker.opening]))
    return embedded


def look(learner: LanguageModule, visual: Tensor, ids: Tensor) -> Tensor:
    """How much each token looks at each place, in the first head of the first layer, from its weights."""
    model = learner.backbone.model.model.language_model
    embedded = model.get_input_embeddings()(ids)
    embedded[ids == learner.backbone.visual_token_id] = visual[0]
    layer = model.layers[0]
    hidden = layer.input_layernorm(embedded)
    query, key = (
        part(hidden)[0].unflatten(1, (2, 8))[:, 0]
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj)
    )
    cosine, sine = (each[0] for each in model.rotary_emb(embedded, torch.arange(ids.shape[1])[None]))
    query, key = (
        each * cosine + torch.cat((-each[:, 4:], each[:, :4]), dim=1) * sine for each in (query, key)
    )
    at_visual = (query @ key.T / 8**0.5)[:, (ids[0] == learner.backbone.visual_token_id)]
    return learner.backbone.places(at_visual.T[None])[0].T


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_loss_of_the_tower_is_that_of_its_patches(builder: str) -> None:
    learner = module(builder, question_weight=0.0, dense_weight=2.0, train_from="input")
    clips, targets = batch(8)
    terms = learner.compute_terms((clips, targets))
    tower, tokens = (
        learner.backbone.tower,
        learner.backbone.tower.embedding(learner.backbone.normalise(clips)),
    )
    for layer in tower.layers:
        tokens = layer(tokens)
    patches = F.layer_norm(tokens[:, :, tower.layout.num_class_tokens :].flatten(1, 2), (16,))
    assert targets.dense is not None
    expected = learner.dense.loss(patches, targets.dense)
    torch.testing.assert_close(terms["dense"], expected)
    torch.testing.assert_close(terms["loss"], 2 * expected)


def test_a_tower_learns_from_frames_by_themselves() -> None:
    learner = module(question_weight=0.0, train_from="input", num_frames=1)
    clips, targets = batch(8)
    assert targets.dense is not None
    found, expected = set(), set()
    for seed in range(8):
        torch.manual_seed(seed)
        found.add(round(learner.compute_terms((clips, targets))["dense"].item(), 5))
    for frame in (0, 1):
        part = targets._replace(dense=targets.dense.of_patches(slice(4 * frame, 4 * frame + 4)))
        learner.num_frames = None
        terms = learner.compute_terms((clips[:, :, frame : frame + 1], part))
        expected.add(round(terms["dense"].item(), 5))
    assert found == expected
    assert len(found) == 2


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize(
    "phase",
    [
        {"question_weight": 0.0, "train_from": "input"},
        {"train_from": "input"},
        {"train_from": "language"},
        {"dense_weight": 0.0},
        {"names": {"animal": ["hund", "katze"]}},
    ],
    ids=str,
)
def test_what_learns_gets_a_gradient_and_all_else_is_frozen(builder: str, phase: dict[str, Any]) -> None:
    learner = module(builder, **phase)
    number = 8 if phase.get("question_weight") == 0 else NUM_PLACES[builder]
    learner.compute_terms(batch(number))["loss"].backward()
    for name, parameter in learner.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_what_a_frozen_tower_gives_is_computed_once_for_each_clip() -> None:
    learner = module()
    clips, targets = batch(2)
    known = targets._replace(numbers=[7, 3])
    first = learner.compute_terms((clips, known))["loss"]
    torch.testing.assert_close(first, learner.compute_terms((clips, targets))["loss"], rtol=1e-2, atol=1e-2)
    assert torch.equal(learner.compute_terms((torch.zeros_like(clips), known))["loss"], first)
    assert not torch.equal(learner.eval().visual((clips, known)), learner.visual((1 - clips, known)))


def test_bfloat16_learns_the_same() -> None:
    learner = module(names={"animal": ["hund", "katze"]}, train_from="input")
    expected = learner.compute_terms(batch(2))
    with torch.autocast("cpu", torch.bfloat16):
        found = learner.compute_terms(batch(2))
    for name, value in expected.items():
        torch.testing.assert_close(found[name].float(), value, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("view", ["one_frame", "nothing"])
def test_a_control_sees_less(view: str) -> None:
    learner = module(view=view).eval()
    clips, targets = batch(2)
    other = clips.clone()
    other[:, :, 0] = 1 - other[:, :, 0]
    assert torch.equal(learner.visual((clips, targets)), learner.visual((other, targets)))


def test_what_cannot_learn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a view of whole, one_frame.*found 'script'"):
        module(view="script")
    with pytest.raises(ValueError, match="expected train_from to be input or language, found 'L1'"):
        module(train_from="L1")
    with pytest.raises(ValueError, match="expected a dense_weight or a question_weight above 0"):
        module(dense_weight=0.0, question_weight=0.0)
    with pytest.raises(ValueError, match="expected num_frames for a tower without questions"):
        module(num_frames=1)
    with pytest.raises(
        ValueError, match=r"names: expected a word .* each of the 2 classes 'animal'.*'zebra'"
    ):
        module(names={"animal": ["hund", "zebra"]})
    with pytest.raises(ValueError, match=r"names: .* the 0 classes 'shape', found \['hund'\]"):
        module(names={"shape": ["hund"]})
    with pytest.raises(ValueError, match=r"expected a video-language model with a tokenizer.*found MoViNet"):
        LanguageModule("movinet_small", {"num_classes": 3, "clip_shape": [3, 4, 32, 32]})
    with pytest.raises(ValueError, match=r"expected dense targets of 2 patches of each clip.* found 8"):
        module().compute_terms(batch(8))
    clips, targets = batch(8)
    with pytest.raises(ValueError, match="expected dense targets, found none in these data"):
        module(question_weight=0.0).compute_terms((clips, targets._replace(dense=None)))
    with pytest.raises(ValueError, match="expected dense targets to point at, found none"):
        module(names={"animal": ["hund", "katze"]}).compute_terms((clips, targets._replace(dense=None)))


class _Animals(Dataset[tuple[Tensor, list[tuple[str, Target]]]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, list[tuple[str, Target]]]:
        return torch.full((3, 2, 16, 16), index / 4), ASKED[index % 2]


class AnimalClips(ClipSource):
    """Grey clips with questions in German, and without dense targets."""

    title = "Tiere"
    task = QuestionAnswering(("was", "ist"))

    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        return _Animals()

    def loader(self, *arguments: Any, **named: Any) -> Any:
        loader = super().loader(*arguments, **named)
        loader.collate_fn = self._to_targets
        return loader

    def to_batch(self, samples: Any) -> Any:
        clips, asked = zip(*samples, strict=True)
        return torch.stack(clips), list(asked)

    def _to_targets(self, samples: Any) -> Any:
        clips, asked = self.to_batch(samples)
        return clips, QuestionTargets(asked)


class PlainAnimalClips(AnimalClips):
    """The same for an evaluation."""

    def _to_targets(self, samples: Any) -> Any:
        return self.to_batch(samples)


@pytest.mark.parametrize("builder", BUILDERS)
def test_foreign_words_go_the_whole_way(
    builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps, a release, and the family is evaluated and asked; then another one goes on from it."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(tmp_path))
    learner = LanguageModule(builder, SMALL)
    trainer = fit(learner, Release("tiere", "recipes/tiere.yaml", str(tmp_path)))
    assert {"validation/macro", "validation/exact_match_was"} <= trainer.callback_metrics.keys()
    card = zoo.card("tiere", tmp_path)
    assert isinstance(card, zoo.BackboneCard)
    assert card.provenance.metrics["optimizer_steps"] == 2

    released = zoo.load_backbone("tiere", tmp_path)
    assert isinstance(released, VideoLanguageModel)
    clips = torch.stack([_Animals()[index][0] for index in range(4)])
    questions = [[question for question, _ in ASKED[index % 2]] for index in range(4)]
    with torch.no_grad():
        answers = released.ask(released(released.normalise(clips)), questions)
    found = evaluate_family("tiere", PlainAnimalClips(), "test", checkpoints=tmp_path)
    assert list(found.arms[0].answers) == [answer for about in answers for answer in about]
    exact = found.arms[0].figures["exact_match"].overall.value
    assert card.provenance.metrics["exact_match"] == pytest.approx(exact, abs=1e-3)

    if builder == "video_llava_small":
        towers = (released.model.model.image_tower, released.model.model.video_tower)
        one, other = (tower.state_dict() for tower in towers)
        assert all(torch.equal(one[name], other[name]) for name in other)

    point = released.offload_points[0]
    codec = Codec(
        released.feature_shape(point), Configuration.parse(f"4-NoEnc-{point}"), released.num_tokens(point)
    )
    zoo.save_codec(tmp_path / "tiere", codec.eval())
    model = zoo.load(f"tiere/4-NoEnc-{point}", tmp_path)
    code = model.encode(clips)
    with torch.no_grad():
        assert model.ask(code, questions) == released.ask(model.answer(code), questions)

    again = LanguageModule("tiere", {"text_layers": 3})
    for name, value in released.tower.module.state_dict().items():
        assert torch.equal(again.backbone.tower.module.state_dict()[name], value)
    assert len(again.backbone.model.model.language_model.layers) == 3
    assert again.arguments == {**SMALL, "text_layers": 3}
    with pytest.raises(ValueError, match=r"the tower of tiere is not that of \{'width': 32\}"):
        LanguageModule("tiere", {"width": 32})


def fit(learner: LanguageModule, *callbacks: Callback) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks],
    )
    trainer.fit(learner, datamodule=ClipData(AnimalClips(), batch_size=2))
    return trainer


def test_a_control_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a view of 'whole' for what ships, found 'nothing'"):
        fit(module(view="nothing"), Release("tiere", "recipes/tiere.yaml", str(tmp_path)))
