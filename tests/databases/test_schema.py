"""The tables as they are declared, in a golden file: who changes one also writes the revision that brings it about."""

import os
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects import mysql, postgresql, sqlite

from oneapi import migrate
from oneapi.models import Base

GOLDEN = Path(__file__).parent.parent / "golden" / "schema.txt"
DIALECTS = (sqlite.dialect(), mysql.dialect(), postgresql.dialect())


def described() -> str:
    """Every table, column and index, with the type on each kind of database, below the newest revision."""
    lines = [f"revision {ScriptDirectory(str(migrate.FOLDER)).get_current_head()}"]
    for table in Base.metadata.sorted_tables:
        lines += ["", f"{table.name} ({', '.join(table.primary_key.columns.keys())})"]
        for column in table.columns:
            kinds = list(dict.fromkeys(column.type.compile(dialect=dialect) for dialect in DIALECTS))
            lines.append(f"  {column.name}: {' / '.join(kinds)}{'' if column.nullable else ' not null'}")
        unique = [u for u in table.constraints if isinstance(u, UniqueConstraint)]
        named = {str(i.name): (i.columns, i.unique) for i in table.indexes} | {str(u.name): (u.columns, True) for u in unique}
        for name, (columns, is_unique) in sorted(named.items()):
            lines.append(f"  {'unique' if is_unique else 'index'} {name}: {', '.join(c.name for c in columns)}")
    return "\n".join(lines) + "\n"


def test_a_change_of_the_tables_comes_with_a_revision() -> None:
    """For a released version: `flask db revision -m …` first; then SCHEMA_UPDATE=1 writes this file anew."""
    if os.environ.get("SCHEMA_UPDATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(described())
    assert described() == GOLDEN.read_text()


def test_the_newest_revision_is_known_without_alembic() -> None:
    assert migrate._head() == ScriptDirectory(str(migrate.FOLDER)).get_current_head()
