import asyncio
import contextlib
import gc
import random
import socket
import struct
import time

import pytest

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.link import ShapedRelay, Trace

FAST = Trace.constant(10_000)


@contextlib.asynccontextmanager
async def serving(handle):
    """A server that gives each connection to `handle(reader, writer)`; yields its `host:port`."""
    tasks = []

    async def run(reader, writer):
        tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def swallow(reader, writer):
    """Answer with one byte when the client has ended its stream."""
    while await reader.read(65536):
        pass
    writer.write(b"!")
    await writer.drain()


async def exchange(relay, data):
    """Send `data`, end the stream, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)

    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    _, answer = await asyncio.gather(send(), reader.read())
    writer.close()
    await writer.wait_closed()
    return answer


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 20))


def test_random_bytes_cross_both_ways_intact_on_several_connections_at_once():
    async def scenario():
        generator = random.Random(3)
        messages = [generator.randbytes(size) for size in (0, 1, 2047, 70_000, 600_000)]
        async with serving(echo) as target, ShapedRelay(target, FAST, downlink_trace=FAST) as relay:
            answers = await asyncio.gather(*(exchange(relay, message) for message in messages))
        assert answers == messages

    run(scenario())


def test_a_shaped_transfer_takes_8_d_over_b_and_little_more():
    async def scenario():
        async with serving(swallow) as target, ShapedRelay(target, Trace.constant(8)) as relay:
            started = time.monotonic()
            assert await exchange(relay, bytes(60_000)) == b"!"
            return time.monotonic() - started

    assert 0.0599 < run(scenario()) < 0.5


def test_the_downlink_is_shaped_by_its_own_trace():
    async def scenario():
        async with (
            serving(echo) as target,
            ShapedRelay(target, FAST, downlink_trace=Trace.constant(8)) as relay,
        ):
            started = time.monotonic()
            await exchange(relay, bytes(60_000))
            return time.monotonic() - started

    assert 0.0599 < run(scenario()) < 0.5


def test_connections_share_the_link():
    async def scenario():
        async with serving(swallow) as target, ShapedRelay(target, Trace.constant(8)) as relay:
            started = time.monotonic()
            await asyncio.gather(*(exchange(relay, bytes(20_000)) for _ in range(4)))
            return time.monotonic() - started

    assert 0.0799 < run(scenario()) < 0.6


def test_the_delay_counts_once_per_direction_and_not_per_chunk():
    async def scenario():
        async with serving(swallow) as target, ShapedRelay(target, Trace.constant(80), delay_ms=50) as relay:
            started = time.monotonic()
            await exchange(relay, bytes(100_000))
            return time.monotonic() - started

    assert 0.1099 < run(scenario()) < 0.6


def test_the_trace_begins_with_the_first_byte_and_can_begin_again():
    async def scenario():
        trace = Trace((0, 0.05), (8, 10_000))
        async with serving(echo) as target, ShapedRelay(target, trace) as relay:
            await asyncio.sleep(0.1)
            assert relay.seconds == 0
            started = time.monotonic()
            await exchange(relay, bytes(40_000))
            assert time.monotonic() - started > 0.0399
            assert relay.seconds > 0.0399
            relay.restart_clock()
            assert relay.seconds < 0.0399
        async with serving(echo) as target, ShapedRelay(target, trace, starts_at_launch=True) as relay:
            await asyncio.sleep(0.02)
            assert relay.seconds > 0.0199

    run(scenario())


def test_no_megabyte_hides_in_the_relay():
    async def scenario():
        async with serving(swallow) as target, ShapedRelay(target, Trace.constant(0.001)) as relay:
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", relay.port))
                sent = 0
                with contextlib.suppress(asyncio.TimeoutError):
                    while True:
                        await asyncio.wait_for(loop.sock_sendall(client, bytes(4096)), 0.2)
                        sent += 4096
                return sent

    assert 4096 <= run(scenario()) < 500_000


def test_the_end_of_one_direction_leaves_the_other_open():
    async def late_answer(reader, writer):
        assert await reader.read() == b"question"
        await asyncio.sleep(0.02)
        writer.write(b"answer")
        await writer.drain()

    async def scenario():
        async with serving(late_answer) as target, ShapedRelay(target, FAST) as relay:
            assert await exchange(relay, b"question") == b"answer"

    run(scenario())


def test_a_server_that_resets_is_seen_as_a_reset_by_the_client():
    async def reset(reader, writer):
        await reader.read(1)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def scenario():
        async with serving(reset) as target, ShapedRelay(target, FAST) as relay:
            with pytest.raises(ConnectionResetError):
                await exchange(relay, b"x")
            await until(lambda: relay.num_connections == 0)

    run(scenario())


def test_a_client_that_resets_is_seen_as_a_reset_by_the_server():
    async def scenario():
        seen = asyncio.get_running_loop().create_future()

        async def watch(reader, writer):
            try:
                while await reader.read(1):
                    pass
            except ConnectionResetError:
                seen.set_result("reset")

        async with serving(watch) as target, ShapedRelay(target, FAST) as relay:
            _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"x")
            await until(lambda: relay.num_connections == 1)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            assert await seen == "reset"
            await until(lambda: relay.num_connections == 0)

    run(scenario())


def test_a_target_that_goes_away_later_costs_a_reset_and_not_the_relay():
    async def scenario():
        async with serving(echo) as target:
            relay = ShapedRelay(target, FAST)
            await relay.start()
        with pytest.raises(ConnectionResetError):
            await exchange(relay, b"x")
        assert relay.num_connections == 0
        await relay.stop()

    run(scenario())


def test_a_target_that_is_not_there_is_a_link_error():
    async def scenario():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            target = f"127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(LinkError, match=target + ".*Connect call failed"):
                await ShapedRelay(target, FAST).start()

    run(scenario())


def test_a_target_that_never_answers_is_a_link_timeout(monkeypatch):
    async def scenario():
        async def never(*_):
            await asyncio.sleep(100)

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
        monkeypatch.setattr("approxbit.link.relay.relay._CONNECT_TIMEOUT_S", 0.02)
        with pytest.raises(LinkTimeoutError, match=r"target 127.0.0.1:9 did not answer within 0\.02 s"):
            await ShapedRelay("127.0.0.1:9", FAST).start()

    run(scenario())


def test_a_port_that_is_taken_is_a_link_error():
    async def scenario():
        async with serving(echo) as target:
            port = int(target.split(":")[1])
            message = rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"
            with pytest.raises(LinkError, match=message):
                await ShapedRelay(target, FAST, port=port).start()

    run(scenario())


def test_after_stop_nothing_of_the_relay_runs():
    async def scenario():
        async with serving(echo) as target:
            relay = ShapedRelay(target, Trace.constant(0.001), delay_ms=1000)
            await relay.start()
            port = relay.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes(200_000))
            await until(lambda: relay.num_connections == 1)
            await relay.stop()
            await relay.stop()
            files = [task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()]
            assert not [file for file in files if "relay" in file and "test_relay" not in file]
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(RuntimeError, match=r"no port before start\(\) or after stop\(\)"):
                _ = relay.port

    run(scenario())
    gc.collect()  # a socket left open would be a ResourceWarning here


def test_arguments_that_cannot_be_meant_are_refused():
    for target in (
        "localhost",
        ":80",
        "localhost:",
        "localhost:http",
        "localhost:0",
        "localhost:65536",
        "a:²",
    ):
        with pytest.raises(ValueError, match=r"expected an address such as '127.0.0.1:50051', found"):
            ShapedRelay(target, FAST)
    with pytest.raises(ValueError, match="delay_ms: expected a finite number, 0 or more, found -1"):
        ShapedRelay("localhost:1", FAST, delay_ms=-1)
    with pytest.raises(ValueError, match="queue_bytes: expected at least 1, found 0"):
        ShapedRelay("localhost:1", FAST, queue_bytes=0)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)
