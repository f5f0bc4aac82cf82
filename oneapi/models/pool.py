"""Limits of the connection pools: how long a request waits, which errors mean "later", and a connection for health checks."""

import sqlite3
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

from oneapi.models.deadline import Unanswered

WAIT_SECONDS = 5.0  # for a connection, and for the turn to write to SQLite


class Busy(OSError):
    """Other requests held the database for longer than this one may wait."""


# Errors of a database that is away or busy: the same request may succeed later.
AWAY = (OperationalError, InterfaceError, TimeoutError, Unanswered, Busy)


def away(error: BaseException) -> bool:
    """Whether the database is away or busy. SQLite reports a statement that is wrong with the same class."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return isinstance(error, AWAY) and code != sqlite3.SQLITE_ERROR


def reserved(engine: Engine, options: dict[str, Any]) -> Engine:
    """Return an engine with one connection that only health checks use: a full pool must not look like a silent server."""
    return create_engine(engine.url, **options | {"pool_size": 1, "max_overflow": 0})
