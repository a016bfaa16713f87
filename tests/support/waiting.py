"""Wait for something that another thread or process does, and never longer than so many seconds."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], seconds: float = 240) -> None:
    """Return once this holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
