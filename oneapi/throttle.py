"""How often one visitor or account may ask: counters in Redis when there is one, else in this process."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from oneapi.config import Config

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
ACCOUNT_FACTOR = 10  # people who are signed in get this many times a visitor's number


class Limits:
    """Counters in Redis when there is one; in this process when not, or while Redis is away."""

    def __init__(self, app: Flask, config: Config):
        options: dict[str, Any] = {"wrap_exceptions": True} if config.redis_conn_string else {}
        limiter = Limiter(
            lambda: "",
            app=app,
            storage_uri=storage_uri(config),
            storage_options=options,
            strategy="moving-window",
            headers_enabled=False,
        )
        self.shared = limiter.limiter
        self.local = MovingWindowRateLimiter(MemoryStorage())

    def wait(self, amount: int, seconds: int, mark: str, key: str) -> int:
        """Count one more: 0 when that is within the limit, else how many seconds to wait."""
        return self._ask("hit", RateLimitItemPerSecond(amount, seconds), mark, key)

    def full(self, amount: int, seconds: int, mark: str, key: str) -> int:
        """The same without counting."""
        return self._ask("test", RateLimitItemPerSecond(amount, seconds), mark, key)

    def _ask(self, question: str, item: RateLimitItem, mark: str, key: str) -> int:
        for strategy in (self.shared, self.local):
            try:
                if getattr(strategy, question)(item, "rateLimit", mark, key):
                    return 0
                return max(1, math.ceil(strategy.get_window_stats(item, "rateLimit", mark, key).reset_time - time.time()))
            except StorageError:
                log.warning("rate limits: Redis does not answer, counting in this process")
        return 0


def storage_uri(config: Config) -> str:
    """Where limits are counted, in the form the limits package reads."""
    nodes = config.redis_conn_string
    password = f":{quote(config.redis_password, safe='')}@" if config.redis_password else ""
    if not nodes:
        return "memory://"
    if config.redis_master_name:
        return f"redis+sentinel://{password}{nodes}/{config.redis_master_name}"
    return nodes if "://" in nodes else f"redis+cluster://{password}{nodes}"
