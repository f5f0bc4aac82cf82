"""Limits on the connections of clients: how many one address may hold, and which idle one is closed first."""

import resource
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gevent import getcurrent

from oneapi import proxies

FEWEST = 16  # connections that are served however low the limit of open files is
Idle = OrderedDict[Any, Any]  # handler → its greenlet, the longest-resting first


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of one process."""

    address: int = 1000  # connections of one address; 0 is no limit
    trusted: tuple[proxies.Network, ...] = ()  # proxies, which hold the connections of everybody
    reserved: int = 168  # descriptors for files, the database and Redis

    def total(self, wanted: int) -> int:
        """Return how many clients can be served at once: each may need a second descriptor for its provider."""
        return min(wanted, max(FEWEST, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - self.reserved) // 2))


class Address:
    """Connections of one address.

    `most` is their limit. Beyond it idle connections are closed; a `firm` address gets no further one when all are busy.
    """

    __slots__ = ("name", "most", "firm", "open", "idle", "everybody", "pool")

    def __init__(self, pool: Any, everybody: Idle, name: str = "", most: float = float("inf"), *, firm: bool = False):
        self.pool, self.everybody, self.name, self.most, self.firm = pool, everybody, name, most, firm
        self.open = 0
        self.idle: Idle = OrderedDict()

    def rest(self, handler: Any) -> None:
        """Note that a connection waits for a request, and may be closed for another one."""
        self.idle[handler] = self.everybody[handler] = getcurrent()
        if self.open > self.most:  # those that came at once were let in before one of them could rest
            self.pool.evict(self.idle)
        elif self.pool is not None and self.pool.blocked:
            self.pool.unblock()

    def resume(self, handler: Any) -> None:
        """Note that a connection is busy, or has ended."""
        if self.idle.pop(handler, None) is not None:
            del self.everybody[handler]


class Addresses:
    """Addresses that hold connections now."""

    def __init__(self, pool: Any, caps: Caps, total: int):
        self.pool = pool
        self.most = min(caps.address, max(1, total // 2)) if caps.address else float("inf")
        self.public: Idle = OrderedDict()
        self.trusted: Idle = OrderedDict()
        self.proxies = Address(pool, self.trusted)
        self.known: dict[str, Address] = {}
        self._counted_as = lru_cache(4096)(lambda ip: _counted_as(ip, caps.trusted))

    def of(self, peer: object) -> Address:
        """Return the entry of a socket's peer. Trusted proxies and Unix sockets share one without a limit."""
        name, private = self._counted_as(str(peer[0])) if isinstance(peer, tuple) else ("", False)
        if not name:
            return self.proxies
        found = self.known.get(name)
        if found is None:
            # A private address may be a proxy that nobody has named: none of its requests is refused.
            found = self.known[name] = Address(self.pool, self.public, name, self.most, firm=not private)
        return found

    def left(self, address: Address) -> None:
        """Note that a connection has given its place back."""
        address.open -= 1
        if not address.open and address.name:
            del self.known[address.name]

    def all_idle(self) -> list[Any]:
        """Return the handlers of all idle connections."""
        return [*self.public, *self.trusted]


def _counted_as(ip: str, trusted: tuple[proxies.Network, ...]) -> tuple[str, bool]:
    """Return what an address is counted as, "" for a trusted proxy, and whether it belongs to a private network."""
    if proxies.is_trusted(ip, trusted):
        return "", False
    return proxies.neighbourhood(ip), proxies.is_private(ip)
