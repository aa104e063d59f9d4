"""How packets reach a server and answers come back: over gRPC, or inside one process."""

import os
import time
from typing import Any, Callable, Dict, List, Protocol, Tuple

import grpc

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.wire import protocol

PING_TIMEOUT_S = 2.0
PROBE_TIMEOUT_S = 10.0


class Transport(Protocol):
    """Moves bytes to one server and back. All three calls raise `LinkError` when they cannot."""

    def send(self, packet: bytes, timeout_s: float) -> bytes:
        """The server's answer (or refusal) to a packet, as bytes."""

    def ping(self, timeout_s: float = PING_TIMEOUT_S) -> float:
        """Milliseconds that a few bytes take to the server and back."""

    def probe(self, num_bytes: int, timeout_s: float = PROBE_TIMEOUT_S) -> float:
        """Milliseconds until the server has confirmed `num_bytes` bytes, round trip included."""

    def close(self) -> None:
        """Give the connection back."""


class Receiver(Protocol):
    """What a server does with the bytes of the three calls, wherever they come from."""

    def answer(self, packet: bytes) -> bytes:
        """The answer or the refusal of a packet."""

    def ping(self, payload: bytes) -> bytes:
        """The same bytes."""

    def probe(self, payload: bytes) -> bytes:
        """How many bytes there were, as `protocol.pack_count` writes it."""


class _Transport:
    """The three calls, over a function that moves the bytes of one of them."""

    def _call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        raise NotImplementedError

    def send(self, packet: bytes, timeout_s: float) -> bytes:
        """The server's answer (or refusal) to a packet, as bytes.

        Raises:
            LinkTimeoutError: There was no answer within `timeout_s`.
            LinkError: The server could not be reached, broke off, or does not take the packet.
        """
        return self._call(protocol.ANSWER, packet, timeout_s)

    def ping(self, timeout_s: float = PING_TIMEOUT_S) -> float:
        """Milliseconds that a few bytes take to the server and back.

        Raises:
            LinkTimeoutError: There was no echo within `timeout_s`.
            LinkError: The server could not be reached, or sent something else back.
        """
        payload = os.urandom(8)
        start = time.perf_counter()
        echo = self._call(protocol.PING, payload, timeout_s)
        elapsed_ms = 1000 * (time.perf_counter() - start)
        if echo != payload:
            raise LinkError(f"a ping must come back as it was sent, found {len(echo)} other bytes")
        return elapsed_ms

    def probe(self, num_bytes: int, timeout_s: float = PROBE_TIMEOUT_S) -> float:
        """Milliseconds until the server has confirmed `num_bytes` random bytes, round trip included.

        Raises:
            LinkTimeoutError: There was no confirmation within `timeout_s`.
            LinkError: The server could not be reached, or counted other bytes.
        """
        payload = os.urandom(num_bytes)  # random, so that nothing on the way can compress them
        start = time.perf_counter()
        count = protocol.unpack_count(self._call(protocol.PROBE, payload, timeout_s))
        elapsed_ms = 1000 * (time.perf_counter() - start)
        if count != num_bytes:
            raise LinkError(f"a probe of {num_bytes} bytes was confirmed as {count} bytes")
        return elapsed_ms


class GrpcTransport(_Transport):
    """One long-lived gRPC channel to one server. It connects on its first call, and again after a failure.

    Args:
        target: Where the server is, such as `127.0.0.1:50051` or `dns:///server:50051`.
        max_message_bytes: Longest answer that is taken and longest packet that is sent.
    """

    def __init__(self, target: str, max_message_bytes: int = protocol.MAX_MESSAGE_BYTES):
        self.target = target
        self._channel = grpc.insecure_channel(target, options=_channel_options(max_message_bytes))
        self._methods = {
            method: self._channel.unary_unary(protocol.method_path(method))
            for method in (protocol.ANSWER, protocol.PING, protocol.PROBE)
        }

    def __enter__(self) -> "GrpcTransport":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; calls after it raise `LinkError`."""
        self._channel.close()

    def _call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        try:
            reply: bytes = self._methods[method](request, timeout=timeout_s)
            return reply
        except grpc.RpcError as error:
            raise self._link_error(method, error, timeout_s) from error
        except ValueError as error:  # grpc's word for a channel that was closed
            raise LinkError(f"{method} to {self.target}: {error}") from error

    def _link_error(self, method: str, error: Any, timeout_s: float) -> LinkError:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return LinkTimeoutError(f"{method} to {self.target}: nothing within {timeout_s} s")
        return LinkError(f"{method} to {self.target}: {error.code().name}: {error.details()}")


class LocalTransport(_Transport):
    """A server in the same process: for tests, and to try a session without a network.

    Set `is_up` to False to see what a session does when its link breaks.

    Args:
        receiver: What would otherwise listen behind gRPC, such as an `approxbit.server.Service`.
    """

    def __init__(self, receiver: Receiver):
        self.is_up = True
        self._methods: Dict[str, Callable[[bytes], bytes]] = {
            protocol.ANSWER: receiver.answer,
            protocol.PING: receiver.ping,
            protocol.PROBE: receiver.probe,
        }

    def close(self) -> None:
        """Nothing to give back."""

    def _call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        if not self.is_up:
            raise LinkError(f"{method}: the local link is down, set is_up to True to mend it")
        return self._methods[method](request)


def _channel_options(max_message_bytes: int) -> List[Tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.use_local_subchannel_pool", 1),  # each transport has its own connection
        ("grpc.enable_http_proxy", 0),  # the proxy of a web browser is no way to an inference server
        # The defaults, a second that grows to two minutes, would prolong every outage. grpc's third figure,
        # min_reconnect_backoff_ms, must stay at its 20 s: it is how long one attempt to connect may take.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
