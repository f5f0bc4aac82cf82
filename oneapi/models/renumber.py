"""Rebuild tables of SQLite files so that the ids of deleted rows are never given again."""

import re
from typing import Any

from sqlalchemy import Connection, Table, inspect, text

# Where the ids of deleted rows may still be written down. SQLite must never give them to somebody else.
MENTIONS = {
    "users": (("tokens", "user_id"), ("redemptions", "user_id"), ("users", "inviter_id"), ("logs", "user_id")),
    "channels": (("abilities", "channel_id"), ("logs", "channel_id")),
}
# What an operator has added to a table and PRAGMA table_info does not tell: such a table is left as it is.
OPERATORS = re.compile(r"\b(CHECK|COLLATE|REFERENCES|GENERATED|WITHOUT ROWID|STRICT)\b")


def reuses_ids(connection: Connection, table: Table) -> bool:
    """Return True when SQLite may give an id of this table again and the table can be rebuilt without losing anything."""
    if not table.dialect_options["sqlite"]["autoincrement"] or table.autoincrement_column is None:
        return False
    sql = re.sub(r"`[^`]*`|\"[^\"]*\"|'[^']*'|\[[^\]]*\]|--.*", "", _sqlite_sql(connection, table.name)).upper()
    return "AUTOINCREMENT" not in sql and not OPERATORS.search(sql)


def _sqlite_sql(connection: Connection, name: str) -> str:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"), {"name": name})
    return str(rows.scalar_one())


def renumber(connection: Connection, name: str) -> None:
    """Rebuild a SQLite table with AUTOINCREMENT; columns, defaults, constraints, indexes and triggers stay as they were.

    Views and triggers elsewhere that name the table stay too: see migrate.py for the PRAGMAs that this needs.
    """
    run = connection.exec_driver_sql
    columns = run(f"PRAGMA table_info(`{name}`)").all()
    indexes = run(
        "SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND lower(tbl_name) = ? AND sql IS NOT NULL", (name,)
    )
    keep = [sql for (sql,) in indexes]
    uniques = [row[1] for row in run(f"PRAGMA index_list(`{name}`)").all() if row[3] == "u"]
    parts = [_column_sql(c) for c in columns]
    parts += [f"UNIQUE ({', '.join(f'`{c[2]}`' for c in run(f'PRAGMA index_info(`{u}`)').all())})" for u in uniques]
    names = ", ".join(f"`{c[1]}`" for c in columns)
    run(f"CREATE TABLE `{name}__new` ({', '.join(parts)})")
    run(f"INSERT INTO `{name}__new` ({names}) SELECT {names} FROM `{name}`")
    run(f"DROP TABLE `{name}`")
    run(f"ALTER TABLE `{name}__new` RENAME TO `{name}`")
    for sql in keep:
        run(sql)
    _seed_sequence(connection, name)


def _column_sql(column: Any) -> str:
    _, name, kind, not_null, default, _ = column
    if name == "id":
        return "`id` integer PRIMARY KEY AUTOINCREMENT"
    if default is not None and not re.fullmatch(r"[\w.+-]+|'[^']*'|\"[^\"]*\"", default):
        default = f"({default})"  # an expression, of which the PRAGMA tells only the inside
    return f"`{name}` {kind}{' NOT NULL' if not_null else ''}{f' DEFAULT {default}' if default is not None else ''}"


def _seed_sequence(connection: Connection, name: str) -> None:
    """Continue after the highest id that is written down anywhere, not only after the highest row."""
    found = inspect(connection)
    present = {table: {c["name"] for c in found.get_columns(table)} for table in found.get_table_names()}
    highest = [connection.exec_driver_sql(f"SELECT max(id) FROM `{name}`").scalar()]
    for table, column in MENTIONS.get(name, ()):
        if column in present.get(table, ()):  # older versions lack columns, which are added later
            highest.append(connection.exec_driver_sql(f"SELECT max(`{column}`) FROM `{table}`").scalar())
    top = max((int(h) for h in highest if h), default=0)
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, top))
