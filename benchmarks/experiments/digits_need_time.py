"""Do the actions of Digits-in-Motion need time? Three models on the same test clips.

    python benchmarks/experiments/digits_need_time.py [--steps 800] [--num-clips 1200]

1. the shipped video model on the clips as they are,
2. the same model on the same frames in a random order,
3. a single-frame classifier of the same architecture, trained here on clips that repeat one frame.

Prints a table and one line of JSON. Takes about 6 minutes on one core with the default number of steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from approxbit import zoo
from approxbit.datasets.digits import JOINT, MARGINAL, TASK, DigitsClips
from approxbit.training import ClipData
from approxbit.training.memory import keep_freed_memory
from approxbit.training.objective import answer_for, compute_top1, task_loss
from approxbit.training.schedule import warmup_cosine
from approxbit.zoo import describe_machine

Change = Callable[[Tensor], Tensor]


def keep_order(clip: Tensor) -> Tensor:
    return clip


def shuffle_frames(clip: Tensor) -> Tensor:
    """Each clip's frames in an order of its own."""
    order = torch.rand(clip.shape[0], clip.shape[2]).argsort(dim=1)
    return torch.stack([one[:, way] for one, way in zip(clip, order, strict=True)])


def repeat_a_random_frame(clip: Tensor) -> Tensor:
    index = int(torch.randint(clip.shape[2], ()))
    return clip[:, :, index : index + 1].expand_as(clip)


def repeat_the_middle_frame(clip: Tensor) -> Tensor:
    middle = clip.shape[2] // 2
    return clip[:, :, middle : middle + 1].expand_as(clip)


@torch.inference_mode()
def measure(model: nn.Module, data: ClipData, change: Change, name: str) -> dict[str, float]:
    """Top-1 (percent) in both label sets after `change`."""
    logits, labels = [], []
    for clip, target in track(data.test_dataloader(), name):
        logits.append(model(change(clip)))
        labels.append(target)
    answers, targets = torch.cat(logits), torch.cat(labels)
    return {
        each: round(compute_top1(*answer_for(TASK.label_set(each), answers, targets)).item(), 2)
        for each in (MARGINAL, JOINT)
    }


def train_on_single_frames(data: ClipData, steps: int) -> nn.Module:
    """The architecture of the shipped model, from scratch, that only ever sees still clips."""
    model = zoo.build_backbone("movinet_small", {}).train().to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    scheduler = LambdaLR(optimizer, warmup_cosine(steps, 0.08))
    batches = iter(data.train_dataloader())
    for _ in track(range(steps), "training on single frames"):
        batch = next(batches, None)
        if batch is None:
            batches = iter(data.train_dataloader())
            batch = next(batches)
        clip = repeat_a_random_frame(batch[0]).contiguous(memory_format=torch.channels_last_3d)
        loss = task_loss(TASK, model(clip), batch[1])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps of the single-frame model")
    parser.add_argument("--num-clips", type=int, default=1200, help="test clips")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    data = ClipData(DigitsClips(num_test=arguments.num_clips), batch_size=32)
    video_model = zoo.load_backbone("digits-movinet")
    single = train_on_single_frames(data, arguments.steps)
    rows = {
        "video model": measure(video_model, data, keep_order, "video model"),
        "video model, frames shuffled": measure(video_model, data, shuffle_frames, "shuffled"),
        "single-frame model": measure(single, data, repeat_the_middle_frame, "single frame"),
        "chance": {MARGINAL: round(100 / 24, 2), JOINT: round(100 / 240, 2)},
    }
    table = Table("model", *rows["chance"], title="top-1 on test clips, percent")
    for name, top1 in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in top1.values()))
    Console().print(table)
    made = {
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(),
        "steps": arguments.steps,
    }
    print(json.dumps({**made, "top1": rows}))


if __name__ == "__main__":
    main()
