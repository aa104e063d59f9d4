"""A server in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import sys

from approxbit.processes import PATIENCE_S, ListeningProcess


class ServerProcess(ListeningProcess):
    """A server of all configurations of a family of the zoo.

    Args:
        family: Such as `digits-movinet`.
        port: 0 for any free port.
        num_threads: Threads for each operator of the model.
        checkpoints: The zoo's folder, by default the one that `approxbit.load` finds.
        patience_s: How long loading and listening may go without progress.
    """

    def __init__(
        self,
        family: str,
        port: int = 0,
        num_threads: int = 1,
        checkpoints: str | os.PathLike[str] | None = None,
        patience_s: float = PATIENCE_S,
    ):
        options = {"--family": family, "--port": port, "--threads": num_threads, "--checkpoints": checkpoints}
        words = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        command = [sys.executable, "-m", "approxbit.server", "--ends-with-stdin", *words]
        super().__init__(command, "the server", patience_s)
