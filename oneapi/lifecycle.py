"""When this process ends: whether it is draining, and what is to be called at the end."""

import gc
import traceback
from collections.abc import Callable

EXIT_SECONDS = 15  # what a process needs after its grace period: streams are cut and charged, leases and jobs given back

_callbacks: list[Callable[[], None]] = []


_draining = False


def draining() -> bool:
    """Whether this process has been told to stop: /readyz says so, and answers end their connections."""
    return _draining


def settle_memory() -> None:
    """Called when everything that lives for ever is there: the collector need not look at it again.

    What requests leave behind is nearly always gone without its help; at Python's own pace it would take a twentieth of the
    time of a busy process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def at_exit(callback: Callable[[], None]) -> Callable[[], None]:
    """Have it called once, when the last request of this process has been served; the last registered goes first."""
    _callbacks.append(callback)
    return callback


def run_exit_callbacks() -> None:
    while _callbacks:
        try:
            _callbacks.pop()()
        except Exception:  # the process ends: the others must run all the same
            traceback.print_exc()


def begin_draining() -> None:
    """No connection waits for another request from now on; requests that were begun are finished."""
    global _draining
    _draining = True
