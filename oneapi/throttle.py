"""How often one visitor or account may ask: counters in Redis when there is one, else in this process."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter, RateLimiter

from oneapi.config import Config
from oneapi.fanout import TIMEOUT, away

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """A limit: which number of the configuration, in how many seconds."""

    name: str
    setting: str
    seconds: int


MARKS = {
    "api": Mark("GA", "global_api_rate_limit", 180),
    "page": Mark("GW", "global_web_rate_limit", 180),
    "critical": Mark("CT", "critical_rate_limit", 1200),
}
GUESSES = (20, 900)  # wrong passwords on one account, in how many seconds
RETRY_SECONDS = 5.0  # without Redis after it did not answer
ACCOUNT_FACTOR = 10  # people who are signed in get this many times a visitor's number


class Limits:
    """Counters in Redis when there is one; in this process when not, or while Redis is away."""

    def __init__(self, app: Flask, config: Config):
        self.local = Limiter(
            lambda: "", app=app, storage_uri="memory://", strategy="moving-window", headers_enabled=False
        ).limiter  # fmt: skip
        self.uri, self.options = storage_uri(config), storage_options(config)
        self.retry_at = 0.0
        self._shared: RateLimiter | None = None

    def wait(self, amount: int, seconds: int, mark: str, key: str) -> int:
        """Count one more: 0 when that is within the limit, else how many seconds to wait."""
        return self._ask("hit", RateLimitItemPerSecond(amount, seconds), mark, key)

    def together(self, amount: int, seconds: int, mark: str, key: str) -> int | None:
        """Count one more in Redis and return the seconds to wait; None without Redis, or while it does not answer."""
        strategy = self._redis()
        return None if strategy is None else self._asked(strategy, "hit", RateLimitItemPerSecond(amount, seconds), mark, key)

    def full(self, amount: int, seconds: int, mark: str, key: str) -> int:
        """The same without counting."""
        return self._ask("test", RateLimitItemPerSecond(amount, seconds), mark, key)

    def _ask(self, question: str, item: RateLimitItem, mark: str, key: str) -> int:
        found = (self._asked(strategy, question, item, mark, key) for strategy in (self._redis(), self.local) if strategy)
        return next((wait for wait in found if wait is not None), 0)

    def _asked(self, strategy: RateLimiter, question: str, item: RateLimitItem, mark: str, key: str) -> int | None:
        """Return the seconds to wait by one strategy; None when Redis does not answer."""
        try:
            if getattr(strategy, question)(item, "rateLimit", mark, key):
                return 0
            return max(1, math.ceil(strategy.get_window_stats(item, "rateLimit", mark, key).reset_time - time.time()))
        except failures() as error:
            log.warning("rate limits: Redis does not answer (%s), counting in this process", error)
            self.retry_at = time.monotonic() + RETRY_SECONDS  # or every request would wait for it
            return None

    def _redis(self) -> RateLimiter | None:
        """The counters in Redis; None without Redis, and for a while after it did not answer. A cluster is asked when made."""
        if not self.uri or time.monotonic() < self.retry_at:
            return None
        if self._shared is None:
            try:
                self._shared = MovingWindowRateLimiter(storage_from_string(self.uri, **self.options))
            except away() as error:
                log.warning("rate limits: Redis does not answer (%s), counting in this process", type(error).__name__)
                self.retry_at = time.monotonic() + RETRY_SECONDS
        return self._shared


def failures() -> tuple[type[Exception], ...]:
    return (StorageError, *away())


def storage_uri(config: Config) -> str:
    """Where limits are counted together, in the form the limits package reads; "" without Redis."""
    nodes = config.redis_conn_string.strip()
    if not nodes or "://" in nodes:
        return nodes
    if config.redis_master_name:
        return f"redis+sentinel://{nodes}/{config.redis_master_name}"
    return f"redis+cluster://{nodes}" if "," in nodes else f"redis://{nodes}"


def storage_options(config: Config) -> dict[str, Any]:
    """Redis gets a few seconds; the password is that of the servers, not of the sentinels, whose replicas lag behind."""
    patience = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    made: dict[str, Any] = {"wrap_exceptions": True, **patience}
    if "://" in config.redis_conn_string:
        return made
    if config.redis_password:
        made["password"] = config.redis_password  # in an address some kinds of storage would take it without decoding it
    if config.redis_master_name:
        made |= {"use_replicas": False, "sentinel_kwargs": patience | {"password": None}}
    return made
