"""The documents that show code or commands, and their blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "approxbit/backbones/README.md",
    "approxbit/codec/README.md",
    "approxbit/datasets/README.md",
    "approxbit/select/README.md",
    "approxbit/video/README.md",
    "benchmarks/RESULTS.md",
    "export/README.md",
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ON_DEVICE = "export/README.md"  # its Python needs a Jetson: it must be Python, and is not run
SERVER = "server:50051"  # of the example on two machines, which has a test of its own


class Block(NamedTuple):
    document: str
    line: int
    language: str
    code: str


def read_blocks() -> list[Block]:
    blocks = []
    for document in DOCUMENTS:
        text = (REPOSITORY / document).read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            blocks.append(Block(document, line, match[1], match[2]))
    return blocks


BLOCKS = read_blocks()


def name_block(block: Block) -> str:
    return f"{block.document}:{block.line}"
