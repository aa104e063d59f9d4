"""A program that spoils the cards of `toy/4-Enc-B3`, one entry at a time, and loads the model each time.

Run in a process of its own, without the checks of types that the tests switch on.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from pathlib import Path
from typing import Any

from approxbit import zoo
from approxbit.errors import UntrustedError, WeightsError

VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 3.5, 10**9, 10**12, 2**62, "", "x", [], {}, [[[]]], "os:system", "../toy"),
    *([10**9] * 4, [3, 4, 32], [3, 4, 32, "32"], [3, 0, 32, 32], [3, True, 32, 32], {"a": {"a": {}}}),
    *("movinet_a0", "movinet_a0_stream", json.loads("[" * 900 + "]" * 900)),
)
MAX_CHARACTERS = 4000
NAMES = ("width", "streaming", "name", "hidden_channels", "nested_sizes", "whole_share")


def mutate(card: dict[str, Any], draw: random.Random) -> str:
    """Change one entry, leave it out or add one; says which."""
    holder = draw.choice([card, card["arguments"], card["arguments"], card["weights"], card["provenance"]])
    key = draw.choice([*holder, *NAMES])
    if draw.random() < 0.1:
        holder.pop(key, None)
        return f"without {key}"
    holder[key] = draw.choice(VALUES)
    return f"{key}={holder[key]!r:.60}"


def main(checkpoints: Path, name: str, num_mutations: int) -> None:
    """Print how many cards were refused, and how much memory all of it took on top (MB)."""
    path = checkpoints / "toy" / f"{name}.json"
    card, draw = path.read_text(), random.Random(7)
    zoo.load("toy/4-Enc-B3", checkpoints)
    before, num_refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for _ in range(num_mutations):
        changed = json.loads(card)
        what = mutate(changed, draw)
        path.write_text(json.dumps(changed))
        zoo.available(checkpoints)
        try:
            zoo.load("toy/4-Enc-B3", checkpoints)
        except (WeightsError, UntrustedError) as error:
            if not str(error).startswith(str(checkpoints)) or len(str(error)) > MAX_CHARACTERS:
                raise AssertionError(f"{what}: {error}") from error
            num_refused += 1
        except BaseException as error:
            raise AssertionError(f"{what}: {error!r}") from error
    path.write_text(card)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"refused": num_refused, "more_mb": more / 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
