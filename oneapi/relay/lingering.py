"""Reads on in a stream whose client has left, for the usage that the provider reports at its end."""

from collections.abc import Callable, Iterable

import gevent
from gevent.lock import BoundedSemaphore

from oneapi.relay.transport import ClientLeft
from oneapi.wire import VendorError

SECONDS = 5.0  # a reader gives up after
READERS = 8  # of one worker at once

_free = BoundedSemaphore(READERS)


def read_on(pieces: Iterable[object], over: Callable[[], bool]) -> None:
    """Read until `over`, the end of the stream or SECONDS have passed; return at once when READERS streams are read already."""
    if not _free.acquire(blocking=False):
        return
    try:
        with gevent.Timeout(SECONDS, False):
            for _ in pieces:
                if over():
                    return
    except (VendorError, ClientLeft, OSError):
        pass  # what was reported until then is what there is
    finally:
        _free.release()
