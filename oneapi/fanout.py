"""Carries changes between processes: through Redis at once when there is Redis, and by asking the database every second."""

import logging
from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event

from oneapi.config import Config
from oneapi.db import TROUBLE
from oneapi.state import REFRESH_SECONDS, State

log = logging.getLogger(__name__)

TOPIC = "oneapi:changed"
RETRY_SECONDS = 1.0
TIMEOUT = 3.0
STOP_SECONDS = 1.0


def away() -> tuple[type[Exception], ...]:
    """Whatever says that Redis cannot be asked just now. Loaded where it is used: it is 6 MB."""
    from redis.exceptions import RedisClusterException, RedisError

    return (RedisError, RedisClusterException, OSError)


_running: list["Fanout"] = []


def start(state: State) -> None:
    """Begin in this process; after a fork, never before."""
    stop()
    _running.append(Fanout(state))


def stop() -> None:
    while _running:
        _running.pop().stop()


def client(config: Config, **more: Any) -> Any:
    """A Redis client for any form of REDIS_CONN_STRING, or None without one. It connects when it is used."""
    where = config.redis_conn_string.strip()
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **more}
    if not where:
        return None
    from redis import Redis
    from redis.cluster import ClusterNode, RedisCluster
    from redis.sentinel import Sentinel

    if "://" in where:
        return Redis.from_url(where, **options)
    nodes = [_place(part) for part in where.split(",") if part.strip()]
    if config.redis_password:
        options["password"] = config.redis_password
    if config.redis_master_name:
        guards = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        return Sentinel(nodes, sentinel_kwargs=guards).master_for(config.redis_master_name, **options)
    if len(nodes) > 1:
        return RedisCluster(startup_nodes=[ClusterNode(*node) for node in nodes], **options)
    return Redis(*nodes[0], **options)


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else (text.strip(), 6379)


def tell(config: Config) -> None:
    """Tell every process that something changed, from a process that does not listen itself."""
    try:
        if (connection := client(config)) is not None:
            connection.publish(TOPIC, "1")
    except away() as error:
        log.warning("Redis did not take a change (%s); the others see it within two seconds", type(error).__name__)


def health(config: Config) -> str:
    """How Redis is, in a word or two."""
    try:
        connection = client(config)
        return "not used" if connection is None else "answers" if connection.ping() else "does not answer"
    except away() as error:
        return f"does not answer: {type(error).__name__}"


class Fanout:
    """The greenlets of one process that keep its State fresh."""

    def __init__(self, state: State):
        self.state, self.listening = state, False
        self._client: Any = None
        self._ending = Event()
        self._greenlets = [gevent.spawn(self._poll)]
        if state.config.redis_conn_string:
            state.publish = self._publish
            self._greenlets.append(gevent.spawn(self._listen))

    def stop(self) -> None:
        """Let a question to the database be answered first: killed in the middle of it, a driver's own error can take the
        place of the kill, and whoever waits for the end waits for ever."""
        self.state.publish = lambda: None
        self._ending.set()
        gevent.joinall(self._greenlets, timeout=STOP_SECONDS)
        gevent.killall(self._greenlets, timeout=STOP_SECONDS)

    def _poll(self) -> None:
        while not self._ending.wait(REFRESH_SECONDS):  # also while Redis tells us: who changed something may not reach it
            self._refresh()

    def _refresh(self) -> None:
        try:
            self.state.refresh()
        except TROUBLE as error:
            log.warning("changes cannot be read from the database: %s", type(error).__name__)

    def _connection(self) -> Any:
        if self._client is None:
            self._client = client(self.state.config)
        return self._client

    def _publish(self) -> None:
        """Tell the others, without making the one who changed something wait for Redis."""
        Greenlet.spawn(self._tell)

    def _tell(self) -> None:
        try:
            self._connection().publish(TOPIC, "1")
        except away() as error:
            log.warning("Redis did not take a change (%s); other processes see it within two seconds", type(error).__name__)

    def _listen(self) -> None:
        told = False
        while not self._ending.is_set():
            try:
                self._receive()
                told = False
            except away() as error:
                if not told:
                    log.warning("Redis is away (%s); changes are read from the database every second", type(error).__name__)
                    told = True
            finally:
                self.listening = False
            self._ending.wait(RETRY_SECONDS)

    def _receive(self) -> None:
        """Refresh at every message until the connection ends."""
        with self._connection().pubsub(ignore_subscribe_messages=False) as subscription:
            subscription.subscribe(TOPIC)
            asked = False
            while not self._ending.is_set():
                message = subscription.get_message(timeout=TIMEOUT)
                if message is None and asked:
                    raise ConnectionError("no answer to a ping")
                asked = message is None
                if message is None:
                    subscription.ping()  # a silent connection may be a dead one
                elif message["type"] in ("subscribe", "message"):
                    self.listening = True
                    self._refresh()  # after subscribing, for what happened while nobody listened
