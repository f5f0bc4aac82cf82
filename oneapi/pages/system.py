"""This installation: version, databases, workers, and what the environment decides. Nothing here can be changed."""

import platform
from urllib.parse import urlsplit

from flask import Response
from flask_babel import gettext as _

from oneapi import access, config
from oneapi.access import GuardedBlueprint
from oneapi.db import db
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
        log_database=databases.log_url.get_backend_name() if databases.separate_logs else "",
        redis=bool(found.redis_conn_string),
        node=found.node_type,
        sealed=bool(found.encryption_key),
        lanes=len(state.snapshot.lanes),
        healthy=databases.healthy(),
        now=int(state.clock()),
    )
