"""Statements compiled once and run straight on the driver: what SQLAlchemy does for each would cost more than the database."""

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any] | list[dict[str, Any]]

# (statement, dialect) → its text, and the order of its parameters where they have no names. Statements are module constants.
_COMPILED: dict[tuple[int, str], tuple[str, list[str] | None]] = {}
_ROWS: dict[tuple[str, ...], Any] = {}


class Direct:
    """A Connection's transaction, for statements of settlement.py. Raises what SQLAlchemy would."""

    def __init__(self, connection: Connection):
        self.dialect = connection.dialect
        self._connection = connection
        self._cursor = connection.connection.cursor()

    def execute(self, statement: Any, values: Values) -> "Direct":
        """Run a statement, once for each of a list of values; ask the answer for `rowcount` or `one_or_none`."""
        if isinstance(values, list):
            text, order = self._compiled(statement, values[0])
            given: Any = values if order is None else [tuple(row[name] for name in order) for row in values]
        else:
            text, order = self._compiled(statement, values)
            given = values if order is None else tuple(values[name] for name in order)
        try:
            if isinstance(values, list):
                self._cursor.executemany(text, given)
            else:
                self._cursor.execute(text, given)
        except self.dialect.loaded_dbapi.Error as error:
            raise self._wrapped(text, error) from error
        return self

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
        lost = self.dialect.is_disconnect(error, self._connection.connection.dbapi_connection, self._cursor)  # type: ignore[arg-type]
        if lost:
            self._connection.invalidate(error)
        base = self.dialect.loaded_dbapi.Error
        return DBAPIError.instance(
            text, None, error, base, hide_parameters=True, connection_invalidated=lost, dialect=self.dialect
        )
