from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.errors import FingerprintError
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.tasks import Classification, LabelSet
from approxbit.wire import AnswerKind, Packet, Request, Wanted, pack


class ToyEdgeHalf(EdgeHalf):
    def __init__(self, stem: nn.Module):
        super().__init__()
        self.stem = stem

    def forward(self, clip):
        grid = self.stem(clip)
        return Feature(grid, grid.mean(dim=(2, 3, 4))[:, None])


class ToyServerHalf(ServerHalf):
    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, feature):
        return self.head(feature.grid.mean(dim=(2, 3, 4)) + feature.tokens[:, 0])


class ToyBackbone(Backbone):
    clip_shape = (3, 6, 10, 10)
    num_classes = 4

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 8, 2, stride=2), nn.BatchNorm3d(8))
        self.head = nn.Linear(8, 4)

    @property
    def offload_points(self):
        return ("B1",)

    def feature_shape(self, point, clip_shape=None):
        _, time, height, width = clip_shape or self.clip_shape
        return FeatureShape(8, time // 2, height // 2, width // 2)

    def num_tokens(self, point):
        return 1

    def edge_half(self, point):
        return ToyEdgeHalf(self.stem)

    def server_half(self, point):
        return ToyServerHalf(self.head)

    def forward(self, clip):
        return self.server_half("B1")(self.edge_half("B1")(clip))


SHAPE = FeatureShape(8, 3, 5, 5)


def make_model(configuration: str = "4-Enc-B1", **kwargs) -> OffloadedModel:
    torch.manual_seed(0)
    codec = Codec(SHAPE, Configuration.parse(configuration), num_tokens=1)
    return OffloadedModel(ToyBackbone(), codec, **kwargs)


@pytest.mark.parametrize("configuration", ["4-Enc-B1", "4-NoEnc-B1"])
def test_an_answer_is_found_on_two_machines(configuration):
    model = make_model(configuration)
    clip = torch.rand(2, 3, 6, 10, 10)
    code = model.encode(clip)
    logits = model.answer(code)
    assert code.grid.dtype == torch.uint8
    assert logits.shape == (2, 4)
    assert torch.equal(model(clip), logits)


def test_clips_of_another_size_are_answered_too():
    model = make_model()
    clip = torch.rand(1, 3, 4, 16, 12)
    code = model.encode(clip)
    assert torch.equal(model(clip), model.answer(code, (2, 8, 6)))


def test_a_new_model_is_frozen_and_in_eval_mode():
    model = make_model()
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert all(parameter.requires_grad for parameter in model.codec.parameters())


def test_training_mode_is_the_codecs_only():
    model = make_model().train()
    assert model.codec.training
    assert not any(module.training for module in model.backbone.modules())
    assert not any(module.training for module in model.edge_half.modules())
    assert not any(module.training for module in model.server_half.modules())
    assert not any(module.training for module in model.eval().modules())


def test_a_training_step_through_the_parts_changes_only_the_codec():
    model = make_model().train()
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    feature = model.edge_half(torch.rand(2, 3, 6, 10, 10))
    output = model.codec(feature)
    logits = model.server_half(output.feature)
    optimizer = torch.optim.Adam(parameter for parameter in model.parameters() if parameter.requires_grad)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    gradient = model.codec.compressor.grid.weight.grad
    assert gradient is not None
    assert gradient.any()
    optimizer.step()
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_halves_share_the_backbones_parameters():
    model = make_model()
    assert model.edge_half.stem is model.backbone.stem
    assert model.server_half.head is model.backbone.head


def test_the_fingerprint_is_unknown_at_first():
    assert make_model().fingerprint == 0


def test_the_task_is_kept_and_shared_with_the_first_bits():
    task = Classification.of_names(["up", "down", "left", "right"])
    assert make_model(task=task).task is task
    assert make_model().task == Classification.of_names()


def test_a_task_of_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="the label set classes has 2 classes, found a model of 4"):
        make_model(task=Classification.of_names(["up", "down"]))


def test_an_unknown_offload_point_is_refused():
    with pytest.raises(ValueError, match="ToyBackbone has the offload points B1, found 'B2'"):
        make_model("4-Enc-B2")


@pytest.mark.parametrize(
    ("shape", "num_tokens"), [(FeatureShape(9, 3, 5, 5), 1), (FeatureShape(8, 3, 5, 6), 1), (SHAPE, 0)]
)
def test_a_codec_for_another_feature_is_refused(shape, num_tokens):
    codec = Codec(shape, Configuration.parse("4-Enc-B1"), num_tokens)
    with pytest.raises(
        ValueError, match=r"at B1 the backbone has features of shape \(8, 3, 5, 5\) and 1 tokens"
    ):
        OffloadedModel(ToyBackbone(), codec)


def test_the_likeliest_classes_are_those_of_the_label_set_that_is_asked():
    model = make_model()
    pairs = LabelSet("pairs", class_of=(0, 0, 1, 1))
    model.task = Classification((LabelSet("own", ("a", "b", "c", "d")), pairs), asked="pairs")
    packet = model.encode_packet(torch.rand(1, 3, 6, 10, 10))
    all_logits = Request(wanted=Wanted(AnswerKind.LOGITS, 0))
    logits = model.answer_packet(replace(packet, request=all_logits)).content.values
    best = model.answer_packet(packet).content
    assert (len(best.classes), best.best) == (2, int(pairs.logits(logits).argmax()))


def test_a_packet_has_the_answer_of_its_clip():
    model = make_model()
    model.fingerprint = 77
    clip = torch.rand(1, 3, 6, 10, 10)
    packet = model.encode_packet(clip, sequence=5, request=Request(wanted=Wanted(AnswerKind.LOGITS, 0)))
    assert packet.payload == pack(model.encode(clip).to_planes()[0].numpy())
    assert model.link_format.is_of(packet)
    assert packet.fingerprint == clip_format(model.backbone).link_fingerprint(77)
    answer = model.answer_packet(Packet.from_bytes(packet.to_bytes()))
    expected = model(clip)[0].detach().numpy()
    np.testing.assert_allclose(answer.content.values, expected, atol=1e-6)
    assert answer.sequence == 5
    assert min(answer.decode_ms, answer.server_ms) > 0
    likeliest = model.answer_packet(model.encode_packet(clip)).content
    assert likeliest.classes == tuple(np.argsort(-expected))


@pytest.mark.parametrize("bits", [2, 4])
def test_a_packet_may_hold_the_first_bits_of_a_nested_codec(bits):
    torch.manual_seed(0)
    options = CodecOptions(nested_sizes=(2,))
    model = OffloadedModel(
        ToyBackbone(), Codec(SHAPE, Configuration.parse("4-Enc-B1"), num_tokens=1, options=options)
    )
    smaller = model.first_bits(bits)
    clip = torch.rand(1, 3, 6, 10, 10)
    packet = smaller.encode_packet(clip, request=Request(wanted=Wanted(AnswerKind.LOGITS, 0)))
    expected = smaller(clip)[0].detach().numpy()
    np.testing.assert_allclose(model.answer_packet(packet).content.values, expected, atol=1e-6)


def test_what_is_no_packet_of_the_model_is_refused():
    model, clip = make_model(), torch.rand(1, 3, 6, 10, 10)
    with pytest.raises(ValueError, match="a packet holds one clip, found a batch of 2"):
        model.encode_packet(clip.expand(2, -1, -1, -1, -1))
    with pytest.raises(ValueError, match="planes: expected"):
        model.encode_packet(torch.rand(1, 3, 4, 16, 12))
    packet = model.encode_packet(clip)
    with pytest.raises(FingerprintError, match="fingerprint: expected"):
        model.answer_packet(replace(packet, fingerprint=1))
    with pytest.raises(ValueError, match=r"the first bits of 4-Enc-B1 .* found 3"):
        model.answer_packet(make_model("3-Enc-B1").encode_packet(clip))
    with pytest.raises(ValueError, match=r"the first bits of 4-Enc-B1 .* found 0"):
        model.answer_packet(Packet.of_clip(np.zeros((6, 10, 10, 3), np.uint8)))
    with pytest.raises(ValueError, match=r"expected a code of 4-Enc-B1 .* found 4-NoEnc-B1 for"):
        model.answer_packet(make_model("4-NoEnc-B1").encode_packet(clip))
