"""What runs by itself and what administrators did, for root."""

import json
from typing import Any

from flask import Response

from oneapi import access, jobs
from oneapi.api import envelope
from oneapi.db import db
from oneapi.models import audit, job
from oneapi.models.user import Role

routes = envelope.resource("operations", "")

RUN = ("id", "name", "worker", "state", "started_at", "ended_at", "alive_at", "error")
AUDIT = ("id", "created_at", "actor_id", "actor_name", "action", "noun", "noun_id", "ip")


def _run(row: job.JobRun) -> dict[str, Any]:
    return {name: getattr(row, name) for name in RUN} | {"progress": json.loads(row.progress or "{}")}


@routes.route("/job/", allow=Role.ROOT)
@envelope.says("Jobs")
def get_jobs() -> Response:
    """The jobs, when each runs next, and the last runs."""
    state, leases = access.state(), job.leases(db.session())
    next_runs = {name: lease.next_run for name, lease in leases.items()}
    shown = [
        {"name": each.name, "title": each.title, "period": each.period(state), "next_run": next_runs.get(each.name, 0)}
        for each in jobs.JOBS
    ]
    return envelope.ok({"jobs": shown, "runs": [_run(row) for row in job.last_runs(db.session())]})


@routes.route("/job/<name>", methods=["POST"], allow=Role.ROOT)
@envelope.says("integer")
def begin_job(name: str) -> Response:
    """Start a job now; answers the id of its run."""
    return envelope.ok(jobs.begin(access.state(), name, by=access.actor()))


@routes.route("/job/<name>", methods=["DELETE"], allow=Role.ROOT)
@envelope.says("boolean")
def stop_job(name: str) -> Response:
    """Ask a running job to stop; answers whether it ran."""
    return envelope.ok(jobs.stop_run(access.state(), name, by=access.actor()))


@routes.route("/audit/", allow=Role.ROOT)
@envelope.says("[Audit]", query=("p", "page_size", "noun"))
def get_audit() -> Response:
    """What administrators did, newest first, of all nouns or of `noun`."""
    page = envelope.page()
    rows, total = audit.page(db.session(), noun=envelope.word("noun"), offset=page.offset, limit=page.limit)
    shown = ({name: getattr(row, name) for name in AUDIT} | {"difference": json.loads(row.difference or "{}")} for row in rows)
    return envelope.listing(shown, total)
