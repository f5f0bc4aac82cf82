"""Counter of failures by address: how many in a minute, and how long to wait after too many."""

import math
from collections.abc import Callable

MOST, SECONDS = 60, 60
ADDRESSES = 10_000  # remembered at once


class Guesses:
    """Failures of one process; after ADDRESSES addresses the count begins again."""

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self._counts: dict[str, tuple[float, int]] = {}  # address → (end of its window, failures in it)

    def wait(self, address: str) -> int:
        """Count one failure; return 0 while there are at most MOST in the window, else the seconds until it ends."""
        now = self.clock()
        until, count = self._counts.get(address, (0.0, 0))
        if until <= now:
            if len(self._counts) >= ADDRESSES:
                self._counts.clear()
            until, count = now + SECONDS, 0
        self._counts[address] = (until, count + 1)
        return max(1, math.ceil(until - now)) if count + 1 > MOST else 0
