"""Families on a hub: what is published is what is loaded, and what a hostile hub says or sends is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from environments import BLOCK
from huggingface_hub import ModelCard, constants
from standin_hub import Repository, StandinHub

import approxbit
from approxbit import zoo
from approxbit.engines.finding import want_family
from approxbit.errors import ApproxBitError, HashMismatchError, WeightsError
from approxbit.families import hub
from approxbit.families.publish import push
from approxbit.training.prior_family import train_priors

# The hub's client itself uploads large files by an argument that its HTTP library has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "me/tiny"
SOURCE = f"hf://{NAME}"
BACKBONE = "backbone.safetensors"
CODEC = "8-Enc-B3.safetensors"


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandinHub]:
    """A hub that this process and its children take for the only one, with a cache of its own."""
    with StandinHub() as served:
        settings = {"HF_ENDPOINT": served.url, "HF_HUB_CACHE": str(tmp_path / "hub-cache")}
        for name, value in {**settings, "HF_TOKEN": "a token", "HF_HUB_DISABLE_XET": "1"}.items():
            monkeypatch.setenv(name, value)
        # This process has read its environment already.
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", settings["HF_HUB_CACHE"])
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        forget()
        yield served
        forget()


def forget() -> None:
    """As a new process would."""
    hub._fetch_cards.cache_clear()
    hub._list_files.cache_clear()


@pytest.fixture
def family(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a family of this machine, which was never exported."""
    monkeypatch.setenv("APPROXBIT_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))
    return "digits-tiny"


@pytest.fixture
def published(standin: StandinHub, family: str) -> Repository:
    push(family, NAME)
    return standin.repositories[NAME]


def newest(repository: Repository) -> dict[str, bytes]:
    return repository.commits[str(repository.find("main"))]


def same_weights(found: torch.nn.Module, expected: torch.nn.Module) -> bool:
    pairs = zip(found.state_dict().items(), expected.state_dict().items(), strict=True)
    return all(name == other and torch.equal(value, wanted) for (name, value), (other, wanted) in pairs)


def test_what_is_pushed_is_what_is_loaded(published: Repository, standin: StandinHub, family: str) -> None:
    found, expected = approxbit.load(f"{SOURCE}/8-Enc-B3"), approxbit.load(f"{family}/8-Enc-B3")
    assert same_weights(found, expected)
    assert (found.fingerprint, found.task) == (expected.fingerprint, expected.task)
    assert {name for name in standin.sent if name.endswith(".safetensors")} == {BACKBONE, CODEC}
    models = approxbit.load_family(f"{SOURCE}@main")
    assert set(models) == {"8-Enc-B3", "4-NoEnc-B5"}
    assert approxbit.card(SOURCE) == approxbit.card(family)
    assert approxbit.load_lut(SOURCE) == approxbit.load_lut(family)
    assert want_family(SOURCE).file == want_family(family).file  # the graphs of the same weights
    assert standin.sent.count(BACKBONE) == 1


def test_the_model_card_says_what_the_cards_say(published: Repository, family: str) -> None:
    text = newest(published)["README.md"].decode()
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "apache-2.0",
        "approxbit",
        "video-classification",
    )
    assert f'approxbit.load("{SOURCE}/4-NoEnc-B5")' in text
    assert "| `h264-superfast-crf32` | 900.0 | 88.00 |" in text


def test_a_family_of_codecs_takes_its_backbone_along_and_its_figures(
    standin: StandinHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path / "cache"))
    push("digits-movinet-actions", NAME)
    repository = standin.repositories[NAME]
    found, expected = (approxbit.load(f"{name}/8-Enc-B5") for name in (SOURCE, "digits-movinet-actions"))
    assert same_weights(found.backbone, expected.backbone)
    assert same_weights(found.codec, expected.codec)
    assert found.prior == expected.prior
    results = ModelCard(newest(repository)["README.md"].decode()).data.eval_results
    assert results is not None
    values = {each.metric_name: each.metric_value for each in results}
    assert values["top1_actions of 8-Enc-B5"] == 99.417
    assert values["top1_action_digit of backbone"] == 86.792
    assert {(each.dataset_split, each.metric_type) for each in results} == {("test", "accuracy")}


def test_a_later_push_takes_away_what_the_family_has_no_more_and_a_revision_keeps_it(
    published: Repository, family: str, checkpoints: Path, tmp_path: Path
) -> None:
    first = str(published.find("main"))
    root = tmp_path / "checkpoints"
    (root / family).mkdir(parents=True)
    for path in (checkpoints / family).glob("*"):
        if not path.name.startswith("4-NoEnc-B5"):
            (root / family / path.name).write_bytes(path.read_bytes())
    push(family, NAME, root)
    assert "4-NoEnc-B5.json" not in newest(published)
    assert ".gitattributes" in newest(published)
    assert list(approxbit.load_family(SOURCE)) == ["8-Enc-B3"]
    approxbit.load(f"{SOURCE}@{first}/4-NoEnc-B5")


def test_a_family_on_the_hub_stays_usable_without_a_network_and_cannot_be_changed(
    published: Repository, standin: StandinHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    approxbit.load(f"{SOURCE}/8-Enc-B3")
    standin.__exit__()
    forget()
    with pytest.raises(WeightsError, match=f"{SOURCE}@main: the hub says: .*"):
        approxbit.card(SOURCE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    approxbit.load(f"{SOURCE}/8-Enc-B3")
    with pytest.raises(WeightsError, match=r"4-NoEnc-B5\.safetensors: the hub says: LocalEntryNotFoundError"):
        approxbit.load(f"{SOURCE}/4-NoEnc-B5")
    with pytest.raises(ValueError, match="can be changed, found hf://me/tiny, a download"):
        next(train_priors(SOURCE, None))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="can be changed"):
        zoo.save_prior(f"{SOURCE}/8-Enc-B3", None)  # type: ignore[arg-type]


Change = Callable[[Repository], object]


def tell(name: str, **facts: object) -> Change:
    return lambda repository: repository.told.update({name: facts})


def put(name: str, content: bytes) -> Change:
    return lambda repository: newest(repository).update({name: content})


def edit(name: str, entry: str, value: object) -> Change:
    def change(repository: Repository) -> None:
        files = newest(repository)
        files[name] = json.dumps({**json.loads(files[name]), entry: value}).encode()

    return change


def drop(name: str) -> Change:
    return lambda repository: newest(repository).pop(name)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            tell(CODEC, size=2**40),
            "8-Enc-B3.safetensors: expected .* bytes at most by its card, found 1099511627776",
        ),
        (tell(CODEC, sha256="0" * 64), "the card promises a file of SHA-256 .*, found 0000"),
        (tell("8-Enc-B3.json", size=2**30), "8-Enc-B3.json: expected 8388608 bytes at most"),
        (tell(BACKBONE, size=None), "the hub does not say its size"),
        (put(CODEC, b"not what was promised"), "the card promises a file of SHA-256"),
        (
            drop("backbone.json"),
            "expected what `approxbit push` writes, backbone.json and at most 256 cards, found 4-",
        ),
        (drop(CODEC), "8-Enc-B3.safetensors: expected this file beside its card, found none"),
        (edit("backbone.json", "name", "../../tiny"), "expected a family of letters, .*found '../../tiny'"),
        (
            edit("8-Enc-B3.json", "name", "other/8-Enc-B3"),
            "expected 'digits-tiny/8-Enc-B3', found 'other/8-Enc-B3'",
        ),
        (put("8-Enc-B3.json", b"[" * 100_000), "expected JSON"),
    ],
)
def test_what_a_hostile_hub_says_or_sends_is_refused(
    change: Change, complaint: str, published: Repository, standin: StandinHub
) -> None:
    change(published)
    with pytest.raises(WeightsError, match=complaint):
        approxbit.load(f"{SOURCE}/8-Enc-B3")
    if published.told:
        assert not set(published.told) & set(standin.sent)  # refused before it was downloaded


def test_bytes_that_are_not_those_of_the_listing_are_refused(published: Repository) -> None:
    digest = json.loads(newest(published)["8-Enc-B3.json"])["weights"]["sha256"]
    tell(CODEC, sha256=digest)(published)
    put(CODEC, newest(published)[CODEC][:-1] + b"\1")(published)
    with pytest.raises(HashMismatchError, match=rf"{CODEC}: the card promises a file of SHA-256 {digest}"):
        approxbit.load(f"{SOURCE}/8-Enc-B3")


def test_a_repository_that_changes_while_it_is_read_is_read_again(
    published: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        listed = hub._list_files(NAME, "main")
        published.add(dict(newest(published)))
        patch.setattr(hub, "_list_files", lambda *_: listed)
        with pytest.raises(WeightsError, match="hf://me/tiny@main has changed while it was read: try again"):
            approxbit.card(SOURCE)
    forget()
    approxbit.card(SOURCE)


def test_without_the_client_of_the_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"need huggingface_hub: pip install 'approxbit\[hub\]'"):
        approxbit.card("hf://me/another")


def test_nothing_else_of_a_repository_is_ever_asked_for(published: Repository, standin: StandinHub) -> None:
    for name in ("model.py", "pytorch_model.bin", "config.json", "a/backbone.json", "9-Enc-B3.pkl"):
        put(name, b"import os")(published)
    approxbit.load_family(SOURCE)
    stems = ("backbone", "8-Enc-B3", "4-NoEnc-B5")
    expected = {f"{stem}.{suffix}" for stem in stems for suffix in ("json", "safetensors")} | {"lut.json"}
    assert set(standin.sent) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("hf://me", "expected hf://owner/name"),
        ("hf://me/../../tiny", "expected hf://owner/name"),
        ("hf://me/nothing", "hf://me/nothing@main: the hub says: RepositoryNotFoundError"),
        ("hf://me/tiny@nothing", "hf://me/tiny@nothing: the hub says: RevisionNotFoundError"),
        ("hf://me/tiny/9-Enc-B9", "found 'digits-tiny/9-Enc-B9'"),
    ],
)
def test_a_name_that_is_not_there_is_a_sentence(name: str, complaint: str, published: Repository) -> None:
    with pytest.raises((ApproxBitError, ValueError), match=complaint):
        approxbit.load(name)


def test_a_push_is_refused_where_it_would_publish_what_cannot_be_loaded(
    standin: StandinHub, family: str, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "checkpoints" / family
    copy.mkdir(parents=True)
    for path in (checkpoints / family).glob("*"):
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="expected a repository as owner/name, found 'me/tiny@v1'"):
        push(family, "me/tiny@v1", copy.parent)
    with pytest.raises(ValueError, match="can be changed, found hf://me/tiny"):
        push(SOURCE, NAME)
    (copy / CODEC).write_bytes(b"other weights")
    with pytest.raises(HashMismatchError, match=f"{CODEC}: the card promises a file of SHA-256"):
        push(family, NAME, copy.parent)
    card = json.loads((copy / "4-NoEnc-B5.json").read_text())
    (copy / "8-Enc-B3.json").unlink()
    (copy / "4-NoEnc-B5.json").write_text(json.dumps({**card, "backbone_fingerprint": "0" * 16}))
    with pytest.raises(HashMismatchError, match="was trained for the backbone 0000000000000000, found"):
        push(family, NAME, copy.parent)
    (copy / "8-Enc-B3.json").write_text(
        json.dumps({**card, "name": f"{family}/8-Enc-B3", "backbone": "other"})
    )
    with pytest.raises(
        ValueError, match="expected a family with codecs for one backbone, found digits-tiny, other"
    ):
        push(family, NAME, copy.parent)
    assert standin.repositories == {}
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(WeightsError, match=f"{SOURCE}: the hub says: .*401"):
        push(family, NAME)


def test_the_command_publishes_and_others_read_without_torch(standin: StandinHub, family: str) -> None:
    def run(*words: str, without_torch: bool = True) -> subprocess.CompletedProcess[str]:
        code = "from approxbit.cli import main; main()"
        command = [sys.executable, "-c", (BLOCK if without_torch else "") + code, *words]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))

    pushed = run("push", "--family", family, "--to", NAME, "--private")
    assert pushed.returncode == 0, pushed.stderr
    commit = standin.repositories[NAME].find("main")
    assert pushed.stdout == f"{standin.url}/{NAME}/commit/{commit}\n"
    assert standin.repositories[NAME].private
    words = ("select", "--bandwidth-mbps", "3", "--sla", "latency<=60ms", "--family", SOURCE)
    assert "keeps latency<=60ms at 3 Mbps" in run(*words).stdout
    shown = run("inspect", f"{SOURCE}/8-Enc-B3", "--json")
    assert json.loads(shown.stdout)["bytes"] == 8, shown.stderr
    measured = run("measure", "--family", SOURCE, without_torch=False)
    assert (measured.returncode, "expected --out FILE" in measured.stderr) == (1, True)
