"""The news of a run while it goes on: server-sent events with the banner and the rows that changed."""

from collections.abc import Iterator
from time import monotonic

import gevent
from flask import Response, abort, stream_with_context

from oneapi import access, jobs, lifecycle
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse, job
from oneapi.models.channel import Channel
from oneapi.models.job import JobRun
from oneapi.models.user import Role
from oneapi.pages import channels, runs
from oneapi.pages.render import rendered

bp = GuardedBlueprint("news", __name__)

BEAT_SECONDS = 0.4  # between two looks at a run
QUIET_SECONDS = 2.0  # after which the banner is sent even when nothing changed, so that the page knows that it is heard
LONGEST_SECONDS = 600.0  # of one stream; the browser asks again, and its rights are looked at again


@bp.route("/job/<name>/events", allow=Role.ADMIN)
def events(name: str) -> Response:
    """The news of a running job until it is over: events `row`, `progress` and at last `done`."""
    if name not in jobs.BY_NAME:
        abort(404)
    answer = Response(stream_with_context(_told(name)), mimetype="text/event-stream")
    answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"] = "no-store", "no"
    return answer


def _told(name: str) -> Iterator[str]:
    ends, heard, banner, rows = monotonic() + LONGEST_SECONDS, 0.0, "", dict[int, str]()
    while monotonic() < ends and not lifecycle.draining():
        run = job.running(db.session(), (name,))
        if run is None:
            yield _event("done", "")
            return
        for id, html in _rows(run).items():
            if rows.get(id) != html:
                rows[id] = html
                yield _event("row", html)
        now = rendered("jobs/banner.html", "banner", run=runs.shown(run))
        db.session().rollback()  # hold no connection while waiting
        if now != banner or monotonic() - heard > QUIET_SECONDS:
            banner, heard = now, monotonic()
            yield _event("progress", now)
        gevent.sleep(BEAT_SECONDS)


def _rows(run: JobRun) -> dict[int, str]:
    """The rows of the channels that a run has just been at, and of the one it is at."""
    if run.name not in runs.PLACES:
        return {}
    at = runs.shown(run)["progress"].get("at")
    since = max(run.started_at, int(access.state().clock()) - 15)
    found = {row.id: row for row in browse.channels_told(db.session(), since)}
    if at and (row := db.session().get(Channel, at)) is not None:
        found[at] = row
    return {id: channels.row_html(row, testing=id == at) for id, row in found.items()}


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"
