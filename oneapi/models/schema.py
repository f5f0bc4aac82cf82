"""What a database lacks compared with our tables, and how to add it in place without losing or narrowing anything."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    CHAR,
    Column,
    Connection,
    Dialect,
    Index,
    Inspector,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
)  # fmt: skip
from sqlalchemy.schema import CreateColumn, CreateIndex

log = logging.getLogger(__name__)

# On a table of more rows than this, indexes are made by `flask log-indexes` and not while the start waits.
LARGE = 50_000

# Where the ids of deleted rows may still be written down. SQLite must never give them to somebody else.
MENTIONS = {
    "users": (("tokens", "user_id"), ("redemptions", "user_id"), ("users", "inviter_id"), ("logs", "user_id")),
    "channels": (("abilities", "channel_id"), ("logs", "channel_id")),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One step: a sentence for people, and the doing."""

    says: str
    apply: Callable[[Connection], None]


def settle(connection: Connection, metadata: MetaData, tables: Iterable[str] | None = None) -> None:
    """Add what is missing. Running it again, or after a crash in the middle, does no harm."""
    for change in changes(connection, metadata, tables):
        change.apply(connection)


def changes(connection: Connection, metadata: MetaData, tables: Iterable[str] | None = None) -> list[Change]:
    """Every step from the database as it is to these tables, in order."""
    found = inspect(connection)
    present = set(found.get_table_names())
    wanted = [t for t in metadata.sorted_tables if tables is None or t.name in set(tables)]
    steps: list[Change] = []
    for table in wanted:
        if table.name in present:
            steps += _adapt(connection, found, table)
        else:
            steps.append(Change(f"create table {table.name}", table.create))
    return steps


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def present(connection: Connection, metadata: MetaData, only: Iterable[str] | None = None) -> list[Table]:
    """Our tables that are there, in order."""
    found = tables(connection)
    return [t for t in metadata.sorted_tables if t.name in found and (only is None or t.name in set(only))]


def large(connection: Connection, name: str) -> bool:
    """Whether the table has so many rows that an index on it would make people wait."""
    quoted = connection.dialect.identifier_preparer.quote(name)
    return connection.execute(text(f"SELECT 1 FROM {quoted} LIMIT 1 OFFSET {LARGE}")).first() is not None


def missing_indexes(connection: Connection, table: Table) -> list[Index]:
    """Indexes of ours for which the table has neither the name nor an equal."""
    return list(_missing_indexes(inspect(connection), table))


def drop_unfit_index(connection: Connection) -> None:
    """Very old MySQL databases have an index on channels.key that is too narrow for the keys of today."""
    found = inspect(connection)
    if connection.dialect.name not in ("mysql", "mariadb"):
        return
    if found.has_table("channels") and any(i["name"] == "idx_channels_key" for i in found.get_indexes("channels")):
        connection.exec_driver_sql("ALTER TABLE channels DROP INDEX idx_channels_key")


def _adapt(connection: Connection, found: Inspector, table: Table) -> Iterator[Change]:
    dialect = connection.dialect
    is_large = large(connection, table.name)
    if dialect.name == "sqlite" and _reuses_ids(connection, table) and not is_large:
        yield Change(f"number the rows of {table.name} so that no id is ever given twice", lambda c: _renumber(c, table.name))
    columns = {c["name"]: c for c in found.get_columns(table.name)}
    for column in table.columns:
        if column.name not in columns:
            yield _run(f"add column {table.name}.{column.name}", _add_column(table, column, dialect))
        elif dialect.name != "sqlite" and table.name != "logs" and _wider(columns[column.name]["type"], column, dialect):
            yield _run(f"widen column {table.name}.{column.name}", _widen(table, column, columns[column.name], dialect))
    for index in _missing_indexes(found, table):
        if index.unique and _duplicates(connection, index, columns):
            log.warning("%s has equal values where %s wants each once; the index is left out", table.name, index.name)
        elif not is_large:
            yield Change(f"create index {index.name}", _indexer(index))


def _run(says: str, statement: str) -> Change:
    def apply(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return Change(says, apply)


def _name(table: Table, dialect: Dialect) -> str:
    return dialect.identifier_preparer.format_table(table)


def _add_column(table: Table, column: Column, dialect: Dialect) -> str:
    """ADD COLUMN that rewrites no rows: nullable, or with a constant default."""
    generated, default = column.computed, column.server_default
    if generated is not None:
        spare = Column(column.name, column.type, type(generated)(generated.sqltext))
    else:
        spare = Column(column.name, column.type, server_default=default, nullable=default is None)
    Table(table.name, MetaData(), spare)
    return f"ALTER TABLE {_name(table, dialect)} ADD COLUMN {CreateColumn(spare).compile(dialect=dialect)}"


def _wider(has: object, column: Column, dialect: Dialect) -> bool:
    wanted = column.type.dialect_impl(dialect)
    if not isinstance(has, String) or not isinstance(wanted, String) or has.length is None:
        return False
    if wanted.length is None or wanted.length > has.length:
        return True
    # PostgreSQL pads char(n) with blanks, so that what is read is not what was written.
    return dialect.name == "postgresql" and isinstance(has, CHAR) and not column.type.compile(dialect).startswith("CHAR")


def _widen(table: Table, column: Column, has: object, dialect: Dialect) -> str:
    name, kind = dialect.identifier_preparer.format_column(column), column.type.compile(dialect)
    if dialect.name == "postgresql":
        return f"ALTER TABLE {_name(table, dialect)} ALTER COLUMN {name} TYPE {kind}"
    nullable = "" if has["nullable"] else " NOT NULL"  # type: ignore[index]
    default = f" DEFAULT {has['default']}" if has["default"] and "TEXT" not in kind else ""  # type: ignore[index]
    return f"ALTER TABLE {_name(table, dialect)} MODIFY COLUMN {name} {kind}{nullable}{default}"


def _missing_indexes(found: Inspector, table: Table) -> Iterator[Index]:
    existing = [(i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in found.get_indexes(table.name)]
    existing += [(u["name"], tuple(u["column_names"]), True) for u in found.get_unique_constraints(table.name)]
    wanted = [(str(i.name), tuple(c.name for c in i.columns), bool(i.unique)) for i in table.indexes]
    wanted += [
        (str(u.name), tuple(c.name for c in u.columns), True) for u in table.constraints if isinstance(u, UniqueConstraint)
    ]
    for name, columns, unique in sorted(wanted):
        if any(columns == has and (is_unique or not unique) for _, has, is_unique in existing):
            continue
        if any(name == taken for taken, _, _ in existing):  # e.g. the old plain index, where ours is unique
            name += "_once" if unique else "_plain"
            if any(name == taken for taken, _, _ in existing):
                continue
        yield _spare_index(table, name, columns, unique)


def _spare_index(table: Table, name: str, columns: tuple[str, ...], unique: bool) -> Index:
    """An index like the model's that is not attached to it: making it here must not change the model."""
    copy = Table(table.name, MetaData(), *(Column(c, table.columns[c].type) for c in columns))
    return Index(name, *(copy.columns[c] for c in columns), unique=unique)


def _duplicates(connection: Connection, index: Index, columns: Collection[str]) -> bool:
    """Whether existing rows stand against a unique index."""
    if not {c.name for c in index.columns} <= set(columns):
        return False
    some = select(func.count()).select_from(cast(Table, index.table)).where(*(c.is_not(None) for c in index.columns))
    return connection.execute(some.group_by(*index.columns).having(func.count() > 1).limit(1)).first() is not None


def _indexer(index: Index) -> Callable[[Connection], None]:
    def apply(connection: Connection) -> None:
        connection.execute(CreateIndex(index))

    return apply


def create_index_online(connection: Connection, index: Index) -> None:
    """Make an index on a table in use. MySQL and MariaDB let writers go on by themselves; SQLite cannot."""
    if connection.dialect.name != "postgresql":
        connection.execute(CreateIndex(index))
        connection.commit()
        return
    connection.commit()
    alone = connection.execution_options(isolation_level="AUTOCOMMIT")
    name = connection.dialect.identifier_preparer.quote(str(index.name))
    alone.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")  # what an interrupted attempt left is there, but not valid
    index.dialect_options["postgresql"]["concurrently"] = True
    alone.execute(CreateIndex(index))


def _reuses_ids(connection: Connection, table: Table) -> bool:
    if not table.dialect_options["sqlite"]["autoincrement"] or table.autoincrement_column is None:
        return False
    return "AUTOINCREMENT" not in _sqlite_sql(connection, table.name).upper()


def _sqlite_sql(connection: Connection, name: str) -> str:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"), {"name": name})
    return str(rows.scalar_one())


def _renumber(connection: Connection, name: str) -> None:
    """Rebuild a SQLite table with AUTOINCREMENT; columns, defaults, constraints and indexes stay as they were."""
    run = connection.exec_driver_sql
    columns = run(f"PRAGMA table_info(`{name}`)").all()
    indexes = run(
        "SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND tbl_name = ? AND sql IS NOT NULL", (name,)
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
    return f"`{name}` {kind}{' NOT NULL' if not_null else ''}{f' DEFAULT {default}' if default is not None else ''}"


def _seed_sequence(connection: Connection, name: str) -> None:
    """Continue after the highest id that is written down anywhere, not only after the highest row."""
    present = set(inspect(connection).get_table_names())
    highest = [connection.exec_driver_sql(f"SELECT max(id) FROM `{name}`").scalar()]
    for table, column in MENTIONS.get(name, ()):
        if table in present:
            highest.append(connection.exec_driver_sql(f"SELECT max(`{column}`) FROM `{table}`").scalar())
    top = max((int(h) for h in highest if h), default=0)
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, top))
