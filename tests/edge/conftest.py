"""Sessions of what each test file thinks up; whatever they open is closed at the end of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from approxbit.edge import EdgeSession, ProbePolicy, SessionPolicy, Transport


@pytest.fixture
def patient() -> SessionPolicy:
    """Waits for a slow machine, is soon back on the link, and hardly ever probes it."""
    return SessionPolicy(
        timeout_s=60, first_retry_s=0.02, longest_retry_s=0.1, probes=ProbePolicy(timeout_s=60, every_s=3600)
    )


@pytest.fixture
def make_session(
    make_arguments: Callable[[], dict[str, Any]], patient: SessionPolicy
) -> Iterator[Callable[..., EdgeSession]]:
    """Sessions with the test file's own `make_arguments` for all that a test does not name."""
    sessions = []

    def make(transport: Transport, **changes: Any) -> EdgeSession:
        arguments = {"policy": patient, **make_arguments(), **changes}
        sessions.append(EdgeSession(transport=transport, **arguments))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()
