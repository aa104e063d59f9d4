"""A `Service` behind gRPC."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from approxbit.errors import LinkError
from approxbit.server.service import Service
from approxbit.wire import protocol

MAX_CALLS_IN_FLIGHT = 64


class GrpcServer:
    """Listens while it is used as a context manager.

    A message longer than `max_message_bytes`, and a call beyond `MAX_CALLS_IN_FLIGHT`, is turned away by
    gRPC itself (RESOURCE_EXHAUSTED) before anything is computed for it.

    Args:
        service: What answers.
        port: 0 for any free port; `self.port` says which.
        host: The address to listen on; by default only this machine can connect.
        num_threads: Calls that are served side by side. The service itself limits how many compute.
        max_message_bytes: Longest packet that is taken.

    Raises:
        LinkError: The port cannot be listened on.
    """

    def __init__(
        self,
        service: Service,
        port: int = 0,
        host: str = "127.0.0.1",
        num_threads: int = 8,
        max_message_bytes: int = protocol.MAX_MESSAGE_BYTES,
    ):
        self._server = grpc.server(
            ThreadPoolExecutor(num_threads, thread_name_prefix="approxbit-call"),
            handlers=[_handler(service)],
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.so_reuseport", 0),  # two servers must never share a port by accident
            ],
            maximum_concurrent_rpcs=MAX_CALLS_IN_FLIGHT,
        )
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise LinkError(f"cannot listen on {host}:{port}: {error}") from error

    def __enter__(self) -> GrpcServer:
        self._server.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    def stop(self, grace_s: float = 1.0) -> None:
        """Take no further calls, let those in flight finish for `grace_s` seconds, and close the port."""
        self._server.stop(grace_s).wait()


def _handler(service: Service) -> grpc.GenericRpcHandler:
    def answer(packet: bytes, context: grpc.ServicerContext) -> bytes:
        return service.answer(packet, context.is_active, context.peer())

    def ping(payload: bytes, context: grpc.ServicerContext) -> bytes:
        if len(payload) > protocol.MAX_PING_BYTES:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"a ping has at most {protocol.MAX_PING_BYTES} bytes, found {len(payload)}",
            )
        return service.ping(payload)

    def probe(payload: bytes, context: grpc.ServicerContext) -> bytes:
        return service.probe(payload)

    methods: dict[str, Callable[..., bytes]] = {
        protocol.ANSWER: answer,
        protocol.PING: ping,
        protocol.PROBE: probe,
    }
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(protocol.SERVICE, handlers)
