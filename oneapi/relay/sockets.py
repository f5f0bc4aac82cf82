"""The few socket operations that server, transport and pump share, and one sweep that enforces every deadline."""

import ssl
from collections import deque
from contextlib import suppress
from math import inf
from socket import IPPROTO_TCP, MSG_DONTWAIT, MSG_PEEK, SHUT_RDWR, TCP_NODELAY
from time import monotonic
from typing import Any

from gevent.ssl import SSLSocket

# Everything is read into this one buffer and copied out before anything else can run, so that a connection that waits
# holds no buffer of its own.
BUFFER = bytearray(256 * 1024)
VIEW = memoryview(BUFFER)
AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
PIECE = 1 << 20  # bytes of a long piece that are sent at a time
TICK = 0.25  # seconds between two sweeps, and so the resolution of all time-outs


class Link:
    """One TCP (or TLS) connection on a gevent socket.

    Whoever waits on it sets `deadline`. The sweep shuts a link down that is past it, which wakes the waiter with an end of
    file, and `fate` tells why: "timeout", or "client_left" when `client`, the link that this one works for, is gone.
    """

    __slots__ = ("sock", "raw", "read_into", "send_some", "deadline", "fate", "client", "patience", "home", "since", "tls")

    def __init__(self, sock: Any):
        self.sock, self.raw = sock, sock._sock
        self.tls = isinstance(sock, SSLSocket)
        if self.tls:
            self.read_into, self.send_some = _tls_reader(sock._sslobj), sock._sslobj.write
        else:
            self.read_into, self.send_some = self.raw.recv_into, self.raw.send
        self.deadline = inf
        self.patience = 120.0  # seconds that a peer may take to accept more bytes
        self.fate = ""
        self.client: Link | None = None
        self.home: deque[Link] | None = None  # the pool it rests in
        self.since = 0.0  # when it came to rest
        sweep_of(sock.hub).add(self)

    def receive(self) -> bytes:
        """Wait, then read what has come; b"" is the end. Waiting first saves a recv that fails for nearly every message."""
        sock = self.sock
        event, wait = sock._read_event, sock.hub.wait  # not sock._wait: we set no time-out on sockets
        while True:
            wait(event)
            try:
                size = self.read_into(BUFFER)
            except ssl.SSLWantWriteError:
                event = sock._write_event
            except AGAIN:
                event = sock._read_event
            else:
                return bytes(VIEW[:size])

    def push(self, data: bytes | memoryview) -> None:
        """Send everything: at once as a rule, and the rest as the peer takes it."""
        try:
            sent = self.send_some(data)
        except AGAIN:
            sent = 0
        if sent != len(data):
            self._push_rest(memoryview(data)[sent:])

    def push_each(self, pieces: list[bytes | bytearray]) -> None:
        """Send pieces one after the other, and others have their turn within a long one."""
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(piece), PIECE):
                self.push(view[start : start + PIECE])

    def _push_rest(self, rest: memoryview) -> None:
        sock, before = self.sock, self.deadline
        event = sock._write_event
        while rest:
            self.deadline = min(before, monotonic() + self.patience)
            sock._wait(event)
            event = sock._write_event
            try:
                rest = rest[self.send_some(rest) :]
            except ssl.SSLWantReadError:
                event = sock._read_event
            except AGAIN:
                continue
        self.deadline = before

    def left(self) -> bool:
        """Whether the other side is gone, asked without waiting; bytes that nobody has read yet count as being there."""
        try:
            return not self.raw.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def silent(self) -> bool:
        """Whether the other side neither left nor sent a byte: what a resting connection has to be to be used again."""
        try:
            self.raw.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def expire(self, fate: str) -> None:
        """Give up on it: whoever waits for it wakes up with an end of file."""
        self.fate = fate
        if self.home is not None:
            self.home.remove(self)
            self.home = None
            self.close()
            return
        self.deadline, self.client = inf, None
        with suppress(OSError):  # closed by the other side already
            self.raw.shutdown(SHUT_RDWR)

    def close(self) -> None:
        sweep_of(self.sock.hub).links.discard(self)
        self.sock.close()


def _tls_reader(channel: Any) -> Any:
    def read_into(buffer: bytearray) -> int:
        try:
            return channel.read(len(buffer), buffer)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # many servers end TLS without saying so
            return 0

    return read_into


class Sweep:
    """All open links of one hub. One timer for all costs nothing per message, where a timer each would cost 2 µs."""

    def __init__(self, hub: Any):
        self.links: set[Link] = set()
        self.timer = hub.loop.timer(TICK, TICK, ref=False)
        self.running = False

    def add(self, link: Link) -> None:
        self.links.add(link)
        if not self.running:
            self.running = True
            self.timer.start(self.tick)

    def tick(self) -> None:
        if not self.links:
            self.running = False
            self.timer.stop()
            return
        now = monotonic()
        late = [link for link in self.links if link.deadline < now or link.client is not None]
        for link in late:
            if link.deadline < now:
                link.expire("timeout")
            elif link.client is not None and link.client.left():
                link.expire("client_left")


_SWEEPS: dict[Any, Sweep] = {}


def sweep_of(hub: Any) -> Sweep:
    """The sweep of a hub, which is the sweep of a thread."""
    sweep = _SWEEPS.get(hub)
    if sweep is None:
        for gone in [other for other in _SWEEPS if other.dead]:  # threads end, above all in tests
            del _SWEEPS[gone]
        sweep = _SWEEPS[hub] = Sweep(hub)
    return sweep


def no_delay(sock: Any) -> None:
    """Small writes leave at once; otherwise each waits for the other side's delayed acknowledgement, 40 ms."""
    with suppress(OSError):  # a Unix socket has no such option
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
