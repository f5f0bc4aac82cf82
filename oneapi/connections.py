"""The connections of one server: each has a greenlet, or is a stream that the event loop copies and has none meanwhile."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent.pool import Group, Pool
from gevent.pywsgi import WSGIServer

SETTLE_SECONDS = 5.0  # what streams get to settle when they are cut off


class Stream(Protocol):
    def cut(self) -> None:
        """Come back for an early end."""


class Connections(Pool):
    """A pool in which a connection keeps its place when its greenlet ends before it does."""

    def __init__(self, size: int):
        super().__init__(size)
        self.streams: set[Stream] = set()
        self.parting: set[gevent.Greenlet] = set()

    def __len__(self) -> int:
        return len(self.greenlets) + len(self.streams)

    def part(self, stream: Stream) -> None:
        """The current greenlet will end, and its place be the stream's."""
        self.streams.add(stream)
        self.parting.add(gevent.getcurrent())

    def rejoin(self, stream: Stream, work: Callable[[], object]) -> None:
        """A stream needs a greenlet again, which does `work`."""
        self.streams.discard(stream)
        greenlet = self.greenlet_class(work)
        Group.add(self, greenlet)  # not ours: its place was never given up
        greenlet.start()

    def _discard(self, greenlet: gevent.Greenlet) -> None:
        if greenlet in self.parting:
            self.parting.discard(greenlet)
            Group._discard(self, greenlet)
        else:
            super()._discard(greenlet)

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until there are no connections; returns whether there are none."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while len(self) and (deadline is None or time.monotonic() < deadline):
            if self.streams:
                gevent.sleep(0.05)
            else:
                super().join(None if deadline is None else max(0, deadline - time.monotonic()), raise_error)
        return not len(self)

    def kill(self, *args: Any, **options: Any) -> None:
        """End all greenlets, and the streams as if their clients had left."""
        others = set(self.greenlets)
        for stream in list(self.streams):
            stream.cut()
        gevent.joinall(self.greenlets - others, timeout=SETTLE_SECONDS)
        super().kill(*args, **options)


class Server(WSGIServer):
    """Serves a number of connections at once."""

    def __init__(self, *args: Any, spawn: Pool, **options: Any):
        super().__init__(*args, spawn=Connections(spawn.size), **options)

    def cut(self) -> None:
        """End the connections that are left, and charge what their streams have delivered."""
        if len(self.pool):
            self.pool.kill(timeout=1)

    def do_close(self, sock: Any, *args: Any) -> None:
        if gevent.getcurrent() not in self.pool.parting:
            super().do_close(sock, *args)
