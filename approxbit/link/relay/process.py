"""The relay as a process of its own: no event loop or interpreter shared with the caller."""

import os
import sys
import tempfile
from typing import List, Optional

from approxbit.link.trace import Trace
from approxbit.processes import ListeningProcess


class RelayProcess(ListeningProcess):
    """Starts `python -m approxbit.link.relay` on entry and ends it on exit.

    Args:
        target: `host:port` of the server.
        trace: The uplink's bandwidth.
        downlink_trace: The downlink's; None for no limit.
        delay_ms: One-way delay of either direction.
        starts_at_launch: Whether the trace's clock starts at once, not with the first byte.

    Example:
        with RelayProcess("127.0.0.1:50051", Trace.figure9(segment_s=10)) as relay:
            ...  # connect to relay.address
    """

    def __init__(
        self,
        target: str,
        trace: Trace,
        downlink_trace: Optional[Trace] = None,
        delay_ms: float = 0.0,
        starts_at_launch: bool = False,
    ):
        self._traces = {"--trace": trace, "--downlink-trace": downlink_trace}
        self._options = ["--target", target, "--ends-with-stdin", "--delay-ms", repr(float(delay_ms))]
        self._options += ["--starts-at-launch"] * starts_at_launch
        super().__init__([], "the relay process")

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            LinkError: It could not listen, or could not reach its target. The message is the process's own.
            LinkTimeoutError: It made no progress for `patience_s`.
        """
        with tempfile.TemporaryDirectory(prefix="approxbit-relay-") as folder:
            options = [*self._options, *self._save_traces(folder)]
            self.command = [sys.executable, "-m", "approxbit.link.relay", *options]
            super().start()

    def restart_clock(self) -> None:
        """Let the traces begin now, whether or not they run already.

        Raises:
            LinkError: The process has ended.
        """
        self.send(order="restart")

    def _save_traces(self, folder: str) -> List[str]:
        options = []
        for option, trace in self._traces.items():
            if trace is not None:
                path = os.path.join(folder, option.strip("-"))
                trace.save(path)
                options += [option, path]
        return options
