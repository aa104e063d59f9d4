"""How much of Scenes can be answered without seeing it, by seeing less of it, and by reading its script.

    python benchmarks/experiments/scenes_controls.py                       # guesses, a minute
    python benchmarks/experiments/scenes_controls.py --views script one_frame
    python benchmarks/experiments/scenes_controls.py --family scenes-vit --split test_b

Guesses need no training: the most frequent answer of a family, and that to the exact words of a question, as
in training. A view is trained with the model and the budget of `recipes/scenes/questions.yaml`: `nothing`
(words alone), `one_frame`, `shuffled`, `whole`, and `script`, which reads the dense targets in the place of a
tower's tokens and so bounds what a tower can give. Figures are of validation by default.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import lightning as L
import torch
import yaml
from rich.progress import track

from approxbit import zoo
from approxbit.backbones import VideoQuestionModel
from approxbit.datasets.scenes.questions import FAMILIES, Question, draw_questions
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.staging import draw_script
from approxbit.datasets.scenes.targets import DenseSceneClips
from approxbit.training import ClipData, KeepLast, QuestionModule
from approxbit.training.checkpoints import last_checkpoint
from approxbit.training.question_module import HEAD, SCRIPT_VIEW, VIEWS, Batch
from approxbit.training.questions import require_questions

RECIPES = Path(__file__).parents[2] / "recipes" / "scenes"
Answered = list[tuple[int, Question, str]]
"""Number of digits, question, answer."""


def guess(num_train: int, split: str, num_scenes: int) -> Mapping[str, Answered]:
    """The answers of both guesses to questions of a split."""
    by_family: dict[str, Counter[str]] = defaultdict(Counter)
    by_text: dict[str, Counter[str]] = defaultdict(Counter)
    for _, question in ask("train", num_train):
        by_family[question.family][question.answer] += 1
        by_text[question.text][question.answer] += 1
    found: dict[str, Answered] = {"majority": [], "words": []}
    for script, question in ask(split, num_scenes):
        majority = by_family[question.family].most_common(1)[0][0]
        known = by_text.get(question.text)
        words = known.most_common(1)[0][0] if known else majority
        for name, answer in (("majority", majority), ("words", words)):
            found[name].append((len(script.actors), question, answer))
    return found


def ask(split: str, num_scenes: int) -> Iterable[tuple[Script, Question]]:
    for index in track(range(num_scenes), f"questions of {split}"):
        script = draw_script(split, index)
        for question in draw_questions(script):
            yield script, question


def learn(view: str, steps: int | None, split: str, num_scenes: int) -> Answered:
    """The answers of a model that was trained on one view to questions of a split.

    A training that was interrupted goes on from `runs/scenes/controls/<view>`.
    """
    recipe = yaml.safe_load((RECIPES / "questions.yaml").read_text())
    torch.set_num_threads(recipe["threads"])
    L.seed_everything(recipe["seed_everything"])
    arguments = {**recipe["model"]["init_args"], "view": view}
    if view == SCRIPT_VIEW:  # the head alone: nothing of the tower is left to learn
        arguments |= {"train_from": HEAD, "dense_weight": 0.0}
    learner = QuestionModule(**arguments)
    data, settings = recipe["data"]["init_args"], recipe["trainer"]
    source = DenseSceneClips(**data["source"]["init_args"])
    batches = ClipData(source, data["batch_size"], data["evaluation_batch_size"])
    root = Path("runs/scenes/controls") / view
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps or settings["max_steps"],
        default_root_dir=root,
        precision=settings["precision"],
        gradient_clip_val=settings["gradient_clip_val"],
        val_check_interval=settings["val_check_interval"],
        limit_val_batches=settings["limit_val_batches"],
        callbacks=[KeepLast(every_n_steps=50)],
    )
    last = last_checkpoint(root)
    trainer.fit(learner, datamodule=batches, ckpt_path=str(last) if last.exists() else None)
    learner.eval()
    return answer(learner.visual, learner.backbone, split, num_scenes)


def look(family: str, split: str, num_scenes: int) -> Answered:
    """The answers of a family of the zoo."""
    model = require_questions(zoo.load_backbone(family).eval())
    return answer(lambda batch: model(model.normalise(batch[0])), model, split, num_scenes)


@torch.no_grad()
def answer(
    see: Callable[[Batch], torch.Tensor], model: VideoQuestionModel, split: str, num_scenes: int
) -> Answered:
    """The answers to questions about the first scenes of a split.

    Args:
        see: Batch of clips -> visual tokens.
        model: Which answers.
        split: Whose scenes are asked about.
        num_scenes: How many.
    """
    source = DenseSceneClips(num_validation=num_scenes, num_test=num_scenes)
    answered: Answered = []
    for batch in track(source.loader(split, batch_size=20), f"answering {split}"):
        asked = [[text for text, _ in each] for each in batch[1].asked]
        found = model.ask(see(batch), asked)
        for number, answers, targets in zip(batch[1].numbers, found, batch[1].asked, strict=True):
            num_digits = len(draw_script(split, number).actors)
            for given, (text, target) in zip(answers, targets, strict=True):
                answered.append((num_digits, Question(text, target.answer, target.question_type), given))
    return answered


def show(columns: Mapping[str, Answered]) -> None:
    """A row for each family and each number of digits, in percent, as Markdown."""
    print(f"| questions | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for family in FAMILIES:
        rows = {name: [each for each in found if each[1].family == family] for name, found in columns.items()}
        print(f"| {family} | {' | '.join(f'{percent(found):.1f}' for found in rows.values())} |")
    macros = []
    for found in columns.values():
        shares = [percent([each for each in found if each[1].family == family]) for family in FAMILIES]
        macros.append(f"{sum(shares) / len(shares):.1f}")
    print(f"| macro | {' | '.join(macros)} |")
    for number in sorted({each[0] for found in columns.values() for each in found}):
        rows = {name: [each for each in found if each[0] == number] for name, found in columns.items()}
        print(
            f"| {number} digits, all questions | {' | '.join(f'{percent(r):.1f}' for r in rows.values())} |"
        )


def percent(found: Answered) -> float:
    return 100 * sum(answer == question.answer for _, question, answer in found) / max(1, len(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", nargs="*", default=[], choices=VIEWS)
    parser.add_argument("--steps", type=int, help="of training; by default those of the recipe")
    parser.add_argument("--train", type=int, default=4000, help="scenes that guesses learn from")
    parser.add_argument("--family", help="of the zoo, which answers too")
    parser.add_argument("--split", default="validation", choices=("validation", "test", "test_b"))
    parser.add_argument("--scenes", type=int, default=600, help="that are asked about")
    options = parser.parse_args()
    columns = dict(guess(options.train, options.split, options.scenes))
    for view in options.views:
        columns[view] = learn(view, options.steps, options.split, options.scenes)
    if options.family:
        columns[options.family] = look(options.family, options.split, options.scenes)
    show(columns)


if __name__ == "__main__":
    main()
