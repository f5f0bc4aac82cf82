"""Carries changes between processes: through Redis at once when there is Redis, and by asking the database every second."""

import logging
from typing import Any
from urllib.parse import unquote, urlsplit

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
        return Redis.from_url(_known(where), **options)
    nodes = [_place(part) for part in where.split(",") if part.strip()]
    if config.redis_password:
        options["password"] = config.redis_password
    if config.redis_master_name:
        guards = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        return Sentinel(nodes, sentinel_kwargs=guards).master_for(config.redis_master_name, **options)
    if len(nodes) > 1:
        return RedisCluster(startup_nodes=[ClusterNode(*node) for node in nodes], **options)
    return Redis(*nodes[0], **options)


# Parameters of a Redis address that redis-py takes; those of other drivers, such as dial_timeout of Go's, would be errors.
KNOWN = {
    "db", "username", "password", "protocol", "client_name", "max_connections", "timeout", "socket_timeout",
    "socket_connect_timeout", "socket_keepalive", "retry_on_timeout", "health_check_interval", "ssl_check_hostname",
    "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password",
}  # fmt: skip


def _known(where: str) -> str:
    address, mark, query = where.partition("?")
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] in KNOWN)
    return address + (mark + kept if kept else "")


def why(error: Exception, config: Config) -> str:
    """Return the kind of an error and Redis' own words, without the passwords of the configuration."""
    words = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    where = config.redis_conn_string
    secrets = {config.redis_password, (urlsplit(where).password or "") if "://" in where else ""}
    for secret in secrets | {unquote(secret) for secret in secrets}:
        words = words.replace(secret, "***") if secret else words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else (text.strip(), 6379)


def tell(config: Config) -> None:
    """Tell every process that something changed, from a process that does not listen itself."""
    try:
        if (connection := client(config)) is not None:
            connection.publish(TOPIC, "1")
    except away() as error:
        log.warning("Redis did not take a change (%s); the others see it within two seconds", why(error, config))


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
            words = why(error, self.state.config)
            log.warning("Redis did not take a change (%s); other processes see it within two seconds", words)

    def _listen(self) -> None:
        told = False
        while not self._ending.is_set():
            try:
                self._receive()
                told = False
            except away() as error:
                if not told:
                    words = why(error, self.state.config)
                    log.warning("Redis is away (%s); changes are read from the database every second", words)
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
