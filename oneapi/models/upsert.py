"""Insert, or change what is there, in one statement: of two workers that do it at once neither fails nor locks out the other."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import mysql, postgresql, sqlite

from oneapi.models.base import Base


def upsert(dialect: str, model: type[Base], *, replace: Sequence[str] = (), add: Sequence[str] = ()) -> Any:
    """An INSERT for `model` that, where the primary key exists, replaces some columns and adds to others."""
    table = cast(Table, model.__table__)
    if dialect == "mysql":
        made = mysql.insert(table)
        return made.on_duplicate_key_update(_changes(table, made.inserted, replace, add))
    other: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    keys = [column.name for column in table.primary_key]
    return other.on_conflict_do_update(index_elements=keys, set_=_changes(table, other.excluded, replace, add))


def _changes(table: Table, given: Any, replace: Sequence[str], add: Sequence[str]) -> dict[str, Any]:
    return {name: given[name] for name in replace} | {name: table.c[name] + given[name] for name in add}
