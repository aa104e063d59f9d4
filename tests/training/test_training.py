"""Recipes from end to end, on a few clips."""

import json

import pytest
import torch

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.codec import CodecOutput
from approxbit.datasets.digits import TASK, DigitsClips
from approxbit.training import CodecModule, ObjectiveWeights
from approxbit.training.builders import find_backbone
from approxbit.training.checkpoints import last_checkpoint
from approxbit.training.cli import main, parse_recipe
from approxbit.training.features import compute_features, find_features

pytestmark = [
    # A resumed epoch draws its clips anew: nothing is lost, but the order is not that of an unbroken run.
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch"),
]
SMALL = {"num_train": 8, "num_validation": 4, "num_test": 4}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with clips, and a backbone and codecs that were trained for a step or two."""
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPROXBIT_CACHE", str(folder / "cache"))
        patch.setenv("APPROXBIT_CHECKPOINTS", str(folder / "checkpoints"))
        main(["--config", str(write_recipe(folder, "backbone"))])
        yield folder


def write_recipe(folder, kind, **changes):
    model = {
        "backbone": {
            "class_path": "approxbit.training.BackboneModule",
            "init_args": {"backbone": "movinet_small"},
        },
        "codec": {
            "class_path": "approxbit.training.CodecModule",
            "init_args": {"backbone": "digits-tiny", "configuration": "4-Enc-B5", "statistics_batches": 1},
        },
    }[kind]
    release = {"family": "digits-tiny", "recipe": f"{kind}.yaml", "checkpoints": str(folder / "checkpoints")}
    recipe = {
        "seed_everything": 1,
        "model": model,
        "data": {
            "class_path": "approxbit.training.ClipData",
            "init_args": {
                "source": {"class_path": "approxbit.datasets.digits.DigitsClips", "init_args": SMALL},
                "batch_size": 4,
            },
        },
        "trainer": {
            "default_root_dir": str(folder / "runs" / kind),
            "accelerator": "cpu",
            "max_steps": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": [
                {"class_path": "approxbit.training.KeepLast"},
                {"class_path": "approxbit.training.Release", "init_args": release},
            ],
        },
        **changes,
    }
    path = folder / f"{kind}.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path


def test_a_backbone_is_trained_measured_and_released_with_its_card(workshop):
    card = zoo.card("digits-tiny")
    assert card.builder == "movinet_small"
    assert card.task == TASK
    assert set(card.provenance.metrics) == {*TASK.figures, "optimizer_steps"}
    assert card.provenance.split == "test"
    assert card.provenance.seed == 1
    assert card.provenance.command.startswith("approxbit train")
    fresh = zoo.build_backbone("movinet_small", {})
    trained = zoo.load_backbone("digits-tiny")
    assert not torch.equal(fresh.conv7.conv_1.conv3d.weight, trained.conv7.conv_1.conv3d.weight)


def test_logs_and_the_checkpoint_lie_in_the_root_folder(workshop):
    root = workshop / "runs" / "backbone"
    assert last_checkpoint(root).exists()
    assert "train/loss" in (root / "csv" / "version_0" / "metrics.csv").read_text()
    assert list((root / "tensorboard" / "version_0").glob("events.out.tfevents.*"))


def test_all_configurations_are_trained_once_and_kept(workshop, capsys):
    recipe = write_recipe(workshop, "codec", configurations=["4-Enc-B5", "2-NoEnc-B5"], cache_features=True)
    main(["--config", str(recipe)])
    assert zoo.available() == ("digits-tiny/2-NoEnc-B5", "digits-tiny/4-Enc-B5")
    before = {path: path.stat().st_mtime_ns for path in (workshop / "checkpoints" / "digits-tiny").iterdir()}
    main(["--config", str(recipe)])  # everything is done
    assert {path: path.stat().st_mtime_ns for path in before} == before
    model = zoo.load("digits-tiny/4-Enc-B5")
    assert model(torch.zeros(1, 3, 16, 64, 64)).shape == (1, 240)


def test_training_goes_on_from_the_last_checkpoint(workshop):
    recipe = write_recipe(workshop, "codec")
    root = workshop / "runs" / "resumed"
    main(["--config", str(recipe), f"--trainer.default_root_dir={root}", "--trainer.max_steps=1"])
    main(["--config", str(recipe), f"--trainer.default_root_dir={root}", "--trainer.max_steps=3"])
    assert {path.name for path in (root / "csv").iterdir()} == {"version_0", "version_1"}
    checkpoint = torch.load(last_checkpoint(root), weights_only=True)
    assert checkpoint["global_step"] == 3
    assert all(key.startswith(("model.codec.", "has_statistics")) for key in checkpoint["state_dict"])


def test_the_encoder_learns_in_a_run_without_the_binary_loss(workshop):
    """In eval mode, which Lightning would leave the codec in, its bits have no gradient."""
    recipe = write_recipe(workshop, "codec")
    weights = []
    for steps in (1, 2):
        root = workshop / "runs" / f"learns{steps}"
        change = ["--model.init_args.objective.binary=0", f"--trainer.max_steps={steps}"]
        main(["--config", str(recipe), f"--trainer.default_root_dir={root}", *change])
        weights.append(zoo.load("digits-tiny/4-Enc-B5").codec.compressor.grid.weight)
    assert not torch.equal(*weights)


def test_the_same_seed_gives_the_same_codec(workshop):
    recipe = write_recipe(workshop, "codec")
    fingerprints = set()
    for attempt in range(2):
        root = workshop / "runs" / f"seeded{attempt}"
        main(["--config", str(recipe), f"--trainer.default_root_dir={root}"])
        fingerprints.add(zoo.card("digits-tiny/4-Enc-B5").weights.fingerprint)
    assert len(fingerprints) == 1


def test_only_the_codec_learns_and_the_backbone_stays_in_eval_mode(workshop):
    module = CodecModule("digits-tiny", "4-Enc-B5")
    module.train()
    assert module.model.codec.training
    assert not module.model.backbone.training
    assert not any(part.training for part in module.model.edge_half.modules())
    learning = {name for name, weight in module.named_parameters() if weight.requires_grad}
    assert learning
    assert all(name.startswith("model.codec.") for name in learning)


def test_the_loss_reaches_the_encoder_through_the_threshold_and_the_frozen_server_half(workshop):
    module = CodecModule("digits-tiny", "4-Enc-B5").train()
    clip, labels = next(iter(DigitsClips(**SMALL).loader("train", 4)))
    parts, _ = module.compute_objective((clip, labels))
    parts.task.backward()
    assert module.model.codec.compressor.grid.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in module.model.backbone.parameters())


TERMS = ("task", "reconstruction", "binary", "distillation", "downstream")


@pytest.mark.parametrize("term", TERMS)
def test_every_term_reaches_the_encoder_and_no_term_the_backbone(workshop, term):
    weights = ObjectiveWeights(**{name: float(name == term) for name in TERMS})
    module = CodecModule("digits-tiny", "4-Enc-B5", objective=weights).train()
    clip, labels = next(iter(DigitsClips(**SMALL).loader("train", 4)))
    parts, _ = module.compute_objective((clip, labels))
    parts.total.backward()
    assert parts.total.item() == pytest.approx(getattr(parts, term).item())
    assert module.model.codec.compressor.grid.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in module.model.backbone.parameters())


@pytest.mark.parametrize("preset", ["fast", "small", "global"])
def test_the_rate_teaches_the_prior_and_the_encoder(workshop, preset):
    weights = ObjectiveWeights(task=0, reconstruction=0, binary=0, rate=1)
    module = CodecModule("digits-tiny", "4-Enc-B5", objective=weights, prior_preset=preset).train()
    clip, labels = next(iter(DigitsClips(**SMALL).loader("train", 4)))
    parts, _ = module.compute_objective((clip, labels))
    assert parts.rate.item() == pytest.approx(1, abs=0.1)  # bits for each bit, before anything is learned
    parts.total.backward()
    assert module.prior.biases[0].grad.abs().sum() > 0
    if preset == "global":
        assert module.prior.global_output.grad.abs().sum() > 0
        assert module.model.codec.compressor.grid.weight.grad.abs().sum() > 0


def test_distance_from_the_unsplit_model_vanishes_where_nothing_is_lost(workshop):
    module = CodecModule("digits-tiny", "4-Enc-B5", objective=ObjectiveWeights(distillation=1, downstream=1))
    clip, labels = next(iter(DigitsClips(**SMALL).loader("train", 4)))
    feature = module.compute_feature(clip)
    module.model.codec.forward = lambda feature, *_: CodecOutput(feature, feature, feature)
    parts, _ = module.compute_objective((feature, labels))
    assert parts.distillation.item() == pytest.approx(0, abs=1e-6)
    assert parts.downstream.item() == 0
    assert parts.reconstruction.item() == 0


def test_a_nested_codec_is_released_with_its_sizes(workshop):
    recipe = write_recipe(workshop, "codec")
    root = workshop / "runs" / "nested"
    main(
        [
            "--config",
            str(recipe),
            f"--trainer.default_root_dir={root}",
            "--model.init_args.configuration=6-Enc-B5",
            "--model.init_args.options.nested_sizes=[1, 3]",
            "--model.init_args.options.hidden_channels=48",
            "--model.init_args.binarizer=approxbit.codec.NoisyThreshold",
            "--model.init_args.optimization.initialization=components",
        ]
    )
    card = zoo.card("digits-tiny/6-Enc-B5")
    assert card.arguments == {"hidden_channels": 48, "nested_sizes": [1, 3]}
    assert zoo.load("digits-tiny/6-Enc-B5").codec.nested_sizes == (1, 3)
    assert {"top1_actions", "1-Enc-B5_top1_actions"} <= set(card.provenance.metrics)


def test_cached_features_are_those_of_the_edge_half(workshop):
    module = CodecModule("digits-tiny", "4-Enc-B5")
    loader = DigitsClips(**SMALL).loader("train", 4)
    dataset = compute_features(module.compute_feature, module.model.server_half, loader, "features")
    clip, labels = next(iter(loader))
    feature, cached_labels, answer = dataset.__getitems__([0, 1, 2, 3])
    assert torch.allclose(answer, module.model.backbone(module.model.backbone.normalise(clip)), atol=1e-5)
    assert torch.allclose(feature.grid, module.compute_feature(clip).grid, rtol=1e-3, atol=1e-3)
    assert torch.equal(cached_labels, labels)
    assert isinstance(dataset[0][0], Feature)
    assert len(dataset) == 8


def test_no_batches_no_features():
    with pytest.raises(ValueError, match="at least one batch of clips"):
        compute_features(None, None, [], "features")


def test_features_of_a_named_data_set_are_computed_once(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    module = CodecModule("digits-tiny", "4-Enc-B5")
    loader = DigitsClips(**SMALL).loader("train", 4)
    first = find_features(module.model, module.compute_feature, loader, "train")
    assert len(list(tmp_path.glob("features-train-*.safetensors"))) == 1
    second = find_features(module.model, None, loader, "train")
    assert all(torch.equal(kept, vars(first)[name]) for name, kept in vars(second).items())
    other = CodecModule("digits-tiny", "4-Enc-B3")
    find_features(other.model, other.compute_feature, loader, "train")
    loader.dataset.name = None
    find_features(module.model, module.compute_feature, loader, "train")
    assert len(list(tmp_path.glob("features-train-*.safetensors"))) == 2
    assert not list(tmp_path.glob("*.partial"))
    find_features(
        module.model,
        module.compute_feature,
        DigitsClips(**SMALL).loader("train", 4),
        "train",
        tmp_path / "own",
    )
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_the_known_answer_of_the_unsplit_model_is_the_teacher(workshop):
    module = CodecModule("digits-tiny", "4-Enc-B5", objective=ObjectiveWeights(distillation=1)).eval()
    clip, labels = next(iter(DigitsClips(**SMALL).loader("train", 4)))
    feature = module.compute_feature(clip)
    known, _ = module.compute_objective((feature, labels, module.model.server_half(feature)))
    computed, _ = module.compute_objective((clip, labels))
    assert torch.allclose(known.distillation, computed.distillation)
    wrong, _ = module.compute_objective((feature, labels, torch.zeros(len(labels), 240)))
    assert not torch.allclose(wrong.distillation, computed.distillation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_set": "colours"}, "one of the label sets action_digit, actions, digits, found 'colours'"),
        (
            {"weights": "x.safetensors"},
            "digits-tiny has its own weights and arguments, found weights='x.safetensors'",
        ),
        (
            {"prior_preset": "tiny", "objective": ObjectiveWeights(rate=1)},
            "preset must be one of fast, small, global, found 'tiny'",
        ),
    ],
)
def test_wrong_options_are_refused(workshop, change, message):
    with pytest.raises(ValueError, match=message):
        CodecModule("digits-tiny", "4-Enc-B5", **change)


def test_a_builder_takes_plain_weights(workshop):
    weights = workshop / "checkpoints" / "digits-tiny" / "backbone.safetensors"
    backbone = find_backbone("movinet_small", str(weights))
    trained = zoo.load_backbone("digits-tiny")
    assert torch.equal(backbone.conv7.conv_1.conv3d.weight, trained.conv7.conv_1.conv3d.weight)


def test_caching_features_is_for_codecs_only(workshop):
    recipe = write_recipe(workshop, "backbone", cache_features=True)
    with pytest.raises(ValueError, match="cache_features needs a CodecModule"):
        main(["--config", str(recipe)])


def test_a_recipe_with_an_unknown_word_does_not_parse(workshop):
    recipe = write_recipe(workshop, "codec", wings=2)
    with pytest.raises(ValueError, match=r"the recipe does not parse:\n.*wings"):
        parse_recipe(recipe)


def test_of_a_word_that_no_class_takes_only_the_cause_is_said(workshop):
    recipe = write_recipe(workshop, "codec")
    with pytest.raises(ValueError, match="Option 'wings' is not accepted") as refusal:
        main(["--config", str(recipe), "--data.init_args.source.init_args.wings=2"])
    assert "DigitsClips" in str(refusal.value)
    assert not {"usage:", "Union", "Subtypes", "NoneType"} & {*str(refusal.value).split()}


def test_what_a_model_refuses_is_said_in_its_own_words(workshop):
    model = {"class_path": "approxbit.training.CodecModule"}
    model["init_args"] = {"backbone": "digits-tiny", "configuration": "4-Enc-B5", "weights": "x.safetensors"}
    with pytest.raises(ValueError, match="the family digits-tiny has its own weights") as refusal:
        main(["--config", str(write_recipe(workshop, "codec", model=model))])
    assert "Union" not in str(refusal.value)
