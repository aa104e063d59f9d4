"""`python -m approxbit.video.cameras`: the process of one camera.

Its first order, a line of JSON on standard input, says which one; it ends with its standard input.
"""

from __future__ import annotations

import os
from queue import Queue
from typing import Any

from approxbit.errors import LinkError
from approxbit.files import from_json
from approxbit.processes import follow_parent
from approxbit.video.cameras.capture import capture
from approxbit.video.cameras.protocol import Settings


def main() -> None:
    """Follow the camera of the first order until the parent is gone."""
    orders: Queue[dict[str, Any]] = Queue()
    # A driver may hold the main thread for ever, so that nothing but this ends it.
    follow_parent(orders.put, at_end=lambda: os._exit(0))
    capture(from_json(Settings, orders.get(), "the first order", LinkError))


if __name__ == "__main__":
    main()
