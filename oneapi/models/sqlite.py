"""Connections to SQLite under gevent: statements run in threads, and writers of one process queue before they take one.

A writer that waits inside SQLite holds a thread, and the one it waits for needs a thread to commit. With enough writers
every thread would wait, and all would fail; so only one at a time gets as far as SQLite.
"""

import os
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from oneapi.models import threads

WRITES = re.compile(r"\s*(BEGIN IMMEDIATE|BEGIN EXCLUSIVE|INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|DROP)\b", re.IGNORECASE)

_queues: dict[str, BoundedSemaphore] = {}  # one for each file


def _pooled(function: Callable[..., Any], *args: Any) -> Any:
    return threads.run(gevent.get_hub().threadpool, function, *args)


class Cursor(sqlite3.Cursor):
    connection: "Connection"

    def execute(self, sql: str, *args: Any) -> Any:
        return self.connection.queued(sql, super().execute, sql, *args)

    def executemany(self, sql: str, *args: Any) -> Any:
        return self.connection.queued(sql, super().executemany, sql, *args)

    def fetchall(self) -> Any:
        return _pooled(super().fetchall)

    def fetchmany(self, *args: Any) -> Any:
        return _pooled(super().fetchmany, *args)


class Connection(sqlite3.Connection):
    def __init__(self, database: Any, *args: Any, **more: Any):
        super().__init__(database, *args, **more)
        self.busy_ms = round(more.get("timeout", 5.0) * 1000)
        self._queue = _queues.setdefault(os.path.realpath(database), BoundedSemaphore(1))
        self._ours = False  # whether it is our turn to write

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        self._run(super().commit)

    def rollback(self) -> None:
        self._run(super().rollback)

    def close(self) -> None:
        super().close()
        self._leave()

    def queued(self, sql: str, function: Callable[..., Any], *args: Any) -> Any:
        """Run a statement; if it writes, when the other writers of this process are done."""
        if not self._ours and WRITES.match(sql):
            if not self._queue.acquire(timeout=self.busy_ms / 1000):
                raise sqlite3.OperationalError("database is locked: other writers of this process did not end in time")
            self._ours = True
        return self._run(function, *args)

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return _pooled(function, *args)
        finally:
            if not self.in_transaction:
                self._leave()

    def _leave(self) -> None:
        if self._ours:
            self._ours = False
            self._queue.release()
