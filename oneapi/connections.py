"""The connections of one server: each has a greenlet, or is a stream that the event loop copies and has none meanwhile."""

import errno
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RD
from typing import Any, Protocol

import gevent
from gevent.pool import Group, Pool
from gevent.pywsgi import WSGIServer

from oneapi.caps import Address, Addresses, Caps, Idle
from oneapi.lifecycle import begin_draining

log = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0  # what streams get to settle when they are cut off
PAUSE_SECONDS = 0.1  # without accepting, after the system had no descriptor or memory for a connection
QUIET_SECONDS = 60.0  # between two log lines about limits
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SAID = "Your address has too many connections open. Close idle ones, or send fewer requests at once."
_BODY = f'{{"error":{{"message":"{_SAID}","type":"requests","param":null,"code":"too_many_connections"}}}}'
_HEAD = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
TOO_MANY = f"{_HEAD}Content-Length: {len(_BODY)}\r\n\r\n{_BODY}".encode()


class Stream(Protocol):
    address: Address

    def cut(self) -> None:
        """Come back for an early end."""


class Connection(gevent.Greenlet):
    """Greenlet of one connection of `address`."""

    address: Address | None = None


class Connections(Pool):
    """A pool in which a connection keeps its place when its greenlet ends before it does.

    When no place is free, the connection that has rested longest gives up its own. The work for a connection does not
    depend on how many there are.
    """

    greenlet_class = Connection

    def __init__(self, size: int, caps: Caps | None = None):
        super().__init__(size)
        self.streams: set[Stream] = set()
        self.parting: set[gevent.Greenlet] = set()
        self.addresses = Addresses(self, caps or Caps(), size)
        self.blocked = False  # the server stopped accepting because every connection was busy
        self.unblocked: Callable[[], None] = lambda: None

    def full(self) -> bool:
        """Make a place if none is free; return True when all connections are busy."""
        addresses = self.addresses
        self.blocked = not (self._semaphore.counter or self.evict(addresses.public) or self.evict(addresses.trusted))
        return self.blocked

    def unblock(self) -> None:
        """Accept again: a connection has come to rest."""
        self.blocked = False
        self.unblocked()

    def admit(self, peer: object) -> Address | None:
        """Make a place for a connection and count it; return None where its address or the server has none left."""
        address = self.addresses.of(peer)
        address.open += 1
        room = address.open <= address.most or self.evict(address.idle) or not address.firm
        if room and not self.full():
            return address
        self.addresses.left(address)
        return None

    def evict(self, idle: Idle) -> bool:
        """Close the connection that has rested longest, and take its place at once; return False when none rests."""
        while idle:
            handler, greenlet = next(iter(idle.items()))
            handler.address.resume(handler)
            if handler.link.silent():  # otherwise its request has arrived, and only its greenlet has not run yet
                self.parting.add(greenlet)
                self.release(handler.address)
                handler.link.expire("evicted")
                return True
        return False

    def release(self, address: Address | None) -> None:
        """Give a place back."""
        self._semaphore.release()
        if address is not None:
            self.addresses.left(address)

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
        greenlet.address = stream.address
        Group.add(self, greenlet)  # not ours: its place was never given up
        greenlet.start()

    def _discard(self, greenlet: gevent.Greenlet) -> None:
        Group._discard(self, greenlet)
        if greenlet in self.parting:
            self.parting.discard(greenlet)
        else:
            self.release(greenlet.address)

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

    caps = Caps()
    handshake_seconds = 10.0  # of TLS
    _quiet_until = 0.0

    def __init__(self, *args: Any, spawn: Pool, **options: Any):
        pool = Connections(self.caps.total(spawn.size), self.caps)
        pool.unblocked = self._start_accepting_if_started
        super().__init__(*args, spawn=pool, **options)

    def do_read(self) -> Any:
        try:
            return super().do_read()
        except OSError as error:
            if error.errno == errno.ECONNABORTED:
                return None
            if error.errno not in SCARCE:
                raise
            self._warn("event=accept_failed error=%s connections=%d", errno.errorcode[error.errno], len(self.pool))
            addresses = self.pool.addresses
            _ = self.pool.evict(addresses.public) or self.pool.evict(addresses.trusted)
            self.stop_accepting()
            self._timer = self.loop.timer(PAUSE_SECONDS)
            self._timer.start(self._start_accepting_if_started)
            return None

    def do_handle(self, sock: Any, peer: Any) -> None:
        address = self.pool.admit(peer)
        if address is None:
            self._refuse(sock, peer)
            return
        greenlet = self.pool.spawn(self._talk, self._handle, sock, peer)
        greenlet.address = address

    def _talk(self, handle: Callable[[Any, Any], object], sock: Any, peer: Any) -> None:
        try:
            handle(sock, peer)
        finally:
            self.do_close(sock)

    def _refuse(self, sock: Any, peer: Any) -> None:
        """Say why in the event loop, without waiting."""
        self._warn("event=connection_refused peer=%s connections=%d", peer[0] if isinstance(peer, tuple) else "", len(self.pool))
        with suppress(OSError):
            sock._sock.send(TOO_MANY if self.ssl_args is None else b"")
            sock._sock.recv(65536)  # closing with unread bytes would take the answer back
        sock.close()

    def _warn(self, text: str, *values: object) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.warning(text, *values)

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        tls = self.wrap_socket(client_socket, **{**self.ssl_args, "do_handshake_on_connect": False})
        done = False
        with gevent.Timeout(self.handshake_seconds, False), suppress(OSError):
            tls.do_handshake()
            done = True
        if done:
            self._talk(self.handle, tls, address)
        else:
            tls.close()

    def drain(self) -> None:
        """End the idle connections; the others end with their request."""
        begin_draining()
        for handler in self.pool.addresses.all_idle() if self.pool is not None else ():
            with suppress(OSError):
                handler.link.raw.shutdown(SHUT_RD)

    def cut(self) -> None:
        """End the connections that are left, and charge what their streams have delivered."""
        if len(self.pool):
            self.pool.kill(timeout=1)

    def do_close(self, sock: Any, *args: Any) -> None:
        if gevent.getcurrent() not in self.pool.parting:
            super().do_close(sock, *args)
