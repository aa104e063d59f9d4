"""What runs on the device: the arms, the session, and its way to the server."""

from approxbit.edge.answer import EdgeAnswer, Outcome, Parts
from approxbit.edge.meter import LinkMeter, ProbePolicy, Probing
from approxbit.edge.session import EdgeSession, SessionPolicy
from approxbit.edge.transport import GrpcTransport, LocalTransport, Transport
from approxbit.edge.watch import LinkWatch

__all__ = [
    "EdgeAnswer",
    "EdgeSession",
    "GrpcTransport",
    "LinkMeter",
    "LinkWatch",
    "LocalTransport",
    "Outcome",
    "Parts",
    "ProbePolicy",
    "Probing",
    "SessionPolicy",
    "Transport",
]
