"""What a database lacks compared with our tables, and how to add it in place without losing or narrowing anything."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    CHAR,
    Column,
    Connection,
    DefaultClause,
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

from oneapi.models import renumber

log = logging.getLogger(__name__)

# On a table of more rows than this, indexes are made by `flask log-indexes` and not while the start waits.
LARGE = 50_000
INDEXED = 191  # characters of a text that MySQL indexes, as in varchar(191)


@dataclass(frozen=True, slots=True)
class Change:
    """One step: a sentence for people, and the doing."""

    says: str
    apply: Callable[[Connection], None]


def settle(connection: Connection, metadata: MetaData, tables: Iterable[str] | None = None) -> None:
    """Add what is missing. Running it again, or after a crash in the middle, does no harm."""
    for change in changes(connection, metadata, tables):
        try:
            change.apply(connection)
        except Exception as error:
            error.add_note(change.says)  # migrate.py names the step in its message
            raise


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
    if dialect.name == "sqlite" and renumber.reuses_ids(connection, table) and not is_large:
        says = f"number the rows of {table.name} so that no id is ever given twice"
        yield Change(says, lambda c: renumber.renumber(c, table.name))
    columns = {c["name"]: c for c in found.get_columns(table.name)}
    for column in table.columns:
        if column.name not in columns:
            yield _run(f"add column {table.name}.{column.name}", _add_column(table, column, dialect))
        elif _to_widen(columns[column.name], column, dialect):
            yield _run(f"widen column {table.name}.{column.name}", _widen(found, table, column, columns[column.name], dialect))
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
    """Return an ADD COLUMN that rewrites no rows: nullable, generated, or with a constant default.

    On MySQL a text is utf8mb4 whatever the table is.
    """
    generated, default = column.computed, column.server_default
    if generated is not None:
        spare = Column(column.name, column.type, type(generated)(generated.sqltext))
    else:
        if column is table.c.get("password"):
            default = DefaultClause("")  # matches no password; without one the old project could not read the row
        spare = Column(column.name, column.type, server_default=default, nullable=default is None)
    Table(table.name, MetaData(), spare)
    kind, made = column.type.compile(dialect), str(CreateColumn(spare).compile(dialect=dialect))
    if dialect.name == "mysql" and isinstance(column.type.dialect_impl(dialect), String):
        made = made.replace(kind, f"{kind} CHARACTER SET utf8mb4", 1)
    return f"ALTER TABLE {_name(table, dialect)} ADD COLUMN {made}"


def _wider(has: object, column: Column, dialect: Dialect) -> bool:
    wanted = column.type.dialect_impl(dialect)
    if not isinstance(has, String) or not isinstance(wanted, String) or has.length is None:
        return False
    if wanted.length is None or wanted.length > has.length:
        return True
    # PostgreSQL pads char(n) with blanks, so that what is read is not what was written.
    return dialect.name == "postgresql" and isinstance(has, CHAR) and not column.type.compile(dialect).startswith("CHAR")


def _to_widen(has: Any, column: Column, dialect: Dialect) -> bool:
    """Return True when a column must hold more than it can. Logs may have millions of rows and stay as they are."""
    return dialect.name != "sqlite" and column.table.name != "logs" and _wider(has["type"], column, dialect)


def _widen(found: Inspector, table: Table, column: Column, has: Any, dialect: Dialect) -> str:
    name, kind = dialect.identifier_preparer.format_column(column), column.type.compile(dialect)
    if dialect.name == "postgresql":
        return f"ALTER TABLE {_name(table, dialect)} ALTER COLUMN {name} TYPE {kind}"
    nullable = "" if has["nullable"] else " NOT NULL"
    default = f" DEFAULT {has['default']}" if has["default"] and "TEXT" not in kind else ""
    lost, made = _prefixed_indexes(found, table, column, dialect) if "TEXT" in kind else ("", "")
    return f"ALTER TABLE {_name(table, dialect)} {lost}MODIFY COLUMN {name} {kind}{nullable}{default}{made}"


def _prefixed_indexes(found: Inspector, table: Table, column: Column, dialect: Dialect) -> tuple[str, str]:
    """Return what an ALTER TABLE of MySQL says before and after, so that an operator's indexes survive a change to TEXT.

    MySQL wants a length for such a column in an index.
    """
    quote, lost, made = dialect.identifier_preparer.quote, "", ""
    for index in found.get_indexes(table.name):
        lengths = dict((index.get("dialect_options") or {}).get("mysql_length") or {})
        if column.name not in index["column_names"] or column.name in lengths or index.get("type") == "FULLTEXT":
            continue
        lengths[column.name] = INDEXED
        names = [str(n) for n in index["column_names"]]
        parts = ", ".join(quote(n) + (f"({lengths[n]})" if n in lengths else "") for n in names)
        lost += f"DROP INDEX {quote(str(index['name']))}, "
        made += f", ADD {'UNIQUE ' if index['unique'] else ''}INDEX {quote(str(index['name']))} ({parts})"
    return lost, made


def _missing_indexes(found: Inspector, table: Table) -> Iterator[Index]:
    existing = [(i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in found.get_indexes(table.name)]
    existing += [(u["name"], tuple(u["column_names"]), True) for u in found.get_unique_constraints(table.name)]
    wanted = [(str(i.name), tuple(c.name for c in i.columns), bool(i.unique)) for i in table.indexes]
    wanted += [
        (str(u.name), tuple(c.name for c in u.columns), True) for u in table.constraints if isinstance(u, UniqueConstraint)
    ]
    names = {name for name, _, _ in existing} | _index_names(found)
    for name, columns, unique in sorted(wanted):
        if any(columns == has and (is_unique or not unique) for _, has, is_unique in existing):
            continue
        if name in names:  # e.g. the old plain index, where ours is unique
            name += "_once" if unique else "_plain"
            if name in names:
                continue
        yield _spare_index(table, name, columns, unique)


def _index_names(found: Inspector) -> set[str | None]:
    """Return the names that no further index may have: in SQLite and PostgreSQL those of all tables."""
    if found.dialect.name not in ("sqlite", "postgresql"):
        return set()
    return {index["name"] for indexes in found.get_multi_indexes().values() for index in indexes}


def obstacles(connection: Connection, metadata: MetaData, names: Iterable[str] | None = None) -> list[str]:
    """Return one sentence for each object of the operator's that the upgrade cannot pass; each says what to do."""
    found = inspect(connection)
    views, present = set(found.get_view_names()), set(found.get_table_names())
    ours = [t for t in metadata.sorted_tables if names is None or t.name in set(names)]
    same = sorted(views & {t.name for t in ours})
    lines = [f"The view {name} has the name of a table of One API: rename the view, then start again." for name in same]
    for table in (t for t in ours if t.name in present):
        columns = {c["name"]: c for c in found.get_columns(table.name)}
        if missing := [c.name for c in table.primary_key if c.name not in columns]:
            lines.append(
                f"The table {table.name} is not one of One API's, because it has no column {missing[0]}: "
                "rename it, or give One API a database of its own."
            )
        if connection.dialect.name == "postgresql":
            wide = [c.name for c in table.columns if c.name in columns and _to_widen(columns[c.name], c, connection.dialect)]
            lines += [
                f"The {what} uses {table.name}.{column}, whose type must change: drop it, start, and create it again."
                for column in wide
                for what in _dependents(connection, table.name, column)
            ]
    return lines


def _dependents(connection: Connection, table: str, column: str) -> list[str]:
    """Return what keeps PostgreSQL from changing the type of a column: views, rules, policies and triggers that name it."""
    rows = connection.execute(text(_DEPENDENTS), {"table": table, "column": column})
    return sorted({str(what) for (what,) in rows})


_DEPENDENTS = """
SELECT CASE WHEN v.relkind IS NOT NULL
    THEN CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.relname
    ELSE pg_describe_object(d.classid, d.objid, 0) END
FROM pg_depend d
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(quote_ident(:table)) AND a.attname = :column
AND d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass)
"""


def has_columns(connection: Connection, table: str, *names: str) -> bool:
    """Return True when the table exists and has all these columns."""
    found = inspect(connection)
    return found.has_table(table) and set(names) <= {c["name"] for c in found.get_columns(table)}


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
