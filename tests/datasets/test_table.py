"""Sources by name: on a command line, in cards, and back."""

from __future__ import annotations

import importlib
import json
import shlex
from pathlib import Path

import pytest
import torch

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import DigitsClips
from approxbit.datasets.own_files import CsvClips, FolderClips
from approxbit.datasets.questions import MSVDQAClips
from approxbit.datasets.scenes.clips import SceneClips
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import SOURCES, find_source, make_source, open_source, parse_source, record_of
from approxbit.datasets.videos import KineticsClips, ListedClips, SomethingSomethingClips
from approxbit.errors import DatasetError, UntrustedError
from approxbit.families import DataRecord
from approxbit.files import from_json, to_json
from approxbit.trust import ENVIRONMENT_VARIABLE, trusted_packages

REPOSITORY = Path(__file__).parents[2]
OWN_CODE = """
from random_clips import RandomClips
from approxbit.tasks import Classification

TASK = Classification.of_names("abcdef", "toys")

class Clips(RandomClips):
    def __init__(self, num_clips=6):
        super().__init__(TASK, num_clips=num_clips)

def make(num_clips=6):
    return Clips(num_clips)

def mistake():
    return 7
"""


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, which nobody trusts yet."""
    (tmp_path / "own_toys.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    return "own_toys"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("digits", DigitsClips),
        ("scenes", SceneClips),
        ("folders:clips/", FolderClips),
        ("list:clips.csv", CsvClips),
        ("kinetics:k600", KineticsClips),
        ("ssv2:ssv2", SomethingSomethingClips),
        ("msvd_qa:msvd", MSVDQAClips),
    ],
)
def test_every_short_name_is_a_source_that_a_card_makes_again(text: str, kind: type[ClipSource]) -> None:
    source = open_source(text)
    record = record_of(source)
    assert type(source) is kind
    assert record == parse_source(text)
    card = json.loads(json.dumps(to_json(record)))
    again = make_source(from_json(DataRecord, card, "card", ValueError))
    assert (type(again), again.arguments) == (kind, source.arguments)


def test_every_short_name_has_its_test() -> None:
    (cases,) = test_every_short_name_is_a_source_that_a_card_makes_again.pytestmark
    assert {parse_source(text).source for text, _ in cases.args[1]} == set(SOURCES)


def test_a_record_says_what_was_asked_for_and_nothing_of_this_machine(tmp_path: Path) -> None:
    source = DigitsClips(8, num_test=4, size=None, cache=str(tmp_path)).fitted((3, 4, 32, 32))
    assert record_of(source) == DataRecord("digits", {"num_train": 8, "num_test": 4})
    assert record_of(FolderClips(tmp_path, size=32)) == DataRecord(  # type: ignore[arg-type]
        "folders", {"root": str(tmp_path), "size": 32}
    )
    with pytest.raises(ValueError, match="digits: a card says nothing of this machine, found cache"):
        make_source(DataRecord("digits", {"cache": str(tmp_path)}))


def test_a_source_of_python_objects_has_no_record(make_video: object) -> None:
    from approxbit.datasets.listing import Listing

    assert record_of(ListedClips({"train": Listing([], ())})) is None


@pytest.mark.parametrize("attribute", ["make", "Clips"])
def test_a_source_of_ones_own_comes_back_only_where_its_package_is_trusted(
    attribute: str, own_package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{own_package}:{attribute}"
    with pytest.raises(UntrustedError, match="--trust own_toys"):
        make_source(DataRecord(name))
    source = open_source(name)  # whoever types a name trusts it
    assert record_of(source) == DataRecord(name)
    again = make_source(DataRecord(name, {"num_clips": 3}))
    assert len(again.clips("train")) == 3  # type: ignore[arg-type]
    assert record_of(again) == DataRecord(name, {"num_clips": 3})
    with pytest.raises(ValueError, match=r"cannot be made of wings: .*unexpected keyword argument"):
        make_source(DataRecord(name, {"wings": 2}))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    with pytest.raises(UntrustedError):
        make_source(record_of(again) or DataRecord(""))


def test_a_class_of_ones_own_says_its_record_without_being_told(own_package: str) -> None:
    import own_toys  # type: ignore[import-not-found]

    assert record_of(own_toys.Clips(num_clips=4)) == DataRecord("own_toys:Clips", {"num_clips": 4})


def test_a_short_name_with_its_place_is_no_package_to_trust(own_package: str) -> None:
    open_source("folders:clips")
    assert trusted_packages() == []


def test_what_is_no_source_is_refused(own_package: str) -> None:
    with pytest.raises(ValueError, match=r"expected data such as folders:clips/ \(one of digits, .*'clips/'"):
        open_source("clips/")
    with pytest.raises(ValueError, match=r"cannot be imported: .*; data known by a short name: digits"):
        open_source("foldrs:x")
    with pytest.raises(ValueError, match=r"own_toys:mistake: expected a ClipSource .*, found int"):
        open_source("own_toys:mistake")
    with pytest.raises(
        ValueError, match="expected folders with its folder or file, such as folders:PATH, found 'folders'"
    ):
        open_source("folders")


def make_family(root: Path, backbone_data: DataRecord | None, codec_data: DataRecord | None) -> None:
    arguments = {"num_classes": 6, "clip_shape": (3, 4, 32, 32)}
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", arguments)
    made = [zoo.Provenance(data=each) for each in (backbone_data, codec_data)]
    zoo.save_backbone(root / "toys", backbone, "movinet_small", arguments, provenance=made[0])
    codec = Codec(backbone.feature_shape("B3"), Configuration.parse("4-Enc-B3"))
    for family in ("toys", "others"):
        zoo.save_codec(root / family, codec.eval(), "toys", provenance=made[1])


@pytest.mark.parametrize("name", ["toys", "others", "toys/4-Enc-B3"])
def test_the_data_of_a_family_are_those_of_its_codecs_or_else_of_their_backbone(
    name: str, tmp_path: Path
) -> None:
    make_family(tmp_path, DataRecord("digits", {"num_train": 5}), DataRecord("digits", {"num_train": 7}))
    assert find_source(name, tmp_path).arguments == {"num_train": 7}
    make_family(tmp_path, DataRecord("digits", {"num_train": 5}), None)
    assert find_source(name, tmp_path).arguments == {"num_train": 5}
    make_family(tmp_path, None, None)
    with pytest.raises(ValueError, match=f"the cards of {name} do not say which clips"):
        find_source(name, tmp_path)
    make_family(tmp_path, None, DataRecord("folders", {"root": "nowhere"}))
    with pytest.raises(DatasetError, match=r"nowhere: expected a folder (.|\n)*are elsewhere"):
        find_source(name, tmp_path)
    make_family(tmp_path, None, DataRecord("os:system", {"command": "false"}))
    with pytest.raises(UntrustedError, match="which is not trusted"):
        find_source(name, tmp_path)


def shipped() -> list[str]:
    cards = (REPOSITORY / "checkpoints").glob("*/*.json")
    return sorted(str(path.relative_to(REPOSITORY)) for path in cards if path.name != "lut.json")


# Lightning 2.6 calls a name of jsonargparse that the latter is about to drop.
@pytest.mark.filterwarnings(r"ignore:\s*(By default only one Jsonargparse|.*add_instantiator)")
def test_shipped_cards_name_the_data_of_their_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    from approxbit.training.cli import read_recipe

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", ["approxbit"])
    expected, found = {}, {}
    for command in {json.loads(Path(path).read_text())["provenance"]["command"] for path in shipped()}:
        recipe = read_recipe(shlex.split(command)[2:], instantiate=False).config
        source = recipe.data.init_args.source
        module, _, name = source.class_path.rpartition(".")
        made_of = getattr(importlib.import_module(module), name)
        expected[command] = to_json(record_of(made_of(**vars(source.init_args))))
    for path in shipped():
        made = json.loads(Path(path).read_text())["provenance"]
        found[path] = (made["data"], expected[made["command"]])
    assert {path for path, (card, recipe) in found.items() if card != recipe} == set()
