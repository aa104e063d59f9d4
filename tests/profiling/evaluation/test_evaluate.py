"""`approxbit evaluate` from end to end: figures against the models one by one, and files to go on from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asked_videos import ROWS
from random_clips import RandomClips
from standin_judge import serve

from approxbit import zoo
from approxbit.cli import main
from approxbit.cli.evaluate import interruptible
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import DigitsClips
from approxbit.datasets.listing import UNLABELED
from approxbit.datasets.questions import MSVDQAClips
from approxbit.files import save_json
from approxbit.profiling.evaluation import UNSPLIT, Evaluation, evaluate_family
from approxbit.profiling.evaluation.record import HEADER
from approxbit.tasks import Classification
from approxbit.training.prior_family import fit_prior
from approxbit.wire.coding import encode_planes

ARMS = ("unsplit", "2-NoEnc-L1", "8-NoEnc-L1", "4-Enc-L2")
QUESTIONS = [[question for video, question, _ in ROWS if video == name] for name in "abc"]
TARGETS = [target for _, _, target in ROWS]


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit, match=str(code)):
        main(list(words))


def result(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    run(*words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def clips_of(root: Path) -> torch.Tensor:
    """One clip for each of the three videos."""
    [(clips, _)] = MSVDQAClips(str(root)).fitted((3, 4, 16, 16)).loader("validation", 5)
    return clips[[0, 2, 4]]


def log_softmax(logits: torch.Tensor) -> np.ndarray:
    found: np.ndarray = logits.double().log_softmax(dim=-1).numpy()
    return found


@torch.no_grad()
def test_all_configurations_answer_msvd_qa_beside_the_unsplit_model(
    questions: str, msvd: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "results" / "found.json"
    words = ("evaluate", questions, "--data", f"msvd_qa:{msvd}", "--out", str(out))
    document = result(capsys, *words)
    found = Evaluation.load(out)
    assert sorted(arm.name for arm in found.arms) == sorted(ARMS)
    assert (found.num_clips, found.num_groups, found.asked.targets) == (3, 3, tuple(TARGETS))
    assert found.asked.types == ("who", "what", "", "who", "what")
    assert document["arms"][0]["figures"]["exact_match"]["overall"]["count"] == 5
    assert "asked" not in document
    assert "answers" not in document["arms"][0]
    models, clips = zoo.load_family(questions), clips_of(msvd)
    backbone = models["4-Enc-L2"].backbone
    asked = backbone.head.to_tensor(QUESTIONS)
    visual = backbone(backbone.normalise(clips))
    places = [(clip, number) for clip, about in enumerate(QUESTIONS) for number in range(len(about))]
    whole = [log_softmax(backbone.answer_logits(visual, asked))[place] for place in places]
    said = [answer for about in backbone.ask(visual, QUESTIONS) for answer in about]
    assert found.arm(UNSPLIT).answers == tuple(said)
    for name, model in models.items():
        arm, code = found.arm(name), model.encode(clips)
        answers = [answer for about in model.ask(code, QUESTIONS) for answer in about]
        assert arm.answers == tuple(answers)
        right = [
            answer.replace("the ", "") == target for answer, target in zip(answers, TARGETS, strict=True)
        ]
        assert arm.figures["exact_match"].overall.value == pytest.approx(20 * sum(right))
        assert arm.figures["exact_match"].by_type["who"].value == pytest.approx(50 * (right[0] + right[3]))
        before = [answer.replace("the ", "") == target for answer, target in zip(said, TARGETS, strict=True)]
        change = arm.figures["change_exact_match"].overall.value
        assert change == pytest.approx(20 * (sum(right) - sum(before)))
        same = [one == other for one, other in zip(answers, said, strict=True)]
        assert arm.figures["same_answer"].overall.value == pytest.approx(20 * sum(same))
        logits = log_softmax(backbone.answer_logits(model.answer(code), asked))
        lost = [np.sum(np.exp(p) * (p - logits[place])) for p, place in zip(whole, places, strict=True)]
        assert arm.figures["divergence"].overall.value == pytest.approx(np.mean(lost), abs=1e-5)
        ranks = [
            1 + (logits[place] > logits[place][index]).sum()
            for place, index in zip(places, (0, 1, 3, None, 0), strict=True)
            if index is not None
        ]  # the fourth answer is none that the model knows: its reciprocal rank is 0
        expected = 100 * sum(1 / rank for rank in ranks) / 5
        assert arm.figures["reciprocal_rank"].overall.value == pytest.approx(expected, abs=1e-4)
        bits = model.codec.configuration.codebook_size
        assert (arm.num_bits, arm.packed_bytes) == (bits, model.codec.payload_bytes)
        planes = code.to_planes().numpy()
        live = sum(len(np.unique(planes[:, bit])) > 1 for bit in range(bits))
        assert (arm.live_bits, arm.live_packed_bytes) == (live, (live * planes.shape[2] + 7) // 8)
        assert arm.coded_bytes is None


def test_the_table_shows_figures_intervals_types_and_bytes(
    questions: str, msvd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("evaluate", f"{questions}/2-NoEnc-L1", "--data", f"msvd_qa:{msvd}", "--clips", "4")
    text, progress = capsys.readouterr()
    assert "tiny: 4 questions about 2 validation clips of MSVD-QA" in text
    assert "95 %, by bootstrap over 2 clips" in text
    [header] = [line for line in text.splitlines() if line.startswith("arm")]
    for word in (
        "exact match",
        "mean of types",
        "contained",
        "same answer",
        "divergence",
        "live bits",
        "coded",
    ):
        assert word in header
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("unsplit", "2-No"))] == [
        "unsplit",
        "2-NoEnc-L1",
    ]
    assert "[" in text.split("2-NoEnc-L1")[1]
    assert "who" in text
    assert "2-NoEnc-L1" in progress


def test_a_run_that_was_interrupted_goes_on_with_what_is_missing(
    questions: str, msvd: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "found.json"
    source = MSVDQAClips(str(msvd))

    def keep(found: Evaluation) -> None:
        found.save(out)
        if len(found.arms) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_family(questions, source, keep=keep)
    kept = Evaluation.load(out)
    assert len(kept.arms) == 2
    marked = replace(kept.arms[1], coded_bytes=12.5)  # so that one sees that it stays
    save_json(out, replace(kept, arms=(kept.arms[0], marked)), HEADER)
    words = ("evaluate", questions, "--data", f"msvd_qa:{msvd}", "--out", str(out))
    run(*words)
    found = Evaluation.load(out)
    assert sorted(arm.name for arm in found.arms) == sorted(ARMS)
    assert found.arms[:2] == (kept.arms[0], marked)
    fresh = evaluate_family(questions, source)
    assert {arm.name: arm for arm in fresh.arms} == {
        **{a.name: a for a in found.arms},
        marked.name: kept.arms[1],
    }
    run(*words, "--clips", "4", code=1)
    assert "with num_clips 4, found None: name another --out" in capsys.readouterr().err


def test_an_interruption_says_where_to_go_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    for said in ("interrupted\n", f"interrupted; the same command goes on from {out}\n"):
        with pytest.raises(SystemExit, match="130"), interruptible(out):
            raise KeyboardInterrupt
        assert capsys.readouterr().err == f"approxbit: {said}"
        out.touch()


def test_a_codec_that_changed_is_measured_again(questions: str, msvd: Path, tmp_path: Path) -> None:
    source, name = MSVDQAClips(str(msvd)), "4-Enc-L2"
    known = evaluate_family(questions, source)
    model = zoo.load(f"{questions}/{name}")
    code = model.encode(clips_of(msvd))
    zoo.save_prior(f"{questions}/{name}", fit_prior(model, code, "fast", num_steps=20).freeze())
    found = evaluate_family(questions, source, known=known)
    assert [arm for arm in found.arms if arm.name != name] == [arm for arm in known.arms if arm.name != name]
    before, after = known.arm(name), found.arm(name)
    assert before.fingerprint != after.fingerprint
    assert (before.figures, before.coded_bytes) == (after.figures, None)
    prior = zoo.load(f"{questions}/{name}").prior
    lengths = [len(encode_planes(each, prior)[1]) for each in code.to_planes().numpy()]
    assert after.coded_bytes == pytest.approx(np.mean(lengths), abs=1e-3)


def test_data_that_changed_do_not_mix_with_those_before(questions: str, msvd: Path) -> None:
    known = evaluate_family(f"{questions}/4-Enc-L2", MSVDQAClips(str(msvd)))
    [file] = [each for each in msvd.glob("val_*.json") if '"answer"' in each.read_text()]
    file.write_text(file.read_text().replace("someone", "nobody"))
    with pytest.raises(
        ValueError, match="to be of the same 5 entries of MSVD-QA, found others: the data chan"
    ):
        evaluate_family(questions, MSVDQAClips(str(msvd)), known=known)


def test_a_judge_of_the_command_line_gets_the_key_of_the_environment(
    questions: str,
    msvd: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("APPROXBIT_JUDGE_KEY", "sk-hidden")
    out = tmp_path / "found.json"
    with serve(lambda number, body: "{'pred': 'yes', 'score': 3}") as judge:
        words = ("evaluate", f"{questions}/4-Enc-L2", "--data", f"msvd_qa:{msvd}", "--out", str(out))
        words = (*words, "--judge", judge.url, "--judge-model", "judge-1")
        run(*words)
        text, progress = capsys.readouterr()
        num_requests = len(judge.requests)
        run(*words)
        capsys.readouterr()
        assert len(judge.requests) == num_requests >= 5
    assert judge.headers[0]["Authorization"] == "Bearer sk-hidden"
    assert "judge yes" in text
    assert "(judge-1-0613; fp_7)" in text
    found = Evaluation.load(out)
    assert found.arm("4-Enc-L2").figures["judge_score"].overall.value == 3
    files = [path.read_text() for path in tmp_path.glob("found*")]
    assert len(files) == 2
    assert not any("sk-hidden" in each for each in (*files, text, progress))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--judge", "http://localhost:1/v1"), "expected --judge URL and --judge-model NAME together"),
        (("--judge", "http://localhost:1/v1", "--judge-model", "m"), "expected --out FILE.json with --judge"),
        (
            ("--data", "digits"),
            "expected data of question_answering, which is what the model answers, found Digits",
        ),
        (("--device", "toaster"), "expected a device of torch on this machine, found 'toaster'"),
        (("--tokenizer", "folder"), "expected a tokenizer or prompt with a video-language model only"),
        (("--split", "test_b"), "expected one of the splits train, validation, test, found 'test_b'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_the_cure(
    questions: str, msvd: Path, words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = () if "--data" in words else ("--data", f"msvd_qa:{msvd}")
    run("evaluate", questions, *data, *words, code=1)
    assert complaint in capsys.readouterr().err


@torch.no_grad()
def test_a_shipped_classifier_is_evaluated_by_the_same_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    found = result(capsys, "evaluate", "digits-movinet-actions", "--clips", "4")
    models = zoo.load_family("digits-movinet-actions")
    assert [arm["name"] for arm in found["arms"]] == [UNSPLIT, *models]
    assert (found["num_clips"], found["plan"]["split"]) == (4, "validation")
    primary = found["figures"][0]
    [(clips, labels)] = DigitsClips(cache=str(tmp_path)).loader("validation", 4, num_clips=4)
    for arm in found["arms"][1:]:
        model = models[arm["name"]]
        scores = model.task.score(model(clips).numpy(), labels.numpy())
        assert {name: arm["figures"][name]["overall"]["value"] for name in scores} == scores
        assert primary == model.task.figures[0]
        planes = model.encode(clips).to_planes().numpy()
        lengths = [len(encode_planes(each, model.prior)[1]) for each in planes]
        assert arm["coded_bytes"] == pytest.approx(np.mean(lengths), abs=1e-3)
        assert arm["figures"]["same_answer"]["overall"]["count"] == 4
        assert arm["figures"][primary]["macro"] is None


def test_a_backbone_that_has_no_codec_yet_is_evaluated_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    found = result(capsys, "evaluate", "scenes-vit", "--data", "scenes", "--split", "test_b", "--clips", "3")
    [arm] = found["arms"]
    assert (arm["name"], found["num_clips"], found["num_groups"]) == (UNSPLIT, 3, 3)
    exact = arm["figures"]["exact_match"]
    assert exact["overall"]["count"] == sum(each["count"] for each in exact["by_type"].values()) > 30
    assert exact["macro"]["value"] == pytest.approx(
        np.mean([each["value"] for each in exact["by_type"].values()]), abs=1e-5
    )


class Unlabelled(RandomClips):
    """Clips of which one has no label."""

    def clips(self, split: str, training: bool = False) -> Any:
        found = super().clips(split, training)
        found.tensors[1][1] = UNLABELED
        return found


def test_a_clip_without_a_label_counts_for_fidelity_alone(tmp_path: Path) -> None:
    arguments = {"num_classes": 3, "clip_shape": (3, 4, 32, 32)}
    task = Classification.of_names("xyz")
    torch.manual_seed(0)
    backbone = zoo.build_backbone("movinet_small", arguments)
    zoo.save_backbone(tmp_path / "own", backbone, "movinet_small", arguments, task)
    codec = Codec(backbone.feature_shape("B5"), Configuration.parse("4-Enc-B5"))
    zoo.save_codec(tmp_path / "own", codec.eval())
    found = evaluate_family("own", Unlabelled(task, num_clips=5), "test", checkpoints=tmp_path)
    arm = found.arm("4-Enc-B5")
    assert found.asked.targets == ("x", "", "z", "x", "y")
    assert arm.figures["top1_classes"].overall.count == 4
    assert arm.figures["same_answer"].overall.count == 5
    with pytest.raises(ValueError, match="expected num_clips to be at least 1, found 0"):
        evaluate_family("own", Unlabelled(task), num_clips=0, checkpoints=tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(
        ValueError, match=r"broken\.json: format: expected 'approxbit evaluation', found nothing"
    ):
        Evaluation.load(broken)
