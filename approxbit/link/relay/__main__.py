"""`python -m approxbit.link.relay`: prints its port as one line of JSON, then relays until it is stopped."""

import argparse
import asyncio
import selectors
import sys
from typing import Any, Dict, List, Optional

from approxbit.errors import LinkError
from approxbit.link.relay.relay import ShapedRelay
from approxbit.link.trace import Trace
from approxbit.processes import EndOfLife, say


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the relay; SIGTERM and SIGINT end it with 0, a relay that cannot start with 1."""
    options = _parser().parse_args(arguments)
    # select() sleeps to the microsecond, where the default, epoll, rounds up to whole milliseconds: a code of
    # 3 kB takes half a millisecond at 50 Mbps.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        relay = ShapedRelay(
            options.target,
            _load(options.trace, options),
            None if options.downlink_trace is None else _load(options.downlink_trace, options),
            delay_ms=options.delay_ms,
            port=options.port,
            starts_at_launch=options.starts_at_launch,
        )
        loop.run_until_complete(_serve(relay, options.ends_with_stdin))
    except (LinkError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        loop.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m approxbit.link.relay", description=__doc__)
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="the server behind the link")
    parser.add_argument(
        "--trace",
        required=True,
        metavar="FILE|figure9",
        help="uplink; a file of 'seconds megabits_per_second'",
    )
    parser.add_argument("--downlink-trace", metavar="FILE|figure9", help="downlink (default: no limit)")
    parser.add_argument(
        "--segment-seconds", type=float, default=50.0, help="of figure9 (default: %(default)s)"
    )
    parser.add_argument("--loop", action="store_true", help="start the traces over at their end")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="one way, both directions (default: 0)")
    parser.add_argument(
        "--port", type=int, default=0, help="where to listen on 127.0.0.1 (default: any free)"
    )
    parser.add_argument(
        "--starts-at-launch", action="store_true", help="start the trace's clock now, not with the first byte"
    )
    parser.add_argument(
        "--ends-with-stdin",
        action="store_true",
        help="stop when stdin ends, as it does when the parent dies; an order there restarts the clock",
    )
    return parser


def _load(source: str, options: argparse.Namespace) -> Trace:
    if source != "figure9":
        return Trace.load(source, loops=options.loop)
    trace = Trace.figure9(segment_s=options.segment_seconds)
    return Trace(trace.seconds, trace.bandwidth_mbps, options.loop)


async def _serve(relay: ShapedRelay, ends_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()

    def take(order: Dict[str, Any]) -> None:
        if order.get("order") == "restart":
            loop.call_soon_threadsafe(relay.restart_clock)

    end = EndOfLife(ends_with_stdin, take)
    async with relay:
        say(port=relay.port)
        await loop.run_in_executor(None, end.wait)


if __name__ == "__main__":
    sys.exit(main())
