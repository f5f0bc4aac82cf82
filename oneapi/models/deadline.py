"""Deadlines of databases on a network: a server that hangs, or vanishes without closing its connections, holds nobody up.

SQLite has none: it waits for locks as long as SQLITE_BUSY_TIMEOUT says, and its statements run in threads.
"""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import gevent
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import URL

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
PROBE_SECONDS = 1.5  # for a health check
CLEANUP_SECONDS = 2.0  # what a transaction gets to roll back after its deadline
SILENT_SECONDS = 10.0  # how long nobody asks a server that did not answer, unless a probe succeeds
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
LIMITS = ("deadline", "_read_timeout", "_write_timeout")  # of a psycopg connection as below, and of PyMySQL's
USER_TIMEOUT_MS = 15_000  # after which the kernel gives up a connection whose data nobody acknowledges


class Unanswered(TimeoutError):
    """The database did not answer in time. An OSError, so it is handled wherever a database that is away is."""


def connect_args(at: URL, seconds: float) -> dict[str, Any]:
    """Return the driver's options for a server; what the DSN names itself stays as it is. `seconds` is 0 for no deadline."""
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if at.get_backend_name() == "postgresql":
        options |= KEEPALIVES | {"tcp_user_timeout": USER_TIMEOUT_MS}
    elif seconds:
        options |= {"read_timeout": seconds, "write_timeout": seconds}
    return {name: value for name, value in options.items() if name not in at.query}


def watch(engine: Engine, seconds: float) -> None:
    """Give the engine's connections what their driver's options cannot: deadlines to psycopg's, keepalives to PyMySQL's."""
    event.listen(engine, "checkin", _limit_again)
    if engine.dialect.name == "postgresql":

        def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
            made = _impatient().connect(*args, **options)
            made.deadline = seconds or None
            made.prepare_threshold = None  # behind PgBouncer the next transaction may reach a server that lacks the statement
            return made

        event.listen(engine, "do_connect", connect)
    elif engine.dialect.name == "mysql":
        event.listen(engine, "connect", lambda connection, _: _keep_alive(getattr(connection, "_sock", None)))


@cache
def _impatient() -> Any:
    """psycopg's connection with a deadline for each answer of the server. Loaded where it is used: it is 8 MB."""
    import psycopg

    class Impatient(psycopg.Connection[Any]):
        deadline: float | None = None

        def wait(self, *args: Any, **options: Any) -> Any:
            timer = gevent.Timeout.start_new(self.deadline)
            try:
                return super().wait(*args, **options)
            except gevent.Timeout as late:
                if late is not timer:
                    raise
                self.close()
                raise psycopg.OperationalError(f"the server did not answer within {self.deadline:g} seconds") from None
            finally:
                timer.close()

    return Impatient


def _keep_alive(sock: Any) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": USER_TIMEOUT_MS}
    for name, value in values.items():
        if hasattr(socket, name):  # not every system has them all
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def without(connection: Connection) -> Connection:
    """Take the deadline off a connection until it returns to the pool, for work that may take hours."""
    driver: Any = connection.connection.driver_connection
    limits = {name: getattr(driver, name) for name in LIMITS if getattr(driver, name, None) is not None}
    connection.info["limits"] = limits
    for name in limits:
        setattr(driver, name, None)
    return connection


def _limit_again(driver: Any, record: Any) -> None:
    for name, value in record.info.pop("limits", {}).items():
        if driver is not None:
            setattr(driver, name, value)


class Deadline:
    """Deadline of urgent transactions with one server: those that a request or a charge waits for.

    When one is missed and the server does not answer a probe either, further transactions fail at once until it does.
    """

    def __init__(self, engine: Engine, reserved: Engine, seconds: float):
        self._engine, self._seconds = engine, seconds if engine.dialect.name != "sqlite" else 0
        self.reserved = reserved  # has a connection for health checks alone
        self._silent_until = 0.0
        self._check: gevent.Greenlet | None = None

    @property
    def silent(self) -> bool:
        """Whether the server has not answered lately."""
        return self._silent_until > time.monotonic()

    def check(self) -> None:
        """Raise Unanswered while the server is silent."""
        if self._silent_until and self.silent:
            raise Unanswered(f"The database {self._engine.url.database} has not answered lately.")

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Bound the transaction inside; raises Unanswered. The driver's connection is given up, so the outcome is not known."""
        if not self._seconds:
            yield
            return
        self.check()
        timers = [gevent.Timeout.start_new(self._seconds + more) for more in (0, CLEANUP_SECONDS)]
        try:
            yield
        except gevent.Timeout as late:
            for timer in timers:
                timer.close()
            if late not in timers:
                raise
            self._missed()
            raise Unanswered(f"The database did not answer within {self._seconds:g} seconds.") from None
        finally:
            for timer in timers:
                timer.close()

    def _missed(self) -> None:
        if self.silent:
            return
        with gevent.Timeout(PROBE_SECONDS, False):
            self._engine.dispose()  # after a failover each idle connection would have to be found dead by itself
            self.reserved.dispose()
        if not self.answers():  # a lock that was held for long is no silence
            log.error("database=%s does not answer; charges wait in the journal", self._engine.url.database)

    def answers(self) -> bool:
        """Ask the server for a sign of life; urgent transactions are tried, or fail at once, as it turns out.

        Checks at the same time share one query: anybody may send them.
        """
        if self._check is None or self._check.ready():
            self._check = gevent.spawn(self._answers)
        return bool(self._check.get())

    def _answers(self) -> bool:
        timer = gevent.Timeout.start_new(PROBE_SECONDS)
        try:
            with self.reserved.connect() as connection:
                connection.execute(text("SELECT 1"))
        except gevent.Timeout as late:
            if late is not timer:
                raise
            self._silent_until = time.monotonic() + SILENT_SECONDS
            return False
        except Exception:  # a health check must answer whatever the driver raises
            return False
        finally:
            timer.close()
        if self._silent_until:
            self._silent_until = 0.0
            log.warning("database=%s answers again", self._engine.url.database)
        return True
