"""One direction of one connection: bytes from a socket to a socket, each at its due time."""

import asyncio
import collections
import contextlib
import socket
import struct
from typing import Awaitable, Deque, Optional, Tuple

from approxbit.link.token_bucket import TracePacer

_UNSHAPED_CHUNK_BYTES = 65536
_SHAPED_CHUNK_S = 0.002


class DelayedStream:
    """Moves what arrives at `source` to `sink`, no earlier than the pacer and the delay allow.

        source -> read: due = departure by the pacer + delay -> queue -> write: sleep until due -> sink

    A chunk's departure is worked out when it arrives, so a task that wakes late does not slow the link: the
    next chunks are due already. Reading stops while the queue is full; the kernel then stops the sender. The
    end of the source's stream travels through the queue and closes only this direction.

    Args:
        source: Non-blocking socket to read.
        sink: Non-blocking socket to write.
        pacer: Says when bytes leave; shared by all connections of a link. None for no limit.
        delay_s: Seconds from departure to the sink.
        capacity_bytes: Where reading stops.
    """

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        pacer: Optional[TracePacer],
        delay_s: float,
        capacity_bytes: float,
    ):
        self._source = source
        self._sink = sink
        self._pacer = pacer
        self._delay_s = delay_s
        self._capacity_bytes = capacity_bytes
        self._queue: Deque[Tuple[float, bytes]] = collections.deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Move bytes until the source ends.

        Raises:
            OSError: One of the two sockets broke off.
        """
        await run_together(self._read(), self._write())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._held_bytes >= self._capacity_bytes:
                await self._change()
            chunk = await loop.sock_recv(self._source, self._chunk_bytes(loop.time()))
            now = loop.time()
            leaves = self._pacer.departure(len(chunk), now) if self._pacer and chunk else now
            self._queue.append((leaves + self._delay_s, chunk))
            self._held_bytes += len(chunk)
            self._changed.set()
            if not chunk:
                return

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._queue:
                await self._change()
            due, chunk = self._queue.popleft()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not chunk:
                self._sink.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(self._sink, chunk)
            self._held_bytes -= len(chunk)
            self._changed.set()

    def _chunk_bytes(self, now: float) -> int:
        """How much to read at once: little at low rates, where a chunk takes long, more at high ones."""
        if self._pacer is None:
            return _UNSHAPED_CHUNK_BYTES
        return int(min(16384, max(1024, self._pacer.bandwidth_mbps(now) * 125_000 * _SHAPED_CHUNK_S)))

    async def _change(self) -> None:
        """Wait for the other half; never do both wait, because a queue is not both empty and full."""
        self._changed.clear()
        await self._changed.wait()


async def run_together(*works: Awaitable[None]) -> None:
    """Run all until all are done; the first failure, or a cancellation, cancels the rest and waits for it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def close_abruptly(connection: socket.socket) -> None:
    """Close with a reset, so that the peer sees a failure and not an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
