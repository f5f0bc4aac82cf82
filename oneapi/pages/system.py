"""This installation: version, databases, workers, and what the environment decides. Nothing here can be changed."""

import platform
from typing import Any
from urllib.parse import urlsplit

from flask import Response
from flask_babel import gettext as _

from oneapi import access, config
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse
from oneapi.models.user import Role
from oneapi.pages.render import page

bp = GuardedBlueprint("system", __name__)


@bp.route("/system", allow=Role.ROOT)
def index() -> Response:
    state = access.state()
    found, databases = state.config, state.databases
    rows = []
    for field in config.FIELDS:
        value = getattr(found, field.name)
        shown = (_("set") if value else "") if field.secret or field.stored_as.endswith("_DSN") else field.text(value)
        if "://" in shown and "@" in shown:
            shown = urlsplit(shown)._replace(netloc="…").geturl()
        rows.append((field, shown, field.name in found.sources))
    return page(
        "system/index.html",
        rows=rows,
        workers=browse.workers(db.session()),
        started=state.started_at,
        python=platform.python_version(),
        database=databases.url.get_backend_name(),
        database_name=_named(databases.engine),
        place=databases.url.database if databases.url.get_backend_name() == "sqlite" else databases.url.host or "",
        log_database=_named(databases.log_engine) if databases.separate_logs else "",
        redis=bool(found.redis_conn_string),
        node=found.node_type,
        sealed=bool(found.encryption_key),
        lanes=len(state.snapshot.lanes),
        healthy=databases.healthy(),
        now=int(state.clock()),
    )


def _named(engine: Any) -> str:
    """A database server and its version: SQLite 3.45.1, MariaDB 10.11.6."""
    dialect = engine.dialect
    kind = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    names = {"sqlite": "SQLite", "mysql": "MySQL", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
    return f"{names.get(kind, kind)} {'.'.join(str(part) for part in (dialect.server_version_info or ())[:3])}".strip()
