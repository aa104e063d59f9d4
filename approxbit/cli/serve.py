"""`approxbit serve`."""

from typing import List

import typer

from approxbit.cli.console import FAMILY, THREADS, TRUST, progress

HOST = typer.Option("127.0.0.1", help="Address to listen on; 0.0.0.0 for all of this machine's.")
PORT = typer.Option(50051, min=0, max=65535, help="0 for any free port.")


def serve(
    family: str = FAMILY, host: str = HOST, port: int = PORT, threads: int = THREADS, trust: List[str] = TRUST
) -> None:
    """Serve all configurations of a family, until interrupted."""
    from approxbit.processes import serve_until_told
    from approxbit.server.grpc_server import GrpcServer
    from approxbit.server.loading import load_service

    console = progress()
    console.print(f"loading {family}", highlight=False, markup=False)
    server = GrpcServer(load_service(family, num_threads=threads), port, host)
    console.print(f"serving {family} on {host}:{server.port}", highlight=False, markup=False)
    serve_until_told(server)
