"""Databases: engine options per kind, sessions, health. With models the only user of SQLAlchemy."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from oneapi.config import Config
from oneapi.models import Base

db = SQLAlchemy(metadata=Base.metadata)


class _Cursor(sqlite3.Cursor):
    """sqlite3 blocks while it works, so each statement runs in gevent's thread pool and streams go on meanwhile."""

    def execute(self, *args: Any) -> Any:
        return _pooled(super().execute, *args)

    def executemany(self, *args: Any) -> Any:
        return _pooled(super().executemany, *args)

    def fetchall(self) -> Any:
        return _pooled(super().fetchall)

    def fetchmany(self, *args: Any) -> Any:
        return _pooled(super().fetchmany, *args)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        _pooled(super().commit)

    def rollback(self) -> None:
        _pooled(super().rollback)


def _pooled(function: Callable[..., Any], *args: Any) -> Any:
    result, error = gevent.get_hub().threadpool.apply(_outcome, (function, args))
    if error is not None:
        raise error
    return result


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """What came of a call. gevent prints every exception of its threads, and a broken constraint is an everyday one."""
    try:
        return function(*args), None
    except Exception as error:
        return None, error


def url(dsn: str, *, sqlite_path: str) -> URL:
    """The SQLAlchemy URL behind a DSN in any form that either project documents; empty means SQLite."""
    if not dsn:
        return URL.create("sqlite", database=sqlite_path)
    if dsn.startswith(("postgres://", "postgresql://")):
        return make_url("postgresql+psycopg://" + dsn.partition("://")[2])
    go = re.fullmatch(
        r"(?P<user>[^:@/]*)(?::(?P<password>.*))?@(?P<net>\w+)\((?P<address>[^)]*)\)/(?P<name>[^?]*)(?:\?(?P<query>.*))?", dsn
    )
    if go:
        return _go_mysql(go)
    parsed = make_url(dsn)
    if parsed.drivername in ("mysql", "mariadb"):
        parsed = parsed.set(drivername="mysql+pymysql")
    if parsed.get_backend_name() in ("mysql", "mariadb"):
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return parsed


def _go_mysql(go: re.Match[str]) -> URL:
    """user:password@tcp(host:port)/name?params, as Go's MySQL driver writes it; its own parameters mean nothing here."""
    if go["net"] == "unix":
        return make_url(
            f"mysql+pymysql://{quote(go['user'], '')}:{quote(go['password'] or '', '')}@/{go['name']}"
        ).update_query_dict({"unix_socket": go["address"], "charset": "utf8mb4"})
    host, _, port = go["address"].rpartition(":") if ":" in go["address"] else (go["address"], "", "3306")
    return URL.create(
        "mysql+pymysql", go["user"], go["password"] or None, host or "127.0.0.1", int(port), go["name"], {"charset": "utf8mb4"}
    )


def engine_options(at: URL, config: Config) -> dict[str, Any]:
    """Pool and connection options for one kind of database."""
    if at.get_backend_name() == "sqlite":
        arguments = {"factory": _Connection, "check_same_thread": False, "timeout": config.sqlite_busy_timeout / 1000}
        return {"connect_args": arguments, "echo": config.debug_sql, "pool_size": 8, "max_overflow": 24}
    lifetime = config.sql_max_lifetime or config.sql_conn_max_lifetime * 60
    options: dict[str, Any] = {
        "pool_size": config.sql_max_idle_conns,
        "max_overflow": max(0, config.sql_max_open_conns - config.sql_max_idle_conns),
        "pool_recycle": lifetime or -1,
        "pool_pre_ping": True,
        "echo": config.debug_sql,
    }
    if at.get_backend_name() == "mysql":
        options["isolation_level"] = "READ COMMITTED"  # as PostgreSQL; MySQL's own default makes waiting writers deadlock
    return options


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    if not isinstance(connection, _Connection):
        return
    cursor = connection.cursor()
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # A mode that was asked for may not be in force, e.g. on some network file systems.
    if mode not in ("wal", "memory"):
        raise RuntimeError(
            f"SQLite refused WAL mode (it says {mode!r}): put the file on a local disk, or use MySQL or PostgreSQL."
        )
    cursor.close()


def begin_immediate(session: Session) -> None:
    """On SQLite, take the write lock now: a transaction that reads first and writes later cannot wait for it."""
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")


class Databases:
    """The main database and the one of the logs, which is the same unless LOG_SQL_DSN names another."""

    def __init__(self, config: Config, app: Flask):
        path = str(Path(config.sqlite_path or Path(config.instance_path) / "one-api.db").absolute())
        self.url = url(config.sql_dsn, sqlite_path=path)
        self.log_url = url(config.log_sql_dsn, sqlite_path=path) if config.log_sql_dsn else self.url
        if self.url.get_backend_name() == "sqlite":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        app.config["SQLALCHEMY_DATABASE_URI"] = self.url
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(self.url, config)
        if self.log_url != self.url:
            app.config["SQLALCHEMY_BINDS"] = {"logs": {"url": self.log_url, **engine_options(self.log_url, config)}}
        db.init_app(app)
        with app.app_context():
            self.engine = db.engines[None]
            self.log_engine = db.engines.get("logs", self.engine)

    @property
    def separate_logs(self) -> bool:
        return self.log_engine is not self.engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session outside any request; commits at the end, rolls back on an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def logs(self) -> Iterator[Session]:
        """The same for the logs' database."""
        with Session(self.log_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def healthy(self) -> bool:
        """Whether both databases answer."""
        try:
            for engine in {self.engine, self.log_engine}:
                with engine.connect() as connection:
                    connection.execute(text("SELECT 1"))
        except Exception:  # a health check must answer whatever the driver raises
            return False
        return True

    def dispose(self) -> None:
        for engine in {self.engine, self.log_engine}:
            engine.dispose()
