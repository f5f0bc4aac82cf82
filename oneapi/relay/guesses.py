"""Counter of failures by address: how many in a minute, and how long to wait after too many. In Redis when there is one."""

import math
from collections.abc import Callable

MOST, SECONDS = 60, 60
MARK = "WK"  # in the names of the counters in Redis
ADDRESSES = 10_000  # remembered at once


Together = Callable[[int, int, str, str], int | None]


class Guesses:
    """Failures of one process; after ADDRESSES addresses the count begins again.

    `together` counts those of all processes: it gets MOST, SECONDS, a mark and the address, and returns the seconds to wait, or
    None where this process must count.
    """

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self.together: Together = lambda most, seconds, mark, address: None
        self._counts: dict[str, tuple[float, int]] = {}  # address → (end of its window, failures in it)

    def wait(self, address: str) -> int:
        """Count one failure; return 0 while there are at most MOST in the window, else the seconds until it ends."""
        if (shared := self.together(MOST, SECONDS, MARK, address)) is not None:
            return shared
        now = self.clock()
        until, count = self._counts.get(address, (0.0, 0))
        if until <= now:
            if len(self._counts) >= ADDRESSES:
                self._counts.clear()
            until, count = now + SECONDS, 0
        self._counts[address] = (until, count + 1)
        return max(1, math.ceil(until - now)) if count + 1 > MOST else 0
