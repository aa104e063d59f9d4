from __future__ import annotations

import hashlib
import re
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from approxbit.backbones.official.loading import load_official
from approxbit.errors import HashMismatchError, MissingKeyError, WeightsError, WrongShapeError


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def slowfast_checkpoint(samples, model) -> dict:
    """What SlowFast's trainer writes, with the state of an optimizer that took a step."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    return {
        "epoch": 200,
        "model_state": samples.slowfast_state(model),
        "optimizer_state": optimizer.state_dict(),
        "cfg": "MVIT:\n  DEPTH: 2\n",
        "scaler_state": {"scale": 65536.0},
    }


def test_a_slowfast_checkpoint_fills_an_mvitv2(samples, tmp_path):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    path = save(tmp_path / "MViTv2.pyth", slowfast_checkpoint(samples, theirs))
    report = load_official(ours, path)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert samples.is_as_before(ours, theirs.state_dict())
    assert (report.source, report.origin) == (str(path), "slowfast")
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report.num_tensors == len(theirs.state_dict())
    assert report.num_parameters == sum(each.numel() for each in theirs.parameters())
    assert [each.keys for each in report.left_out] == [("epoch", "optimizer_state", "cfg", "scaler_state")]


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_an_mmaction2_checkpoint_fills_an_mvitv2(samples, tmp_path, is_wrapped):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    state = samples.mmaction2_state(theirs)
    path = save(tmp_path / "mvit.pth", {"meta": {"epoch": 3}, "state_dict": state} if is_wrapped else state)
    report = load_official(ours, path)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert report.origin == "mmaction2"
    assert [each.keys for each in report.left_out] == ([("meta",)] if is_wrapped else [])


def test_a_state_dict_of_torchvision_fills_an_mvitv2(samples, tmp_path):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    assert load_official(ours, save(tmp_path / "m", theirs.state_dict())).origin == "torchvision"
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


@pytest.mark.parametrize("variant", ["movinet", "stream"])
@pytest.mark.parametrize("has_counters", [True, False])
def test_a_state_dict_of_atze00_fills_a_movinet(samples, tmp_path, variant, has_counters):
    build = getattr(samples, variant)
    theirs, ours = build(seed=1), build(seed=2)
    state = {
        name: value
        for name, value in theirs.state_dict().items()
        if has_counters or not name.endswith("num_batches_tracked")
    }
    report = load_official(ours, save(tmp_path / "modelA0_statedict_v3", state))
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert (report.origin, report.num_tensors) == ("atze00", len(state))
    num_left_out = sum(len(each.keys) for each in report.left_out)
    assert num_left_out == len(theirs.state_dict()) - len(state)
    if not has_counters:
        assert "counters of training steps that the checkpoint does not have" in str(report)


@pytest.mark.parametrize("variant", ["mvit", "movinet", "stream"])
def test_a_safetensors_file_of_ours_fills_any_backbone(samples, tmp_path, variant):
    theirs, ours = getattr(samples, variant)(seed=1), getattr(samples, variant)(seed=2)
    ours.fingerprint = 7
    save_file(theirs.state_dict(), tmp_path / "file.bin")
    assert load_official(ours, tmp_path / "file.bin").origin == "approxbit"
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert ours.fingerprint == 0


def test_tensors_take_the_dtype_of_the_backbone(samples, tmp_path):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    load_official(ours, save(tmp_path / "m", {k: v.double() for k, v in theirs.state_dict().items()}))
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


def test_files_from_before_pytorch_1_6_are_read(samples, tmp_path):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    content = slowfast_checkpoint(samples, theirs)
    torch.save(content, tmp_path / "old.pyth", _use_new_zipfile_serialization=False)
    load_official(ours, tmp_path / "old.pyth")
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


def test_every_unmatched_key_is_listed_and_nothing_is_loaded(samples, tmp_path):
    ours = samples.mvit(seed=2)
    before = samples.copy_of(ours)
    state = samples.slowfast_state(samples.mvit(seed=1))
    del state["blocks.0.norm1.weight"], state["blocks.1.mlp.fc2.bias"]
    state |= {"pos_embed": torch.zeros(1), "blocks.2.norm1.bias": torch.zeros(8)}
    state["norm.bias"] = torch.zeros(3)
    with pytest.raises(MissingKeyError) as caught:
        load_official(ours, save(tmp_path / "m.pyth", {"model_state": state}))
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'm.pyth'}: the keys must be those of the backbone, one to one, found",
        "  2 missing: blocks.0.norm1.weight, blocks.1.mlp.3.bias",
        "  2 unexpected: pos_embed, blocks.2.norm1.bias",
        "  1 misshapen: norm.bias (3,) instead of (16,)",
    ]
    assert samples.is_as_before(ours, before)


def test_tables_of_relative_positions_of_another_size_are_refused(samples, tmp_path):
    ours = samples.mvit(seed=2)
    before = samples.copy_of(ours)
    state = samples.slowfast_state(samples.mvit(seed=1, clip_shape=(3, 4, 32, 16)))
    assert len(state["blocks.0.attn.rel_pos_h"]) == 15
    with pytest.raises(
        WrongShapeError, match=r"4 misshapen: blocks.0.attn.rel_pos_h \(15, 8\) instead of \(7,"
    ):
        load_official(ours, save(tmp_path / "m.pyth", {"model_state": state}))
    assert samples.is_as_before(ours, before)


def test_a_class_token_of_another_shape_is_refused(samples, tmp_path):
    state = {**samples.slowfast_state(samples.mvit()), "cls_token": torch.zeros(1, 2, 8)}
    with pytest.raises(
        WrongShapeError, match=r"1 misshapen: pos_encoding.class_token \(1, 2, 8\) instead of"
    ):
        load_official(samples.mvit(), save(tmp_path / "m", state))


def test_one_variant_does_not_load_into_the_other(samples, tmp_path):
    ours = samples.stream(seed=2)
    before = samples.copy_of(ours)
    with pytest.raises(MissingKeyError, match=r"missing: .*deep.conv_2.conv2d.weight"):
        load_official(ours, save(tmp_path / "m", samples.movinet().state_dict()))
    assert samples.is_as_before(ours, before)


def test_two_keys_for_one_tensor_are_refused(samples, tmp_path):
    state = samples.slowfast_state(samples.mvit()) | samples.mmaction2_state(samples.mvit())
    with pytest.raises(MissingKeyError, match=r"unexpected: backbone\."):
        load_official(samples.mvit(), save(tmp_path / "twice", state))


def test_weights_of_another_model_are_refused(samples, tmp_path):
    path = save(tmp_path / "m", {"layer4.weight": torch.zeros(1), "fc.bias": torch.zeros(1)})
    with pytest.raises(
        MissingKeyError, match=r"names of SlowFast.*none of the 2 keys is one: layer4.weight, fc"
    ):
        load_official(samples.movinet(), path)


def test_integers_in_place_of_weights_are_refused(samples, tmp_path):
    ours = samples.movinet()
    state = {**ours.state_dict(), "conv7.conv_1.norm.bias": torch.zeros(16, dtype=torch.int64)}
    with pytest.raises(
        WeightsError, match=r"found 1 that do not: conv7.conv_1.norm.bias torch.int64 instead of"
    ):
        load_official(ours, save(tmp_path / "m", state))


@pytest.mark.parametrize(("variant", "first"), [("mvit", "head.1"), ("movinet", "classifier.3")])
def test_a_head_for_other_classes_stays_only_when_asked_for(samples, tmp_path, variant, first):
    build = getattr(samples, variant)
    theirs, ours = build(seed=1, num_classes=9), build(seed=2)
    path, before = save(tmp_path / "m", theirs.state_dict()), samples.copy_of(ours)
    with pytest.raises(WrongShapeError, match=r"2 misshapen: .*\n  .*num_classes: 9}\), .*replace_head"):
        load_official(ours, path)
    assert samples.is_as_before(ours, before)
    report = load_official(ours, path, replace_head=True)
    (left_out,) = report.left_out
    assert len(left_out.keys) == 2
    assert "keeps its own" in left_out.reason
    for name, value in ours.state_dict().items():
        source = before if name.startswith(first) else theirs.state_dict()
        assert torch.equal(value, source[name]), name


def test_a_head_that_fits_is_loaded_even_if_it_might_stay(samples, tmp_path):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    assert load_official(ours, save(tmp_path / "m", theirs.state_dict()), replace_head=True).left_out == ()
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


def test_replacing_the_head_excuses_nothing_else(samples, tmp_path):
    state = dict(samples.mvit(num_classes=9).state_dict())
    state["head.1.weight"] = torch.zeros(9, 7)  # another width, not only other classes
    with pytest.raises(WrongShapeError, match=r"head.1.bias \(9,\) instead of \(5,\)$"):
        load_official(samples.mvit(), save(tmp_path / "m", state), replace_head=True)


def test_a_file_that_would_run_code_is_refused_and_runs_none(samples, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    state = samples.slowfast_state(samples.mvit())
    path = save(tmp_path / "m.pyth", {"model_state": state, "message_hub": Trap()})
    with pytest.raises(WeightsError, match=r"would run code of the file.*save its state dict alone"):
        load_official(samples.mvit(), path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found one that starts with b''"),
        (b"<!DOCTYPE html><html>", "found one that starts with b'<!DOCTYPE'"),
        (b"PK\x03\x04" + bytes(50), "damaged or incomplete zip file"),
        (b"\x80\x02garbage", "a PyTorch file of tensors"),
        (struct.pack("<Q", 20) + b'{"a": 1}' + bytes(30), "damaged safetensors file"),
        (struct.pack("<Q", 2**60) + b"{}", "found one that starts with"),
    ],
)
def test_a_damaged_file_is_refused(samples, tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_official(samples.mvit(), tmp_path / "file")


def test_half_a_file_is_refused(samples, tmp_path):
    content = save(tmp_path / "m", samples.mvit().state_dict()).read_bytes()
    (tmp_path / "m").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="damaged or incomplete zip file"):
        load_official(samples.mvit(), tmp_path / "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "a state dict was expected, found a list"),
        ({"net": {"weight": torch.zeros(1)}, "epoch": 1}, "found 2 entries that are no tensors: net, epoch"),
    ],
)
def test_a_pytorch_file_of_something_else_is_refused(samples, tmp_path, content, message):
    with pytest.raises(WeightsError, match=message):
        load_official(samples.mvit(), save(tmp_path / "m", content))


@pytest.mark.parametrize("form", ["folder", "prefix", "tar", "gztar"])
def test_a_checkpoint_of_tensorflow_is_refused_with_the_command_that_converts_it(samples, tmp_path, form):
    (tmp_path / "movinet").mkdir()
    (tmp_path / "movinet/ckpt-1.index").touch()
    path = {"folder": tmp_path / "movinet", "prefix": tmp_path / "movinet/ckpt-1"}.get(form)
    path = path or shutil.make_archive(str(tmp_path / "movinet"), form, tmp_path, "movinet")
    command = f"python recipes/convert/movinet_tensorflow.py movinet_a2 {path} movinet_a2.safetensors"
    with pytest.raises(WeightsError, match=f"as TensorFlow's checkpoints are; .*\n  {re.escape(command)}$"):
        load_official(samples.movinet(), path)


def test_the_hash_of_a_file_is_checked_before_it_is_read(samples, tmp_path):
    path = save(tmp_path / "m", samples.mvit().state_dict())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_official(samples.mvit(), path, sha256=digest.upper()).sha256 == digest
    with pytest.raises(HashMismatchError, match=f"the SHA-256 must begin with {'0' * 64}, found {digest}"):
        load_official(samples.mvit(), path, sha256="0" * 64)
    with pytest.raises(ValueError, match="sha256 must be 64 hexadecimal digits, found 'd5de5da6'"):
        load_official(samples.mvit(), path, sha256="d5de5da6")


def test_the_hash_in_the_name_of_a_file_is_checked(samples, tmp_path):
    path = save(tmp_path / "m", samples.mvit().state_dict())
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    load_official(samples.mvit(), path.rename(tmp_path / f"mvit-base_20221021-{start}.pth"))
    path = save(tmp_path / "mvit-base_20221021-d5de5da6.pth", samples.mvit().state_dict())
    with pytest.raises(HashMismatchError, match="the SHA-256 must begin with d5de5da6, found "):
        load_official(samples.mvit(), path)


def test_a_backbone_without_memory_is_refused(samples, tmp_path):
    path = save(tmp_path / "m", samples.mvit().state_dict())
    with pytest.raises(ValueError, match="a MViTv2 with memory was expected, found it on the meta device"):
        load_official(samples.mvit().to("meta"), path)


def test_an_unknown_name_is_refused_with_the_known_ones(samples):
    with pytest.raises(ValueError, match=r"one of mvitv2-b-ssv2, .*movinet-a2-k600.*, found 'mvitv2-xl'"):
        load_official(samples.mvit(), "mvitv2-xl")


def test_a_file_that_cannot_be_opened_is_refused(samples, tmp_path, monkeypatch):
    path = save(tmp_path / "m", samples.mvit().state_dict())

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(WeightsError, match="cannot be read: Permission denied"):
        load_official(samples.mvit(), path)
