"""`python -m approxbit.server --family digits-movinet`: one server for all configurations of a family."""

from __future__ import annotations

import argparse
import logging

from approxbit.errors import ApproxBitError
from approxbit.processes import serve_until_told
from approxbit.server.grpc_server import GrpcServer
from approxbit.server.loading import load_service
from approxbit.trust import trust


def main() -> None:
    """Load, listen, say the port on standard output, serve until told to stop."""
    options = _parse()
    trust(*options.trust)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")  # to standard error
    try:
        service = load_service(options.family, options.checkpoints, options.threads)
        server = GrpcServer(service, options.port, options.host)
    except (ApproxBitError, ValueError, OSError, ImportError) as error:
        raise SystemExit(f"approxbit.server: {error}") from None
    serve_until_told(server, options.ends_with_stdin)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m approxbit.server", description=__doc__)
    parser.add_argument("--family", required=True, help="such as digits-movinet")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: this machine)"
    )
    parser.add_argument("--port", type=int, default=0, help="0 for any free port (default)")
    parser.add_argument("--threads", type=int, default=1, help="threads for each operator of the model")
    parser.add_argument("--checkpoints", help="the zoo's folder (default: the one that approxbit.load finds)")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package whose code cards may name"
    )
    parser.add_argument(
        "--ends-with-stdin", action="store_true", help="also stop when standard input is closed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
