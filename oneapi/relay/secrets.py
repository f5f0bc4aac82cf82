"""Short-lived tokens that vendors give for a key: fetched once however many wait, renewed before they expire."""

import time
from collections.abc import Callable

from gevent.lock import BoundedSemaphore

from oneapi.relay.clocks import dated
from oneapi.vendors import guarded_exchange
from oneapi.vendors.contract import Exchange
from oneapi.wire import Call, Reply, Request

MARGIN = 60.0  # seconds before its end at which a token is no longer given out


class Secrets:
    """Tokens by channel and key."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[int, str], tuple[str, float]] = {}
        self._flights: dict[tuple[int, str], BoundedSemaphore] = {}

    def get(self, channel: int, call: Call, exchange: Exchange, send: Callable[[Request], Reply]) -> str:
        """A token that is valid now; raises VendorError when the vendor gives none."""
        at = (channel, call.key)
        token = self._valid(at)
        if token:
            return token
        with self._flights.setdefault(at, BoundedSemaphore()):
            token = self._valid(at)
            if token:
                return token
            reply = send(exchange.build(call))
            with dated(reply.headers):
                token, lifetime = guarded_exchange(exchange, reply, call)
            self._tokens[at] = (token, time.monotonic() + max(lifetime - MARGIN, lifetime / 2))
            return token

    def forget(self, channel: int, key: str) -> bool:
        """A token that the vendor refused is never given out again; False when there was none."""
        return self._tokens.pop((channel, key), None) is not None

    def clear(self) -> None:
        """Channels changed, and with them perhaps a credential."""
        self._tokens.clear()

    def _valid(self, at: tuple[int, str]) -> str:
        token, until = self._tokens.get(at, ("", 0.0))
        return token if time.monotonic() < until else ""
