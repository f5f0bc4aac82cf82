"""Character sets of MySQL tables that older installations made: find them, convert them, and live with them until then.

Such a column cannot hold every text. A search for what it cannot hold finds nothing, a log row is written with question marks,
and any other write fails with `unstorable`, which the API and the pages answer with a sentence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from oneapi.models.base import Base

# Python's codecs for MySQL's names. utf8mb3 is UTF-8 without characters beyond U+FFFF; an unknown name counts as ASCII.
CODECS = {"latin1": "cp1252", "gbk": "gbk", "gb2312": "gb2312", "big5": "big5", "sjis": "shift_jis", "euckr": "euc_kr"}
NOWHERE = "\x7f"  # a character that every set has and no text contains
WRONG_VALUE = 1366  # MySQL: "Incorrect string value"


def narrow(connection: Connection) -> dict[str, str]:
    """Return the character sets, by table, of our tables with a column that is not utf8mb4. Empty except on MySQL."""
    if connection.dialect.name != "mysql":
        return {}
    rows = connection.execute(text(
        "SELECT table_name, min(character_set_name) FROM information_schema.columns WHERE table_schema = database() "
        "AND character_set_name IS NOT NULL AND character_set_name <> 'utf8mb4' GROUP BY table_name"
    ))  # fmt: skip
    return {str(table): str(name) for table, name in rows if table in Base.metadata.tables}


def convert(connection: Connection, table: str) -> None:
    """Make every text of a table utf8mb4. MySQL copies the table; readers go on, writers wait."""
    quoted = connection.dialect.identifier_preparer.quote(table)
    connection.exec_driver_sql(f"ALTER TABLE {quoted} CONVERT TO CHARACTER SET utf8mb4")
    connection.commit()


def holds(name: str, value: str) -> bool:
    """Return True when a column of this character set can hold the text."""
    if value.isascii():
        return True
    if name in ("utf8mb3", "utf8"):
        return all(character <= "\uffff" for character in value)
    try:
        value.encode(CODECS.get(name, "ascii"))
    except UnicodeEncodeError:
        return False
    return True


def fitted(name: str, values: Iterable[Any], mark: str) -> list[Any]:
    """Return the values with `mark` in place of each character that the set lacks."""
    return [
        "".join(c if holds(name, c) else mark for c in v) if isinstance(v, str) and not holds(name, v) else v for v in values
    ]


def watch(engine: Engine, tables: Mapping[str, str]) -> None:
    """Fit the parameters of searches, and of log rows, into narrow tables. Engines without any are left alone."""
    if not tables:
        return
    engine.update_execution_options(narrow_logs=tables.get("logs", ""))  # for models/direct.py

    def fit(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> tuple[str, Any]:
        searching = statement.startswith("SELECT")
        if not searching and not statement.startswith("INSERT INTO logs "):
            return statement, parameters
        name = next((name for table, name in tables.items() if table in statement), "")
        if not name:
            return statement, parameters
        mark = NOWHERE if searching else "?"
        return statement, [_fit(name, row, mark) for row in parameters] if many else _fit(name, parameters, mark)

    event.listen(engine, "before_cursor_execute", fit, retval=True)


def _fit(name: str, row: Any, mark: str) -> Any:
    if isinstance(row, Mapping):
        return dict(zip(row, fitted(name, row.values(), mark), strict=True))
    return tuple(fitted(name, row, mark)) if isinstance(row, Sequence) else row


def unstorable(error: Exception) -> bool:
    """Return True when a write failed because a column cannot hold a character."""
    original = getattr(error, "orig", None)
    return bool(original is not None and original.args and original.args[0] == WRONG_VALUE)
