"""How often one visitor or account may ask: counters in Redis when there is one, else in this process."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItemPerSecond
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
        """0 when one more is within the limit, else how many seconds to wait."""
        item = RateLimitItemPerSecond(amount, seconds)
        for strategy in (self.shared, self.local):
            try:
                if strategy.hit(item, "rateLimit", mark, key):
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
