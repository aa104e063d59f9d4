"""The edge half from files: today's names and old ones, shards, and nothing read beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from approxbit.backbones.vlm import edge_loading
from approxbit.backbones.vlm.edge_loading import load_edge_half
from approxbit.errors import MissingKeyError, WeightsError, WrongShapeError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture(scope="module")
def folder(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    backbone.model.save_pretrained(path)
    assert (path / WEIGHTS).is_file()
    return path


@pytest.fixture(scope="module")
def shards(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("shards")
    backbone.model.save_pretrained(path, max_shard_size="20KB")
    return path


def write(path, folder, tensors):
    """A checkpoint of `tensors`, with the configuration of `folder`."""
    (path / "config.json").write_text((folder / "config.json").read_text())
    save_file(tensors, path / WEIGHTS, {"format": "pt"})
    return path


def copy_with(folder, path, change):
    """A copy of the checkpoint whose tensors went through `change`."""
    return write(path, folder, change(load_file(folder / WEIGHTS)))


def nest_tower(name):
    """What towers were called before transformers 5.6: with a `vision_model` in between."""
    return re.sub(r"(video|image|vision)_tower\.", r"\g<0>vision_model.", name)


def name_as_on_the_hub(name):
    """What everything was called before transformers 4.52, when the checkpoints on the hub were written."""
    name = nest_tower(name.removeprefix("model."))
    if name.startswith("language_model."):
        return name.replace("language_model.", "language_model.model.", 1)
    return f"language_model.{name}" if name.startswith("lm_head") else name


@torch.no_grad()
def assert_the_edge_half_of(backbone, edge_half, clip, point):
    ours, theirs = edge_half(clip), backbone.edge_half(point)(clip)
    assert torch.equal(ours.grid, theirs.grid)
    assert torch.equal(ours.tokens, theirs.tokens)


@pytest.mark.parametrize("source", ["folder", "shards"])
def test_it_is_the_whole_models_edge_half_bit_for_bit(request, backbone, tiny, source):
    path = request.getfixturevalue(source)
    for point in backbone.offload_points:
        edge_half = load_edge_half(path, point)
        assert_the_edge_half_of(backbone, edge_half, tiny.clips_of(backbone), point)
        assert len(edge_half.layers) == int(point[1:])
        assert not edge_half.training
        assert (edge_half.mean, edge_half.std) == (backbone.mean, backbone.std)


@pytest.mark.parametrize("rename", [str, nest_tower, name_as_on_the_hub])
def test_names_of_all_versions_are_read_as_transformers_reads_them(
    family, backbone, tiny, folder, tmp_path, rename
):
    tensors = {rename(name): tensor for name, tensor in backbone.model.state_dict().items()}
    if rename is name_as_on_the_hub:
        assert {"language_model.model.embed_tokens.weight", "language_model.lm_head.weight"} < set(tensors)
        layer = f"{backbone.tower_name}.vision_model.encoder.layers.0.mlp.fc1.bias"
        assert layer in tensors
        positions = torch.arange(17).expand(1, -1).contiguous()
        tensors[f"{backbone.tower_name}.vision_model.embeddings.position_ids"] = positions
    path = write(tmp_path, folder, tensors)
    build, _ = tiny.builders[family]
    oracle = build(path, num_frames=3)  # by `from_pretrained`
    clip = tiny.clips_of(backbone)
    with torch.no_grad():
        assert torch.equal(oracle(clip), backbone(clip))
    assert_the_edge_half_of(oracle, load_edge_half(path, "L2"), clip, "L2")


def test_no_other_tensor_is_read(backbone, folder, monkeypatch):
    read = []

    class Recorder:
        def __init__(self, *arguments, **options):
            self.file = safe_open(*arguments, **options)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def keys(self):
            return self.file.keys()

        def get_tensor(self, key):
            read.append(key)
            return self.file.get_tensor(key)

    monkeypatch.setattr(edge_loading, "safe_open", Recorder)
    edge_half = load_edge_half(folder, "L1")
    assert len(read) == len(set(read)) == len(list(edge_half.parameters()))
    parts = (".embeddings.", ".pre_layrnorm.", ".encoder.layers.0.")
    assert all(backbone.tower_name in key and any(part in key for part in parts) for key in read)


def test_shards_without_edge_tensors_need_not_even_be_there(backbone, tiny, shards, tmp_path):
    files = json.loads((shards / INDEX).read_text())["weight_map"]
    names = edge_loading.match_keys(backbone.model, files)
    parts = tuple(
        f"model.{backbone.tower_name}.{part}" for part in ("embeddings", "pre_layrnorm", "encoder.layers.0.")
    )
    needed = {files[key] for name, key in names.items() if name.startswith(parts)}
    assert len(needed) < len(set(files.values())) / 2
    for name in ("config.json", INDEX, *needed):
        (tmp_path / name).write_bytes((shards / name).read_bytes())
    assert_the_edge_half_of(backbone, load_edge_half(tmp_path, "L1"), tiny.clips_of(backbone), "L1")


def test_the_type_is_the_stored_one_or_the_one_asked_for(backbone, folder, tmp_path):
    path = copy_with(folder, tmp_path, lambda tensors: {key: t.half() for key, t in tensors.items()})
    types = {parameter.dtype for parameter in load_edge_half(path, "L1").parameters()}
    assert types == {torch.float16}
    types = {parameter.dtype for parameter in load_edge_half(path, "L1", torch.float32).parameters()}
    assert types == {torch.float32}


def test_weights_of_a_tower_with_temporal_attention_are_refused(family, backbone, tiny, folder, tmp_path):
    layer = f"model.{backbone.tower_name}.encoder.layers.2"

    def add(tensors):
        return {**tensors, f"{layer}.temporal_attn.k_proj.weight": torch.zeros(32, 32)}

    path = copy_with(folder, tmp_path, add)
    with pytest.raises(MissingKeyError, match=r"found 1 unknown weights: .*temporal_attn.k_proj.weight$"):
        load_edge_half(path, "L1")
    build, _ = tiny.builders[family]
    with pytest.raises(MissingKeyError, match=r"found 1 missing, unknown or misshapen: .*temporal_attn"):
        build(path)


def test_many_unknown_weights_are_shortened(backbone, folder, tmp_path):
    extra = {f"model.{backbone.tower_name}.extra{i}": torch.zeros(1) for i in range(6)}
    path = copy_with(folder, tmp_path, lambda tensors: {**tensors, **extra})
    with pytest.raises(MissingKeyError, match=r"found 6 unknown weights: .*extra4, \.\.\.$"):
        load_edge_half(path, "L1")


def test_missing_weights_are_named(backbone, folder, tmp_path):
    def drop(tensors):
        return {key: tensor for key, tensor in tensors.items() if "layers.0.mlp.fc1" not in key}

    path = copy_with(folder, tmp_path, drop)
    with pytest.raises(MissingKeyError, match=r"lack parts of the edge half: .*layers.0.*mlp.fc1.*bias"):
        load_edge_half(path, "L1")


def test_misshapen_weights_are_named(backbone, folder, tmp_path):
    def widen(tensors):
        key = next(
            key for key in tensors if f"{backbone.tower_name}." in key and "layers.0.mlp.fc1.bias" in key
        )
        return {**tensors, key: torch.zeros(65)}

    path = copy_with(folder, tmp_path, widen)
    with pytest.raises(WrongShapeError, match=r"fc1.bias must be of shape \(64,\), found \(65,\)"):
        load_edge_half(path, "L1")


def test_a_folder_without_safetensors_is_named(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match=r"expected model.safetensors or .*index.json in .*neither"):
        load_edge_half(tmp_path, "L1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("{}", "expected a JSON object, found None"),
        ('{"weight_map": {"a": 1}}', "a: expected text, found 1"),
    ],
)
def test_an_index_of_another_form_is_named(folder, tmp_path, text, message):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsError, match=rf"index\.json: {message}"):
        load_edge_half(tmp_path, "L1")


def test_other_models_are_refused(tiny, tmp_path):
    tiny.video_llava_config().text_config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"type video_llava or llava_onevision in .*, found llama"):
        load_edge_half(tmp_path, "L1")


def test_unknown_offload_points_are_refused(folder):
    with pytest.raises(ValueError, match="has the offload points L1, L2, L3, found 'L4'"):
        load_edge_half(folder, "L4")


MEASURE = """
import sys
import approxbit.backbones.vlm
lean = "transformers" not in sys.modules
from approxbit.backbones.vlm.edge_loading import load_edge_half

def memory(entry):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(entry))

load_edge_half(sys.argv[1], "L1")  # a tiny model first, so that all code is imported
before = memory("VmRSS")
edge_half = load_edge_half(sys.argv[2], "L2")
touched = [parameter.sum().item() for parameter in edge_half.parameters()]  # maps every page
print(lean, sum(parameter.nbytes for parameter in edge_half.parameters()), memory("VmHWM") - before)
"""


@pytest.fixture(scope="module")
def measured(tiny, tmp_path_factory):
    """What another process saw: lean import, bytes of the edge half, growth at the peak, the whole file."""
    small, big = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("big")
    tiny.build("llava_onevision").model.save_pretrained(small)
    vision = {"hidden_size": 512, "intermediate_size": 2048}
    whole = tiny.build("llava_onevision", vision, vocab_size=400_000, hidden_size=64)
    whole.model.save_pretrained(big)
    command = [sys.executable, "-c", MEASURE, small, big]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lean, edge_bytes, growth = done.stdout.split()
    return lean == "True", int(edge_bytes), int(growth), (big / WEIGHTS).stat().st_size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_memory_stays_near_the_edge_parts_own_bytes(measured):
    _, edge_bytes, growth, whole_bytes = measured
    assert edge_bytes == 25_665_536
    assert whole_bytes > 9 * edge_bytes
    assert growth < 1.5 * edge_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_the_room_is_imported_without_transformers(measured):
    assert measured[0]
