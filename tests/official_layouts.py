"""Files of public data sets in their official layouts, with few and small videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

MakeVideo = Callable[..., Path]
CLASSES = ("Holding something", "Pulling something", "Pushing something")


def write_kinetics(root: Path, make_video: MakeVideo) -> None:
    for split, count in (("train", 6), ("validate", 3)):
        lines = ["label,youtube_id,time_start,time_end,split"]
        for number in range(count):
            video = f"{split:_<9}{number:02d}"
            make_video(root / "videos" / f"{video}_000000_000010.mp4", 12, 72, 96)
            lines.append(f"{CLASSES[number % 3]},{video},0,10,{split}")
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")


def write_something_something(root: Path, make_video: MakeVideo) -> None:
    start = "something-something-v2"
    entries: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for number in range(9):
        make_video(root / f"20bn-{start}" / f"{number}.webm", 12, 72, 96)
        label = CLASSES[number % 3]
        entry = {"id": str(number), "label": label, "template": label.replace("something", "[something]")}
        entries["train" if number < 6 else "validation"].append(entry)
    numbers = {label: str(index) for index, label in enumerate(CLASSES)}
    for name, content in {"labels": numbers, **entries}.items():
        (root / f"{start}-{name}.json").write_text(json.dumps(content))
