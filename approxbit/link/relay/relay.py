"""A TCP relay in user space that makes its uplink as slow as a trace says; needs no root."""

import asyncio
import contextlib
import math
import socket
from typing import List, Optional, Set, Tuple

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.link.relay.stream import DelayedStream, close_abruptly, run_together
from approxbit.link.token_bucket import TracePacer
from approxbit.link.trace import Trace

_HOST = "127.0.0.1"
_CONNECT_TIMEOUT_S = 5.0
# What the kernel may hold in front of the relay. Left to itself it grows to megabytes, which would look to
# the sender as if they had crossed the link.
_SOCKET_BUFFER_BYTES = 65536
# Queue for a direction without a trace but with a delay: what a link of this rate has in flight.
_UNSHAPED_MBPS = 100.0


class ShapedRelay:
    """Listens on 127.0.0.1 and forwards each connection to a target over a link that is shaped by a trace.

        client -> uplink: trace, delay -> target
        client <- downlink: its own trace if there is one, delay <- target

    All connections share the link, as they would share a radio. The trace's clock starts with the first byte
    from a client, or at `start`, or at `restart_clock`; until then the trace's first bandwidth holds. The
    relay holds at most `queue_bytes` per connection and direction, plus what is in flight during the delay,
    plus two kernel buffers of 64 kB (128 kB as Linux counts): then it stops reading, and so the client is
    slowed.

    What is not simulated: loss, and the round trip of opening a connection (the relay accepts at once).
    When the target refuses, or either side resets, the other side sees a reset.

    Precision: a chunk arrives up to 1 ms late on asyncio's usual event loop, which sleeps in whole
    milliseconds, and about 0.1 ms late in a process of its own (`RelayProcess`). Delays do not add up.

    Args:
        target: `host:port`.
        trace: The uplink's bandwidth.
        downlink_trace: The downlink's; None for no limit.
        delay_ms: One-way delay of either direction; the round trip grows by twice as much.
        port: Where to listen; 0 for any free port.
        queue_bytes: See above.
        starts_at_launch: Whether the trace's clock starts at `start`, not with the first byte.

    Raises:
        ValueError: `target` is not `host:port`, or a number is out of range.

    Example:
        async with ShapedRelay("127.0.0.1:50051", Trace.constant(3)) as relay:
            ...  # connect to relay.address
    """

    def __init__(
        self,
        target: str,
        trace: Trace,
        downlink_trace: Optional[Trace] = None,
        delay_ms: float = 0.0,
        port: int = 0,
        queue_bytes: int = 65536,
        starts_at_launch: bool = False,
    ):
        self._target = parse_address(target)
        if not 0 <= delay_ms < math.inf:
            raise ValueError(f"delay_ms: expected a finite number, 0 or more, found {delay_ms!r}")
        if queue_bytes < 1:
            raise ValueError(f"queue_bytes: expected at least 1, found {queue_bytes!r}")
        self._uplink = _Direction(trace, delay_ms / 1000, queue_bytes)
        self._downlink = _Direction(downlink_trace, delay_ms / 1000, queue_bytes)
        self._listen_port = port
        self._starts_at_launch = starts_at_launch
        self._listener: Optional[socket.socket] = None
        self._accepting: Optional[asyncio.Future[None]] = None
        self._serving: Set[asyncio.Future[None]] = set()

    @property
    def port(self) -> int:
        """Where the relay listens; `start` must have been awaited."""
        if self._listener is None:
            raise RuntimeError("the relay has no port before start() or after stop()")
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """`host:port` of the relay, for clients."""
        return f"{_HOST}:{self.port}"

    @property
    def num_connections(self) -> int:
        """Connections that are open now."""
        return len(self._serving)

    @property
    def seconds(self) -> float:
        """Seconds since the trace's clock started; 0 before."""
        assert self._uplink.pacer is not None
        return self._uplink.pacer.seconds(asyncio.get_running_loop().time())

    def restart_clock(self) -> None:
        """Let the traces begin now, whether or not they run already."""
        now = asyncio.get_running_loop().time()
        for direction in (self._uplink, self._downlink):
            if direction.pacer is not None:
                direction.pacer.restart(now)

    async def start(self) -> None:
        """Look whether the target answers, then listen.

        Raises:
            LinkError: The target cannot be reached, or the port cannot be had.
        """
        (await _connect(self._target)).close()
        self._listener = _listen(self._listen_port)
        self._accepting = asyncio.ensure_future(self._accept(self._listener))
        if self._starts_at_launch:
            self.restart_clock()

    async def stop(self) -> None:
        """Stop listening and reset what is still open; nothing of the relay runs afterwards."""
        tasks = [*self._serving] + ([self._accepting] if self._accepting else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)  # Python 3.8 forgets to
            self._listener.close()
        self._listener = self._accepting = None

    async def __aenter__(self) -> "ShapedRelay":
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # out of file descriptors, or a client that has gone already
                await asyncio.sleep(0.05)
                continue
            task = asyncio.ensure_future(self._serve(client))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, client: socket.socket) -> None:
        """Carry one connection until both directions have ended, or one side breaks off."""
        connections: List[socket.socket] = [client]
        ended = False
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(await _connect(self._target))
            _, server = connections
            await run_together(
                self._uplink.stream(client, server).run(), self._downlink.stream(server, client).run()
            )
            ended = True
        except (OSError, LinkError):
            pass  # the reset below is how the client learns of it
        finally:
            for connection in connections:
                if ended:
                    connection.close()
                else:
                    close_abruptly(connection)


class _Direction:
    """What the streams of one direction have in common."""

    def __init__(self, trace: Optional[Trace], delay_s: float, queue_bytes: int):
        self.pacer = None if trace is None else TracePacer(trace)
        self._delay_s = delay_s
        peak_mbps = _UNSHAPED_MBPS if trace is None else max(trace.bandwidth_mbps)
        self._capacity_bytes = queue_bytes + delay_s * peak_mbps * 125_000

    def stream(self, source: socket.socket, sink: socket.socket) -> DelayedStream:
        return DelayedStream(source, sink, self.pacer, self._delay_s, self._capacity_bytes)


def parse_address(text: str) -> Tuple[str, int]:
    """Read `host:port`.

    Raises:
        ValueError: `text` is not of that form.

    Example:
        >>> parse_address("127.0.0.1:50051")
        ('127.0.0.1', 50051)
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"expected an address such as '127.0.0.1:50051', found {text!r}")
    return host, int(port)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        listener.setblocking(False)
        listener.bind((_HOST, port))
        listener.listen(64)
    except (OSError, OverflowError) as error:
        listener.close()
        raise LinkError(f"cannot listen on {_HOST}:{port}: {error}") from error
    return listener


async def _connect(target: Tuple[str, int]) -> socket.socket:
    """Open a connection, or raise a `LinkError` that names the target."""
    name = "{}:{}".format(*target)
    try:
        return await asyncio.wait_for(_open(*target), _CONNECT_TIMEOUT_S)
    except asyncio.TimeoutError as error:
        message = f"the relay's target {name} did not answer within {_CONNECT_TIMEOUT_S:g} s"
        raise LinkTimeoutError(message) from error
    except OSError as error:
        raise LinkError(f"the relay cannot reach its target {name}: {error}") from error


async def _open(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    connection = socket.socket(family, kind, protocol)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(connection.close)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER_BYTES)
        await loop.sock_connect(connection, address)
        on_failure.pop_all()
    return connection
