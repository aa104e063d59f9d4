"""What answers: packets in, answers or refusals out."""

from approxbit.server.grpc_server import GrpcServer
from approxbit.server.process import ServerProcess
from approxbit.server.service import Service

__all__ = ["GrpcServer", "ServerProcess", "Service"]
