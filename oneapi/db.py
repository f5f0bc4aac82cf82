"""Databases: engine options per kind, sessions, health. With models the only user of SQLAlchemy."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
from flask import Flask, current_app, has_app_context
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as RequestSession
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from oneapi.config import Config
from oneapi.models import Base, deadline, pool, sealed, sqlite
from oneapi.models.deadline import Deadline
from oneapi.models.dsn import url as url

log = logging.getLogger(__name__)

LOG_ROWS = "log rows"  # of a session: what it writes after its commit

# What a database that is away, restarting or full raises. Loops go on after it; requests answer 503.
TROUBLE = (DBAPIError, PoolTimeout, OSError)


class PageSession(RequestSession):
    """Session of pages and of the API, which fails at once while the database is known not to answer."""

    def get_bind(self, *args: Any, **more: Any) -> Any:
        current_app.extensions["oneapi.databases"].deadline.check()
        return super().get_bind(*args, **more)


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": PageSession})


class Unfit(RuntimeError):
    """A database that cannot be served; the message says why and what to do."""


def engine_options(at: URL, config: Config) -> dict[str, Any]:
    """Pool and connection options for one kind of database."""
    # Parameters hold keys, and errors end in logs.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": pool.WAIT_SECONDS}
    if at.get_backend_name() == "sqlite":
        arguments = {"factory": sqlite.Connection, "check_same_thread": False, "timeout": config.sqlite_busy_timeout / 1000}
        return options | {"connect_args": arguments, "pool_size": 8, "max_overflow": 24}
    lifetime = config.sql_max_lifetime or config.sql_conn_max_lifetime * 60
    idle = min(config.sql_max_idle_conns, config.sql_max_open_conns)
    options |= {
        "pool_size": idle,
        "max_overflow": config.sql_max_open_conns - idle,
        "pool_recycle": lifetime or -1,
        "pool_pre_ping": True,
        "connect_args": deadline.connect_args(at, config.sql_timeout),
    }
    if at.get_backend_name() == "mysql":
        options["isolation_level"] = "READ COMMITTED"  # as PostgreSQL; MySQL's own default makes waiting writers deadlock
    return options


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Settings of every SQLite connection. What was asked for may not be in force, so each is read back."""
    if not isinstance(connection, sqlite.Connection):
        return
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode not in ("wal", "memory"):  # e.g. on some network file systems
            raise Unfit(f"SQLite refused WAL mode (it says {mode!r}): put the file on a local disk, or use MySQL or PostgreSQL.")
    if cursor.execute("PRAGMA busy_timeout").fetchone()[0] != connection.busy_ms:
        raise Unfit("SQLite refused to wait for locks (PRAGMA busy_timeout): use another build of Python or another database.")
    if cursor.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise Unfit(
            "SQLite refused to make its writes durable (PRAGMA synchronous): use another build of Python or another database."
        )
    cursor.close()


def begin_immediate(session: Session) -> None:
    """On SQLite, take the write lock now: a transaction that reads first and writes later cannot wait for it."""
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")


def sqlite_file(config: Config) -> str:
    """SQLITE_PATH, else the file of the old project when it lies in the working directory, else one of ours."""
    if config.sqlite_path:
        return str(Path(config.sqlite_path.partition("?")[0]).absolute())
    old = Path("one-api.db")
    if "instance_path" not in config.sources and old.is_file():
        return str(old.absolute())
    return str((Path(config.instance_path) / "one-api.db").absolute())


class Databases:
    """The main database and the one of the logs, which is the same unless LOG_SQL_DSN names another."""

    def __init__(self, config: Config, app: Flask):
        self.url = url(config.sql_dsn, sqlite_path=sqlite_file(config))
        self.log_url = url(config.log_sql_dsn, sqlite_path="", name="LOG_SQL_DSN") if config.log_sql_dsn else self.url
        self.busy_seconds = config.sqlite_busy_timeout / 1000
        sealed.use(config.encryption_key)
        for at in (self.url, self.log_url):
            _make_folder(at)
        app.config["SQLALCHEMY_DATABASE_URI"] = self.url
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(self.url, config)
        if self.log_url != self.url:
            app.config["SQLALCHEMY_BINDS"] = {"logs": {"url": self.log_url, **engine_options(self.log_url, config)}}
        app.extensions["oneapi.databases"] = self
        db.init_app(app)
        with app.app_context():
            self.engine = db.engines[None]
            self.log_engine = db.engines.get("logs", self.engine)
        self.deadline = self.log_deadline = self._watched(self.engine, config)
        if self.separate_logs:
            self.log_deadline = self._watched(self.log_engine, config)

    @staticmethod
    def _watched(engine: Engine, config: Config) -> Deadline:
        reserved = pool.reserved(engine, engine_options(engine.url, config))
        for each in (engine, reserved):
            deadline.watch(each, config.sql_timeout)
        return Deadline(engine, reserved, config.sql_urgent_timeout)

    @property
    def separate_logs(self) -> bool:
        return self.log_engine is not self.engine

    @staticmethod
    def release() -> None:
        """Give the connection of the current request's session back to its pool. Rows that it read stay usable.

        Call it before waiting for anything that others hold while they wait for a connection: a lock, a second session.
        """
        if has_app_context() and db.session.registry.has():
            db.session.close()

    @contextmanager
    def transaction(self, *, urgent: bool = False) -> Iterator[Session]:
        """A session outside any request; commits at the end, rolls back on an exception.

        An `urgent` one, which a request of a client waits for, has SQL_URGENT_TIMEOUT seconds as a whole. The session of
        the current request gives its connection back: a request never holds two.
        """
        self.release()
        self.deadline.check()
        with (
            self.deadline.urgent() if urgent else nullcontext(),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
        if rows := session.info.pop(LOG_ROWS, None):
            self._write_logs(rows)

    def later_log(self, session: Session, row: Any) -> None:
        """Write a log row: in this transaction, or after its commit where logs have a database of their own."""
        if self.separate_logs:
            session.info.setdefault(LOG_ROWS, []).append(row)
        else:
            session.add(row)

    def _write_logs(self, rows: list[Any]) -> None:
        """Write log rows of what is committed. It must not fail because of them, so they end in the log file at worst."""
        texts = [f"user={row.user_id} {row.content}" for row in rows]
        try:
            with self.logs() as session:
                session.add_all(rows)
        except TROUBLE as error:
            for text in texts:
                log.error("log row not stored error=%s %s", type(error).__name__, text)

    @contextmanager
    def logs(self) -> Iterator[Session]:
        """The same for the logs' database."""
        self.release()
        self.log_deadline.check()
        with Session(self.log_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def health(self) -> tuple[bool, bool]:
        """Whether the main database answers, and that of the logs, within two seconds."""
        if not self.separate_logs:
            answers = self.deadline.answers()
            return answers, answers
        asking = gevent.spawn(self.log_deadline.answers)
        return self.deadline.answers(), bool(asking.get())

    def healthy(self) -> bool:
        """Whether both databases answer."""
        return all(self.health())

    def look(self) -> None:
        """See whether servers that were silent answer again."""
        for each in {self.deadline, self.log_deadline}:
            if each.silent:
                each.answers()

    def dispose(self) -> None:
        for engine in {self.engine, self.log_engine, self.deadline.reserved, self.log_deadline.reserved}:
            engine.dispose()


def backup(at: URL, to: Path) -> None:
    """Copy a SQLite database while it is in use; the copy is checked, then takes its name. Raises Unfit."""
    if at.get_backend_name() != "sqlite":
        raise Unfit("Only SQLite is copied here: use mysqldump or pg_dump for this database.")
    draft = to.with_name(f".{to.name}.{os.getpid()}")
    os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(at.database))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(draft)) as copy,
        ):
            source.backup(copy, pages=1000)
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise Unfit(f"The copy is damaged ({found}), and so is probably {at.database}.")
        draft.replace(to)
    except sqlite3.Error as error:
        raise Unfit(f"{at.database} cannot be copied: {error}.") from None
    finally:
        draft.unlink(missing_ok=True)


def _make_folder(at: URL) -> None:
    if at.get_backend_name() != "sqlite" or not at.database:
        return
    folder = Path(at.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unfit(f"The folder {folder} of the SQLite file cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK):
        raise Unfit(f"The folder {folder} of the SQLite file is not writable: SQLite keeps its journal there.")


def trouble(error: Exception, at: URL) -> Unfit:
    """What to tell somebody whose database did not answer, briefly and without the password."""
    place = at.database if at.get_backend_name() == "sqlite" else f"{at.host or 'localhost'}:{at.port or ''}/{at.database}"
    said = f"The {at.get_backend_name()} database {place} cannot be used: {cause(error)}."
    return Unfit(f"{said} Check that it runs, and SQL_DSN (or LOG_SQL_DSN).")


def cause(error: Exception) -> str:
    """Return the first line of the driver's own words, without a full stop."""
    original = getattr(error, "orig", None) or error
    words = str(original.args[-1] if original.args else original).strip() or type(original).__name__
    return words.splitlines()[0].rstrip(".")
