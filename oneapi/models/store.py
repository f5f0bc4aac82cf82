"""Transactions about money: in which thread they run, when they are tried again, what their failures mean."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import gevent
from gevent.threadpool import ThreadPool
from sqlalchemy import Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from sqlalchemy.orm import Session

from oneapi.models import failure, settlement
from oneapi.models.direct import Direct
from oneapi.models.settlement import Return, Row

log = logging.getLogger(__name__)

# What a database that is away, or refuses a statement, raises.
FAILURES = (SQLAlchemyError, OSError)
PASSING_MYSQL, PASSING_POSTGRESQL = {1020, 1205, 1213}, {"40P01", "40001", "55P03"}


def passing(error: DBAPIError) -> bool:
    """Whether the database only asks to try the whole transaction again: a deadlock, or a lock that was held too long."""
    cause: Any = error.orig
    if getattr(cause, "sqlstate", None) in PASSING_POSTGRESQL:
        return True
    first = cause.args[0] if cause is not None and cause.args else None
    return first in PASSING_MYSQL or (isinstance(first, str) and first.startswith("database is locked"))


T = TypeVar("T")
Keep = Callable[[Row], None]


def away(error: Exception) -> bool:
    """Whether the database could not be asked or was busy, so that the same statement may succeed later."""
    return isinstance(error, (OperationalError, InterfaceError, TimeoutError, OSError))


def full(error: BaseException) -> bool:
    """Whether the database has no room left on its disk."""
    cause: Any = getattr(error, "orig", None)
    first = cause.args[0] if cause is not None and cause.args else None
    return getattr(cause, "sqlstate", None) == "53100" or first in (1021, 1114) or "disk is full" in str(first)


def again(work: Callable[[], T], pauses: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)) -> T:
    """What a transaction returns, tried again when another one stood in its way."""
    for pause in pauses:
        try:
            return work()
        except DBAPIError as error:
            if not passing(error):
                raise
        gevent.sleep(pause)
    return work()


class Store:
    """Writes what is about money. On SQLite in a thread with a connection of its own: the hub never waits for the disk, and
    a transaction never for a thread that others, who wait for its end, have taken."""

    def __init__(self, databases: Any):
        self.databases = databases
        self._pool: ThreadPool | None = None
        self._engine = databases.engine
        self._sqlite_direct: Direct | None = None
        self.sqlite = databases.engine.dialect.name == "sqlite"

    def write(self, rows: list[Row], returns: list[Return], *, replay: bool = False) -> set[int]:
        """One transaction: charge `rows` and give `returns` back. Returns leases that turned out to be gone, and are now.

        Log rows are written with it unless they have a database of their own: see `write_logs`. With `replay`, a row whose
        request id is in the ledger already changes nothing.
        """
        return self._attempted(lambda: self._write(rows, returns, replay))

    def write_logs(self, rows: list[Row], *, replay: bool = False) -> None:
        """Write the log rows of charges into the logs' own database; with `replay` only those that it does not hold."""
        with self.databases.log_deadline.urgent():
            again(lambda: self._write_logs(rows, replay))

    def write_kept(self, rows: list[Row], reject: Keep, keep_logs: Callable[[list[Row]], None]) -> None:
        """Write settlements from a journal, together or, when one among them cannot be stored, one by one.

        `reject` takes a charge that no database takes, `keep_logs` those whose log rows must wait for the logs' database.
        """
        try:
            self._write_again(rows)
        except Exception as error:  # whatever is the matter with one row, the others must be charged
            if away(error) or not self.databases.deadline.answers():
                raise
            if len(rows) > 1:
                for row in rows:
                    self.write_kept([row], reject, keep_logs)
            elif rows[0].log is not None:  # the explanation may be what the database refuses; the charge must be written
                log.error("request=%s is charged without a log row: %s", rows[0].request_id, error)
                rows[0].log = None
                self.write_kept(rows, reject, keep_logs)
            else:
                log.critical("request=%s cannot be charged: %s", rows[0].request_id, error)
                reject(rows[0])
        else:
            if self.databases.separate_logs:
                self._log_kept(rows, keep_logs)

    def _write_again(self, rows: list[Row]) -> None:
        try:
            self.write(rows, [], replay=True)
        except IntegrityError:  # a transaction that had been given up was committed meanwhile: now its charges are seen
            self.write(rows, [], replay=True)

    def _log_kept(self, rows: list[Row], keep_logs: Callable[[list[Row]], None]) -> None:
        try:
            self.write_logs(rows, replay=True)
        except Exception as error:  # the charges are written, so nothing may keep them in their journal
            log.warning("log rows=%d wait in the journal: %s", len(rows), type(error).__name__)
            keep_logs(rows)

    def write_kept_logs(self, rows: list[Row], reject: Keep) -> None:
        """Write log rows from the journal of their own, one by one when one among them cannot be stored."""
        try:
            self.write_logs(rows, replay=True)
        except Exception as error:
            if away(error) or not self.databases.log_deadline.answers():
                raise
            if len(rows) > 1:
                for row in rows:
                    self.write_kept_logs([row], reject)
            else:
                log.critical("request=%s cannot be logged: %s", rows[0].request_id, error)
                reject(rows[0])

    def write_failures(self, counts: dict[failure.Key, int], rows: list[dict[str, Any]]) -> None:
        """Add to the errors of roll-ups and write log rows, in one transaction unless these have a database of their own."""
        separate = self.databases.separate_logs
        self._attempted(lambda: self._write_failures(counts, [] if separate else rows))
        if separate and rows:
            with self.databases.log_deadline.urgent():
                again(lambda: self._write_failure_logs(rows))

    def run(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, done in a transaction of its own."""
        return self._attempted(lambda: self._transacted(work))

    def _attempted(self, work: Callable[[], T]) -> T:
        if not self.sqlite:
            with self.databases.deadline.urgent():
                return again(work)
        if self._pool is None:
            self._pool, self._engine = ThreadPool(1), self._own_engine()
        pool = self._pool

        def there() -> T:
            done, result = pool.spawn(_outcome, work).get()
            if not done:
                raise result
            return result

        return again(there, (0.05, 0.2))  # each has waited for the lock itself

    def _own_engine(self) -> Engine:
        arguments = {"check_same_thread": False, "timeout": self.databases.busy_seconds}
        engine = create_engine(self.databases.url, poolclass=StaticPool, connect_args=arguments, hide_parameters=True)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=FULL").close())
        return engine

    def _transacted(self, work: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            if self.sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            return work(session)

    def _write(self, rows: list[Row], returns: list[Return], replay: bool) -> set[int]:
        with self._direct() as direct:
            if replay:
                rows = settlement.unwritten(direct, rows)
            gone = settlement.charge(direct, rows, returns)
            if not self.databases.separate_logs:
                settlement.write_logs(direct, rows)
        return gone

    def _write_logs(self, rows: list[Row], replay: bool) -> None:
        with self.databases.log_engine.begin() as connection, closing(Direct.of(connection)) as direct:
            settlement.write_logs(direct, settlement.unlogged(direct, rows) if replay else rows)

    def _write_failures(self, counts: dict[failure.Key, int], rows: list[dict[str, Any]]) -> None:
        with self._direct() as direct:
            failure.count(direct, counts)
            settlement.insert_logs(direct, rows)

    def _write_failure_logs(self, rows: list[dict[str, Any]]) -> None:
        with self.databases.log_engine.begin() as connection, closing(Direct.of(connection)) as direct:
            settlement.insert_logs(direct, rows)

    @contextmanager
    def _direct(self) -> Iterator[Direct]:
        """A transaction; on SQLite without SQLAlchemy's part in it, which costs as much as the charges of ten requests."""
        if not self.sqlite:
            with self._engine.begin() as connection, closing(Direct.of(connection)) as direct:
                yield direct
            return
        direct = self._sqlite_direct = self._sqlite_direct or Direct.alone(self._engine)
        direct.run("BEGIN IMMEDIATE")
        try:
            yield direct
            direct.commit()
        except BaseException:
            direct.rollback()
            raise


def _outcome(work: Callable[[], Any]) -> tuple[bool, Any]:
    """(True, what came of it) or (False, the error): gevent prints what its threads raise, and a locked file is no news."""
    try:
        return True, work()
    except Exception as error:  # raised again where it can be handled
        return False, error
