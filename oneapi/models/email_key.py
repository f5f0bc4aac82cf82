"""The generated column by which accounts are found from an e-mail address in any spelling."""

from typing import Any

from sqlalchemy import Computed
from sqlalchemy.ext.compiler import compiles


class Folded(Computed):
    """A generated column: virtual, except on PostgreSQL, whose versions before 18 have stored ones only."""

    inherit_cache = True


@compiles(Folded)  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def _virtual(column: Folded, compiler: Any, **_: Any) -> str:
    return f"GENERATED ALWAYS AS ({column.sqltext}) VIRTUAL"


@compiles(Folded, "postgresql")  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def _stored(column: Folded, compiler: Any, **_: Any) -> str:
    return f"GENERATED ALWAYS AS ({column.sqltext}) STORED"
