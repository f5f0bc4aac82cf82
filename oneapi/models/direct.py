"""Statements compiled once and run straight on the driver: what SQLAlchemy does for each would cost more than the database."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from oneapi.models import charset

Values = Mapping[str, Any] | list[dict[str, Any]]

# (statement, dialect) → its text, and the order of its parameters where they have no names. Statements are module constants.
_COMPILED: dict[tuple[int, str], tuple[str, list[str] | None]] = {}
_ROWS: dict[tuple[str, ...], Any] = {}


class Direct:
    """A transaction on a driver's connection, for statements of settlement.py. Raises what SQLAlchemy would.

    `lost` is told when the connection turns out to be broken.
    """

    def __init__(self, dialect: Any, connection: Any, lost: Callable[[BaseException], Any], narrow: str = ""):
        self.dialect, self._connection, self._lost = dialect, connection, lost
        self._narrow = narrow  # the character set of the logs where it is not utf8mb4: see charset.py
        self._cursor = connection.cursor()

    @classmethod
    def of(cls, connection: Connection) -> "Direct":
        """The transaction that SQLAlchemy began on a connection."""
        narrow = connection.get_execution_options().get("narrow_logs", "")
        return cls(connection.dialect, connection.connection, connection.invalidate, narrow)

    @classmethod
    def alone(cls, engine: Engine) -> "Direct":
        """On the only connection of an engine with a StaticPool, for transactions that SQLAlchemy knows nothing of."""
        with closing(engine.raw_connection()) as connection:
            return cls(engine.dialect, connection.driver_connection, lambda _: None)

    def run(self, text: str) -> None:
        """Run plain SQL."""
        self._try(self._cursor.execute, text)

    def commit(self) -> None:
        self._try(self._connection.commit)

    def rollback(self) -> None:
        self._connection.rollback()

    def execute(self, statement: Any, values: Values) -> "Direct":
        """Run a statement, once for each of a list of values; ask the answer for `rowcount` or `one_or_none`."""
        several = isinstance(values, list)
        every: Any = values if several else [values]
        text, order = self._compiled(statement, every[0])
        given: Any = values
        if order is not None:
            given = [tuple([row[name] for name in order]) for row in every]
            given = given if several else given[0]
        self._try(self._cursor.executemany if several else self._cursor.execute, text, given)
        return self

    def insert(self, statement: Any, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        """Insert rows into the logs; their values are in the order of `names`, which is that of the table's columns."""
        if self._narrow:
            rows = [tuple(charset.fitted(self._narrow, row, "?")) for row in rows]
        text, order = self._compiled(statement, dict.fromkeys(names))
        self._try(self._cursor.executemany, text, rows if order else [dict(zip(names, row, strict=True)) for row in rows])

    def _try(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except self.dialect.loaded_dbapi.Error as error:
            raise self._wrapped(str(args[0]) if args else "COMMIT", error) from error
        except BaseException as error:  # a deadline in the middle of an exchange: what comes next is not known
            if not isinstance(error, Exception):
                self._lost(error)
            raise

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    def one_or_none(self) -> Any:
        """The first row, with its columns as attributes."""
        row = self._cursor.fetchone()
        if row is None:
            return None
        names = tuple(column[0] for column in self._cursor.description)
        if names not in _ROWS:
            _ROWS[names] = namedtuple("Row", names)  # noqa: PYI024
        return _ROWS[names](*row)

    def scalar(self, statement: Any, values: Values) -> Any:
        row = self.execute(statement, values)._cursor.fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self._cursor.close()

    def _compiled(self, statement: Any, values: Mapping[str, Any]) -> tuple[str, list[str] | None]:
        key = (id(statement), self.dialect.name)
        if key not in _COMPILED:
            columns = list(values) if statement.is_insert else None  # rows of one table always name the same columns
            compiled = statement.compile(dialect=self.dialect, column_keys=columns)
            _COMPILED[key] = (str(compiled), list(compiled.positiontup) if compiled.positional else None)
        return _COMPILED[key]

    def _wrapped(self, text: str, error: Exception) -> BaseException:
        """SQLAlchemy's exception for a driver's; a connection that broke is given up, as SQLAlchemy does."""
        lost = self.dialect.is_disconnect(error, getattr(self._connection, "dbapi_connection", self._connection), self._cursor)
        if lost:
            self._lost(error)
        base = self.dialect.loaded_dbapi.Error
        return DBAPIError.instance(
            text, None, error, base, hide_parameters=True, connection_invalidated=lost, dialect=self.dialect
        )
