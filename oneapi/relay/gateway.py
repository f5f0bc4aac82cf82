"""What the relay of one process works with: state, money, health, limits, secrets and the way to vendors."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from gevent.lock import BoundedSemaphore

from oneapi.catalog import limits
from oneapi.relay import pricing
from oneapi.relay.clocks import Clocks
from oneapi.relay.guesses import Guesses
from oneapi.relay.health import Health
from oneapi.relay.ledger import Ledger
from oneapi.relay.limits import Board, Limiter
from oneapi.relay.limits_redis import RedisLimits
from oneapi.relay.media import Downloads
from oneapi.relay.meter import Tariff
from oneapi.relay.secrets import Secrets
from oneapi.relay.transport import Proxies, Route, Timeouts
from oneapi.state import Lane, State


class Gateway:
    """One per process; made by entry.mount."""

    def __init__(self, state: State, chance: Callable[[], float] = random.random):
        self.state, self.chance = state, chance
        self.secret = b""  # the installation's own, of which keys are made
        self.ledger = Ledger(state)
        self.failures = self.ledger.failures
        self.health = Health(state)
        self.secrets = Secrets()
        self.clocks = Clocks(lambda: state.clock())
        self.downloads = Downloads(state)
        self.wrong_keys = Guesses(lambda: state.clock())
        self.answered: Counter[tuple[str, int]] = Counter()  # (kind of call, status) → how many, for /metrics
        self._board: Limiter | None = None
        self._opening = BoundedSemaphore()
        state.listeners.append(lambda topic: self.secrets.clear() if topic == "channels" else None)
        config = state.config
        total = config.relay_timeout or None
        self._patient = Timeouts(config.connect_timeout, config.first_byte_timeout, config.idle_timeout)
        self._bounded = Timeouts(config.connect_timeout, config.first_byte_timeout, config.idle_timeout, total)
        self._proxies = Proxies(config.http_proxy, config.https_proxy, config.no_proxy)
        self._any_proxy = bool(config.relay_proxy or config.http_proxy or config.https_proxy)
        self._direct = {
            (streaming, private): Route("", self.timeouts(streaming), private=private)
            for streaming in (True, False)
            for private in (True, False)
        }

    @property
    def board(self) -> Limiter:
        """Counters of the limits: in Redis for all hosts when it is configured, else for this host. Made at the first use."""
        if self._board is None:
            with self._opening:  # many ask for it at once, and it takes a moment
                self._board = self._board or self._counter()
        return self._board

    def _counter(self) -> Limiter:
        config = self.state.config
        local = Board(config.instance_path)
        return RedisLimits(config, local) if config.redis_conn_string.strip() else local

    def timeouts(self, streaming: bool) -> Timeouts:
        """RELAY_TIMEOUT bounds whole answers; a stream lives as long as it moves."""
        return self._patient if streaming else self._bounded

    def route(self, lane: Lane, url: str, streaming: bool) -> Route:
        """How a lane's vendor is reached: its own proxy, RELAY_PROXY, or what the environment says for the address."""
        private = self.state.settings.private_networks_enabled
        if not (lane.proxy or self._any_proxy):
            return self._direct[streaming, private]
        proxy = lane.proxy or self.state.config.relay_proxy or self._proxies.proxy_for(url)
        if not proxy:
            return self._direct[streaming, private]
        # A proxy of the environment is the operator's own, one of a channel is subject to the setting.
        return Route(proxy, self.timeouts(streaming), private=private, private_proxy=private or not lane.proxy)

    def tariff(self, model: str, asked: str, lane: Lane, group: str) -> Tariff:
        """Return what a model costs a group on a channel; raises Refused when it has no price and the settings refuse it."""
        key = (model, asked, lane.type, lane.self_hosted, group)  # a model without a price of its own has that of its asked name
        known = self.state.prices.get(key)
        if known is None:
            ratio = self.state.settings.group_ratio.get(group, 1.0)
            found = pricing.find(model, asked, lane.type, lane.self_hosted, self.state.settings)
            if found is None:
                raise pricing.missing(asked)
            fees = pricing.fees_of(model, asked, lane.type, lane.self_hosted, self.state.settings)
            most = limits.answer_tokens(model)
            known = self.state.prices[key] = Tariff(found.price, ratio, model, found.unpriced, fees, most)
        price = known.price
        return replace(known, price=price.on(self.state.clock())) if price.later or price.daily else known
