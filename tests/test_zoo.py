"""Save, load and every way in which a checkpoint can be wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from approxbit import zoo
from approxbit.backbones.movinet import MoViNet
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.errors import HashMismatchError, MissingKeyError, WeightsError, WrongShapeError
from approxbit.families.cards import BackboneCard, CodecCard, load_card
from approxbit.files import sha256_of
from approxbit.offload import OffloadedModel
from approxbit.tasks import Classification, LabelSet, QuestionAnswering
from approxbit.wire import PriorTables
from approxbit.zoo import weights as zoo_weights

REPOSITORY = Path(__file__).parents[1]
ARGUMENTS = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
TASK = Classification(
    (LabelSet("moves", ("left", "right", "still")), LabelSet("easy", ("moving", "still"), (0, 0, 1)))
)


def make_codec(backbone: MoViNet, configuration: str, **options: Any) -> Codec:
    parsed = Configuration.parse(configuration)
    shape = backbone.feature_shape(parsed.offload_point)
    return Codec(shape, parsed, options=CodecOptions(**options)).eval()


@pytest.fixture(scope="module")
def trained() -> MoViNet:
    torch.manual_seed(1)
    backbone = zoo.build_backbone("movinet_small", ARGUMENTS)
    assert isinstance(backbone, MoViNet)
    return backbone


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, trained: MoViNet) -> Path:
    """A folder with one backbone and three codecs, one of them in a family of its own."""
    root = tmp_path_factory.mktemp("checkpoints")
    provenance = zoo.Provenance("recipes/toy.yaml", "make toy", 1, {"top1": 99.5}, "test")
    zoo.save_backbone(root / "toy", trained, "movinet_small", ARGUMENTS, TASK, provenance)
    for configuration in ("8-Enc-B3", "4-NoEnc-B3"):
        zoo.save_codec(root / "toy", make_codec(trained, configuration))
    narrow = make_codec(trained, "8-Enc-B3", hidden_channels=16)
    zoo.save_codec(root / "toy-easy", narrow, "toy", "easy")
    return root


@pytest.fixture
def checkpoints(tmp_path: Path, pristine: Path) -> Path:
    """A copy of the pristine folder, to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path, dirs_exist_ok=True))


def edit_card(path: Path, **fields: object) -> None:
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, **fields}))


def rewrite_weights(checkpoints: Path, tensors: dict[str, torch.Tensor], **record_fields: object) -> None:
    """Other tensors in `toy/8-Enc-B3`, with the card's SHA-256 made to match, and more of its record."""
    path = checkpoints / "toy" / "8-Enc-B3.safetensors"
    save_file(tensors, path)
    record = json.loads(path.with_suffix(".json").read_text())["weights"]
    record["sha256"] = sha256_of(path.read_bytes())
    edit_card(path.with_suffix(".json"), weights={**record, **record_fields})


def test_a_loaded_model_answers_exactly_as_the_saved_parts(checkpoints: Path, trained: MoViNet) -> None:
    torch.manual_seed(2)
    codec = make_codec(trained, "8-Enc-B3")
    zoo.save_codec(checkpoints / "toy", codec)
    model = zoo.load("toy/8-Enc-B3", checkpoints)
    clip = torch.rand(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(clip), OffloadedModel(trained, codec)(clip))
    assert model.task == TASK
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_loaded_model_carries_the_fingerprint_of_its_codec(checkpoints: Path) -> None:
    model = zoo.load("toy/8-Enc-B3", checkpoints)
    card = zoo.card("toy/8-Enc-B3", checkpoints)
    assert model.fingerprint == int(card.weights.fingerprint, 16)
    assert model.fingerprint == zoo.compute_fingerprint(model.codec.state_dict(), "8-Enc-B3")


def test_a_codec_of_another_family_finds_its_backbone(checkpoints: Path) -> None:
    model = zoo.load("toy-easy/8-Enc-B3", checkpoints)
    assert model.task == zoo.find_task("toy-easy/8-Enc-B3", checkpoints) == TASK.asking("easy")
    card = zoo.card("toy-easy/8-Enc-B3", checkpoints)
    assert isinstance(card, CodecCard)
    assert (card.backbone, card.asked, card.configuration) == ("toy", "easy", model.codec.configuration)


def test_models_of_a_family_share_one_backbone(checkpoints: Path) -> None:
    models = zoo.load_family("toy", checkpoints)
    assert list(models) == ["4-NoEnc-B3", "8-Enc-B3"]
    first, second = models.values()
    assert first.backbone is second.backbone
    assert first.fingerprint != second.fingerprint


def test_available_lists_families_and_configurations_in_order(checkpoints: Path) -> None:
    (checkpoints / "toy" / "notes.json").write_text("{}")
    (checkpoints / ".hidden").mkdir()
    assert zoo.available(checkpoints) == ("toy/4-NoEnc-B3", "toy/8-Enc-B3", "toy-easy/8-Enc-B3")


def test_a_card_says_what_the_file_holds(checkpoints: Path) -> None:
    card = zoo.card("toy", checkpoints)
    assert isinstance(card, BackboneCard)
    tensors = load_file(checkpoints / "toy" / "backbone.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == card.weights.shapes
    assert card.provenance.metrics == {"top1": 99.5}
    assert card.provenance.license == "Apache-2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", card.provenance.date)
    assert "cores" in card.provenance.machine


def test_a_card_keeps_each_shape_on_one_line(checkpoints: Path) -> None:
    text = (checkpoints / "toy" / "8-Enc-B3.json").read_text()
    shape = list(zoo.card("toy/8-Enc-B3", checkpoints).weights.shapes["compressor.grid.weight"])
    assert f'"compressor.grid.weight": {shape}' in text


def test_saving_twice_gives_the_same_bytes(checkpoints: Path, trained: MoViNet) -> None:
    before = (checkpoints / "toy" / "backbone.safetensors").read_bytes()
    zoo.save_backbone(checkpoints / "toy", trained, "movinet_small", ARGUMENTS)
    assert (checkpoints / "toy" / "backbone.safetensors").read_bytes() == before


def test_memory_layout_and_tied_tensors_do_not_matter_to_a_file(tmp_path: Path) -> None:
    plain, odd = torch.nn.Conv2d(4, 4, 3), torch.nn.Conv2d(4, 4, 3)
    odd.load_state_dict(plain.state_dict())
    odd.to(memory_format=torch.channels_last)
    assert zoo_weights.save_weights(tmp_path / "odd", odd) == zoo_weights.save_weights(
        tmp_path / "plain", plain
    )
    tied = torch.nn.ModuleList([plain, plain])
    record = zoo_weights.save_weights(tmp_path / "tied", tied)
    zoo_weights.fill(tmp_path, tied, zoo_weights.read_weights(tmp_path / "tied", record))


def test_a_fingerprint_sees_names_dtypes_shapes_values_and_the_label() -> None:
    tensor = torch.arange(4, dtype=torch.float32)
    others = [
        zoo.compute_fingerprint({"a": tensor}, "1-Enc-B3"),
        zoo.compute_fingerprint({"a": tensor}, "2-Enc-B3"),
        zoo.compute_fingerprint({"b": tensor}, "1-Enc-B3"),
        zoo.compute_fingerprint({"a": tensor.reshape(2, 2)}, "1-Enc-B3"),
        zoo.compute_fingerprint({"a": tensor.view(torch.int32)}, "1-Enc-B3"),
        zoo.compute_fingerprint({"a": tensor.flip(0)}, "1-Enc-B3"),
    ]
    assert len(set(others)) == len(others)
    assert all(0 <= fingerprint < 2**64 for fingerprint in others)


def test_a_fingerprint_ignores_order_and_memory_layout() -> None:
    matrix, scalar = torch.arange(6.0).reshape(2, 3), torch.tensor(5)
    assert zoo.compute_fingerprint({"a": matrix, "b": scalar}) == zoo.compute_fingerprint(
        {"b": scalar, "a": matrix.t().contiguous().t()}
    )


@pytest.mark.parametrize(
    "name", ["toy/16-Enc-B3", "toy", "", "../toy/8-Enc-B3", "toy/../toy/8-Enc-B3", "/etc"]
)
def test_an_unknown_model_is_refused_with_a_list_of_the_known(checkpoints: Path, name: str) -> None:
    with pytest.raises(
        ValueError, match=r"has the models toy/4-NoEnc-B3, .*; found " + re.escape(repr(name))
    ):
        zoo.load(name, checkpoints)


def test_an_unknown_family_is_refused_with_a_list_of_the_known(checkpoints: Path) -> None:
    with pytest.raises(ValueError, match=r"has the families toy, toy-easy; found '\.\.'"):
        zoo.load_family("..", checkpoints)
    with pytest.raises(ValueError, match="has the backbones toy; found 'toy-easy'"):
        zoo.load_backbone("toy-easy", checkpoints)
    with pytest.raises(ValueError, match=r"has the LUTs \(none\); found 'toy'"):
        zoo.load_lut("toy", checkpoints)


def test_a_card_cannot_lead_out_of_the_checkpoints(checkpoints: Path) -> None:
    edit_card(checkpoints / "toy" / "8-Enc-B3.json", backbone="../toy")
    with pytest.raises(
        WeightsError, match=r"8-Enc-B3.json: backbone: .* has the backbones toy; found '\.\./toy'"
    ):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_the_environment_variable_names_the_checkpoints(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(checkpoints))
    assert zoo.load_backbone("toy").num_classes == 3
    monkeypatch.delenv("APPROXBIT_CHECKPOINTS")
    assert zoo.find_checkpoints() == REPOSITORY / "checkpoints"


def test_families_of_the_current_folder_stand_beside_those_that_ship(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APPROXBIT_CHECKPOINTS", raising=False)
    checkpoints = Path(shutil.copytree(pristine, tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    assert {"toy/8-Enc-B3", "digits-movinet/16-Enc-B5"} < set(zoo.available())
    assert zoo.card("toy").name == "toy"
    assert zoo.load_lut("digits-movinet").family == "digits-movinet"
    assert zoo.find_checkpoints(family="../toy") == checkpoints  # a name that leads out finds nothing
    with pytest.raises(ValueError, match="found 'nothing'"):
        zoo.card("nothing")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"checkpoints at .*nowhere: pass checkpoints=\.\.\. or set APPROXBIT"
    ):
        zoo.available(tmp_path / "nowhere")


def test_one_flipped_byte_is_a_hash_mismatch(checkpoints: Path) -> None:
    path = checkpoints / "toy" / "8-Enc-B3.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        HashMismatchError, match=r"8-Enc-B3\.safetensors: .* SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}"
    ):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_card_of_other_content_is_a_hash_mismatch(checkpoints: Path) -> None:
    tensors = load_file(checkpoints / "toy" / "8-Enc-B3.safetensors")
    rewrite_weights(checkpoints, {**tensors, "codebook.offset": tensors["codebook.offset"] + 1})
    with pytest.raises(HashMismatchError, match=r"8-Enc-B3\.safetensors: .* fingerprint [0-9a-f]{16}, found"):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_codec_of_another_backbone_is_refused(checkpoints: Path) -> None:
    torch.manual_seed(3)
    other = zoo.build_backbone("movinet_small", ARGUMENTS)
    zoo.save_backbone(checkpoints / "toy", other, "movinet_small", ARGUMENTS)
    with pytest.raises(
        HashMismatchError, match=r"8-Enc-B3\.json: was trained for the backbone toy of the fingerprint"
    ):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_missing_and_unknown_tensors_are_named(checkpoints: Path) -> None:
    tensors = load_file(checkpoints / "toy" / "8-Enc-B3.safetensors")
    tensors["codebook.surplus"] = tensors.pop("codebook.offset")
    rewrite_weights(checkpoints, tensors)
    expected = r"\.safetensors: .* those of the card; missing: codebook\.offset, unknown: codebook\.surplus"
    with pytest.raises(MissingKeyError, match=expected):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_tensor_of_another_shape_is_named(checkpoints: Path) -> None:
    tensors = load_file(checkpoints / "toy" / "8-Enc-B3.safetensors")
    rewrite_weights(checkpoints, {**tensors, "codebook.offset": torch.zeros(1)})
    expected = (
        r"8-Enc-B3\.safetensors: the tensor codebook\.offset must have the shape \(\d+,\), found \(1,\)"
    )
    with pytest.raises(WrongShapeError, match=expected):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_tensor_of_another_dtype_is_named(checkpoints: Path) -> None:
    tensors = load_file(checkpoints / "toy" / "8-Enc-B3.safetensors")
    tensors["codebook.offset"] = tensors["codebook.offset"].half()
    fingerprint = f"{zoo.compute_fingerprint(tensors, '8-Enc-B3'):016x}"
    rewrite_weights(checkpoints, tensors, fingerprint=fingerprint)
    with pytest.raises(WeightsError, match=r"codebook\.offset must be torch\.float32, found torch\.float16"):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_nothing_is_loaded_from_a_file_that_does_not_fit(checkpoints: Path, trained: MoViNet) -> None:
    tensors = load_file(checkpoints / "toy" / "8-Enc-B3.safetensors")
    rewrite_weights(checkpoints, {**tensors, "codebook.offset": torch.zeros(1)})
    codec = make_codec(trained, "8-Enc-B3")
    before = zoo.compute_fingerprint(codec.state_dict())
    path = checkpoints / "toy" / "8-Enc-B3.json"
    record, path = load_card(path, "toy/8-Enc-B3", CodecCard).weights, path.with_suffix(".safetensors")
    with pytest.raises(WrongShapeError, match=r"codebook\.offset"):
        zoo_weights.fill(path, codec, zoo_weights.read_weights(path, record))
    assert zoo.compute_fingerprint(codec.state_dict()) == before


def test_files_that_cannot_be_read_are_named(checkpoints: Path) -> None:
    path = checkpoints / "toy" / "8-Enc-B3.safetensors"
    record = dataclasses.asdict(zoo.card("toy/8-Enc-B3", checkpoints).weights)
    path.write_bytes(b"no safetensors")
    record["sha256"] = sha256_of(b"no safetensors")
    edit_card(path.with_suffix(".json"), weights=record)
    with pytest.raises(WeightsError, match=r"8-Enc-B3\.safetensors: is not a safetensors file"):
        zoo.load("toy/8-Enc-B3", checkpoints)
    path.unlink()
    with pytest.raises(WeightsError, match=r"8-Enc-B3\.safetensors: cannot be read: No such file"):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_card_that_is_none_is_named(checkpoints: Path) -> None:
    path = checkpoints / "toy" / "8-Enc-B3.json"
    card = json.loads(path.read_text())
    path.write_text("{")
    with pytest.raises(WeightsError, match=r"8-Enc-B3\.json: expected JSON"):
        zoo.card("toy/8-Enc-B3", checkpoints)
    others: list[tuple[object, str]] = [
        ([], r"expected a JSON object, found \[\]"),
        ({**card, "kind": "backbone"}, "kind: expected 'codec', found 'backbone'"),
        ({**card, "name": "toy/4-Enc-B3"}, "name: expected 'toy/8-Enc-B3', found 'toy/4-Enc-B3'"),
        ({**card, "surplus": 1}, r"expected the keys name, .*; missing: none; unknown: 'surplus'"),
        ({**card, "weights": {"sha256": ""}}, "weights: .* missing: 'fingerprint', 'shapes'; unknown: none"),
        ({**card, "asked": None}, "asked: expected text, found None"),
    ]
    for wrong, message in others:
        path.write_text(json.dumps(wrong))
        with pytest.raises(WeightsError, match=message):
            zoo.card("toy/8-Enc-B3", checkpoints)


def test_a_codec_that_asks_for_what_its_backbone_does_not_know_is_refused(
    checkpoints: Path, trained: MoViNet
) -> None:
    path = checkpoints / "toy" / "8-Enc-B3.json"
    edit_card(path, asked="plants")
    expected = r"8-Enc-B3\.json: asked: expected one of the label sets moves, easy, found 'plants'"
    with pytest.raises(WeightsError, match=expected):
        zoo.load("toy/8-Enc-B3", checkpoints)
    with pytest.raises(WeightsError, match=expected):
        zoo.find_task("toy/8-Enc-B3", checkpoints)
    with pytest.raises(ValueError, match="expected one of the label sets moves, easy, found 'plants'"):
        zoo.save_codec(checkpoints / "toy", make_codec(trained, "2-Enc-B3"), asked="plants")
    assert zoo.find_task("toy", checkpoints) == TASK


def test_a_task_survives_its_card(checkpoints: Path, trained: MoViNet) -> None:
    for task in (TASK.asking("easy"), QuestionAnswering(("what",)), Classification.of_names()):
        zoo.save_backbone(checkpoints / "toy", trained, "movinet_small", ARGUMENTS, task)
        assert zoo.find_task("toy", checkpoints) == task


def test_what_a_builder_would_not_make_again_is_not_saved(tmp_path: Path, trained: MoViNet) -> None:
    with pytest.raises(ValueError, match=r"expected one of the builders .*movinet_a0, .*, found 'eval'"):
        zoo.save_backbone(tmp_path / "toy", trained, "eval")
    with pytest.raises(WrongShapeError, match=r"backbone\.safetensors: the tensor classifier"):
        zoo.save_backbone(tmp_path / "toy", trained, "movinet_small")
    task = Classification.of_names(["left"])
    with pytest.raises(ValueError, match="the label set classes has 1 classes, found a model of 3"):
        zoo.save_backbone(tmp_path / "toy", trained, "movinet_small", ARGUMENTS, task)
    with pytest.raises(ValueError, match=r"expected a family of letters, .*, found 'to\.y'"):
        zoo.save_backbone(tmp_path / "to.y", trained, "movinet_small", ARGUMENTS)
    assert not list(tmp_path.rglob("*.*"))


def test_a_card_keeps_the_options_of_its_codec(checkpoints: Path, trained: MoViNet) -> None:
    codec = make_codec(trained, "2-Enc-B3", hidden_channels=16)
    card = zoo.save_codec(checkpoints / "toy", codec)
    assert card.arguments == {"hidden_channels": 16}
    assert zoo.load("toy/2-Enc-B3", checkpoints).codec.options == codec.options


@pytest.mark.parametrize("arguments", [{"width": 16}, {"hidden_channels": "16"}, {"attention_channels": 7}])
def test_arguments_that_are_no_options_are_refused(checkpoints: Path, arguments: dict[str, object]) -> None:
    edit_card(checkpoints / "toy" / "8-Enc-B3.json", arguments=arguments)
    with pytest.raises(WeightsError, match="none of a codec's options"):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_a_codec_for_another_clip_shape_is_not_saved(checkpoints: Path, trained: MoViNet) -> None:
    configuration = Configuration.parse("2-Enc-B3")
    longer = Codec(trained.feature_shape("B3", (3, 8, 32, 32)), configuration)
    with pytest.raises(ValueError, match=r"features at B3 have the shape .* found a codec for"):
        zoo.save_codec(checkpoints / "toy", longer)
    assert "toy/2-Enc-B3" not in zoo.available(checkpoints)


@pytest.mark.parametrize("name", sorted(zoo.BUILDERS))
def test_every_builder_needs_no_argument(name: str) -> None:
    with torch.device("meta"):
        backbone = zoo.build_backbone(name, {})
    assert backbone.offload_points
    assert not backbone.training


@pytest.mark.parametrize("builder", zoo.PAPER_CONFIGURATIONS)
def test_every_configuration_of_the_paper_is_built_by_name(builder: str) -> None:
    with torch.device("meta"):
        models = zoo.build_family(builder)
    assert tuple(models) == zoo.PAPER_CONFIGURATIONS[builder]
    for name, model in models.items():
        assert str(model.codec.configuration) == name


@pytest.mark.parametrize(
    ("name", "payload_bytes"),
    [
        ("mvitv2_b/64-Enc-B8", 3136),
        ("mvitv2_b/64-NoEnc-B8", 25088),
        ("mvitv2_b/128-Enc-B8", 6272),
        ("mvitv2_b/128-NoEnc-B8", 50176),
        ("mvitv2_b/64-Enc-B16", 3136),
        ("mvitv2_b/64-NoEnc-B16", 25088),
        ("mvitv2_b/128-Enc-B16", 6272),
        ("mvitv2_b/128-NoEnc-B16", 50176),
        ("movinet_a2/32-NoEnc-B5", 39200),
        ("movinet_a2/32-Enc-B5", 4900),
        ("movinet_a2/16-Enc-B5", 2450),
        ("movinet_a2/16-Enc-B3", 9800),
        ("video_llava_7b/128-Enc-L8", 4096),
        ("video_llava_7b/128-NoEnc-L8", 32768),
        ("video_llava_7b/256-Enc-L8", 8192),
        ("video_llava_7b/256-NoEnc-L8", 65536),
        ("llava_onevision_0_5b/128-Enc-L8", 50176),
        ("llava_onevision_0_5b/128-NoEnc-L8", 373248),
        ("llava_onevision_0_5b/256-Enc-L8", 100352),
        ("llava_onevision_0_5b/256-NoEnc-L8", 746496),
    ],
)
def test_payloads_are_those_of_the_paper_to_the_byte(name: str, payload_bytes: int) -> None:
    """Tables 1 to 3, APPROXBIT; class tokens, which the paper does not count, come on top."""
    with torch.device("meta"):
        codec = zoo.build(name).codec
    assert codec.configuration.payload_bytes(codec.feature_shape) == payload_bytes


def test_what_is_no_name_of_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a builder and a configuration"):
        zoo.build("mvitv2_b")
    with pytest.raises(ValueError, match="expected one of the builders"):
        zoo.build("mvitv3/64-Enc-B8")
    with pytest.raises(ValueError, match="offload points B1"):
        zoo.build("movinet_small/64-Enc-B9")
    with pytest.raises(ValueError, match="arguments have no use: found num_classes"):
        zoo.build("movinet_small/8-Enc-B5", zoo.build_backbone("movinet_small", {}), num_classes=3)
    with pytest.raises(ValueError, match="the paper has mvitv2_b"):
        zoo.build_family("movinet_small")


def test_every_shipped_checkpoint_loads_and_has_the_shapes_of_its_card() -> None:
    for name in zoo.available(REPOSITORY / "checkpoints"):
        model = zoo.load(name, REPOSITORY / "checkpoints")
        card = zoo.card(name, REPOSITORY / "checkpoints")
        assert isinstance(card, CodecCard)
        assert model.prior is not None
        if card.name == name:
            shapes = {key: tuple(tensor.shape) for key, tensor in model.codec.state_dict().items()}
            shapes["prior.tables"] = (len(model.prior.to_bytes()),)
            assert shapes == card.weights.shapes


def test_pickles_are_loaded_with_weights_only() -> None:
    """The only files that torch may unpickle are official checkpoints, and then tensors alone."""
    calls = []
    for folder in ("approxbit", "export", "recipes", "benchmarks"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            text = path.read_text()
            assert not re.search(
                r"^\s*(import|from) (pickle|dill|cloudpickle|joblib)\b(?! import UnpicklingError)",
                text,
                re.MULTILINE,
            ), path
            calls += [(path, call) for call in re.findall(r"\btorch\.load\([^)]*\)", text)]
    assert all("weights_only=True" in call for _, call in calls), calls


@pytest.fixture
def nested(checkpoints: Path, trained: MoViNet) -> Path:
    """A further codec, of 6 bits, whose first 2 and first 4 decode by themselves."""
    codec = make_codec(trained, "6-Enc-B3", nested_sizes=(2, 4))
    zoo.save_codec(checkpoints / "toy", codec)
    return checkpoints


def test_nested_codecs_are_models_of_their_own(nested: Path) -> None:
    names = {name for name in zoo.available(nested) if name.startswith("toy/")}
    assert {"toy/2-Enc-B3", "toy/4-Enc-B3", "toy/6-Enc-B3"} <= names
    whole, first = zoo.load("toy/6-Enc-B3", nested), zoo.load("toy/4-Enc-B3", nested)
    assert str(first.codec.configuration) == "4-Enc-B3"
    assert first.fingerprint == whole.fingerprint
    clip = torch.rand(2, 3, 4, 32, 32)
    assert torch.equal(first.encode(clip).grid, whole.encode(clip).grid[:, :4])
    assert zoo.card("toy/4-Enc-B3", nested).name == "toy/6-Enc-B3"


def test_the_nested_codecs_of_a_family_share_the_decoder(nested: Path) -> None:
    models = zoo.load_family("toy", nested)
    whole = models["6-Enc-B3"].codec
    assert models["2-Enc-B3"].codec.decoder is models["4-Enc-B3"].codec.decoder is whole.decoder
    assert models["8-Enc-B3"].codec.decoder is not whole.decoder


def test_a_codec_with_files_of_its_own_goes_before_a_nested_one(nested: Path, trained: MoViNet) -> None:
    zoo.save_codec(nested / "toy", make_codec(trained, "4-Enc-B3"))
    assert zoo.card("toy/4-Enc-B3", nested).name == "toy/4-Enc-B3"
    assert zoo.load("toy/4-Enc-B3", nested).fingerprint != zoo.load("toy/6-Enc-B3", nested).fingerprint


@pytest.mark.parametrize("sizes", ["4", [0], [4.5], None, {"4": 2}])
def test_a_card_with_other_sizes_than_numbers_holds_no_nested_codec(nested: Path, sizes: object) -> None:
    path = nested / "toy" / "6-Enc-B3.json"
    edit_card(path, arguments={"nested_sizes": sizes})
    assert "toy/4-Enc-B3" not in zoo.available(nested)
    path.write_text("[")
    with pytest.raises(WeightsError, match="expected JSON"):
        zoo.load("toy/6-Enc-B3", nested)


def make_prior(codec: Codec, logit: int = 0) -> PriorTables:
    prior = PriorTables.of_zeros(codec.configuration.codebook_size, codec.grid_size, codec.num_tokens)
    arrays = {field.name: getattr(prior, field.name) for field in dataclasses.fields(prior)}
    return PriorTables(**{**arrays, "output": np.full_like(prior.output, logit)})


def test_a_prior_is_loaded_with_its_codec_and_changes_the_fingerprint(checkpoints: Path) -> None:
    before = zoo.load("toy/8-Enc-B3", checkpoints)
    assert before.prior is None
    fingerprints = {before.fingerprint}
    for logit in (0, 1):
        prior = make_prior(before.codec, logit)
        card = zoo.save_prior("toy/8-Enc-B3", prior, {"coded_bytes": 7.5}, checkpoints, "test")
        after = zoo.load("toy/8-Enc-B3", checkpoints)
        assert after.prior == prior
        assert card.provenance.metrics == {"coded_bytes": 7.5}
        assert after.eval().code_format.prior == prior
        fingerprints.add(after.fingerprint)
        for name, tensor in before.codec.state_dict().items():
            assert torch.equal(tensor, after.codec.state_dict()[name])
    assert len(fingerprints) == 3


def test_a_prior_keeps_what_the_card_said(checkpoints: Path) -> None:
    before = zoo.card("toy-easy/8-Enc-B3", checkpoints)
    codec = zoo.load("toy-easy/8-Enc-B3", checkpoints).codec
    zoo.save_prior("toy-easy/8-Enc-B3", make_prior(codec), checkpoints=checkpoints)
    after = zoo.card("toy-easy/8-Enc-B3", checkpoints)
    assert isinstance(before, CodecCard)
    assert isinstance(after, CodecCard)
    assert dataclasses.replace(after, weights=before.weights) == before
    assert zoo.load("toy-easy/8-Enc-B3", checkpoints).prior is not None


def test_a_prior_of_other_codes_is_not_saved(checkpoints: Path) -> None:
    other = zoo.load("toy/4-NoEnc-B3", checkpoints).codec
    with pytest.raises(ValueError, match="a prior for 8-Enc-B3 must have the grid and class tokens"):
        zoo.save_prior("toy/8-Enc-B3", make_prior(other), checkpoints=checkpoints)


@pytest.mark.parametrize("content", [b"no tables", b""])
def test_a_tensor_that_is_no_prior_is_refused(content: bytes, checkpoints: Path) -> None:
    path = checkpoints / "toy" / "8-Enc-B3.safetensors"
    codec = zoo.load("toy/8-Enc-B3", checkpoints).codec
    tensor = torch.tensor(list(content), dtype=torch.uint8)
    record = zoo_weights.save_weights(path, codec, "8-Enc-B3", {"prior.tables": tensor})
    edit_card(path.with_suffix(".json"), weights=dataclasses.asdict(record))
    with pytest.raises(
        WeightsError, match=r"the tensor prior.tables is no prior of this codec: tables: expected"
    ):
        zoo.load("toy/8-Enc-B3", checkpoints)


def test_the_metrics_of_a_card_are_of_one_split(checkpoints: Path) -> None:
    codec = zoo.load("toy/8-Enc-B3", checkpoints).codec
    zoo.save_prior("toy/8-Enc-B3", make_prior(codec), {"coded_bytes": 7.5}, checkpoints, "validation")
    assert zoo.card("toy/8-Enc-B3", checkpoints).provenance.split == "validation"
    with pytest.raises(ValueError, match="expected metrics of the validation clips, found those of test"):
        zoo.save_prior("toy/8-Enc-B3", make_prior(codec), {"coded_bytes": 7.6}, checkpoints, "test")
    again = zoo.save_prior("toy/8-Enc-B3", make_prior(codec), {"raw_bytes": 8.0}, checkpoints)
    assert again.provenance.metrics == {"coded_bytes": 7.5, "raw_bytes": 8.0}


def test_a_model_where_a_name_is_expected_is_shown_in_short(checkpoints: Path, trained: MoViNet) -> None:
    for find in (zoo.load, zoo.load_backbone, zoo.load_family):
        with pytest.raises(ValueError, match=r"found <MoViNet: clips .*>, which is no name: here something"):
            find(trained, checkpoints)  # type: ignore[arg-type]
