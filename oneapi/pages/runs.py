"""Jobs as pages see them: started, watched while they run, stopped; and the page of all jobs."""

import json
from typing import Any

from flask import Response, abort, request, session
from flask_babel import gettext as _

from oneapi import access, jobs
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.messages import Refused
from oneapi.models import job
from oneapi.models.job import JobRun
from oneapi.models.user import Role
from oneapi.pages import complaints, tallies
from oneapi.pages.render import back, done, fragment, page, tell, toast

bp = GuardedBlueprint("runs", __name__)

PLACES = {"channel-tests": "/channel", "balances": "/channel"}


def current(*names: str) -> dict[str, Any] | None:
    """The running run of one of these jobs, as the banner shows it."""
    row = job.running(db.session(), names)
    if row is not None:
        return shown(row)
    if session.get("watched") in names:  # it was over before the page that would have watched it
        over(session.pop("watched"))
    return None


def over(name: str) -> None:
    """Say how the last run went."""
    last = next(iter(job.last_runs(db.session(), limit=1, name=name)), None)
    if last is not None:
        found = shown(last)["progress"]
        failed = found.get("failed", 0)
        good = found.get("done", 0) - failed
        toast(_("%(job)s: done, %(ok)s good, %(failed)s failed", job=title(name), ok=good, failed=failed))


def shown(row: JobRun) -> dict[str, Any]:
    try:
        progress = json.loads(row.progress or "{}")
    except ValueError:
        progress = {}
    told = {"tally": tallies.tally(progress), "ending": tallies.ending(row.error), "differences": tallies.differences(progress)}
    return {"row": row, "progress": progress, "title": title(row.name), **told}


def title(name: str) -> str:
    """A job's title in the reader's language."""
    return _(jobs.BY_NAME[name].title) if name in jobs.BY_NAME else name


def start(name: str, where: str, **arguments: Any) -> Response:
    """Begin a job and show the page that watches it."""
    try:
        jobs.begin(access.state(), name, by=access.actor(), **arguments)
        session["watched"] = name
        toast(_("%(job)s: started", job=title(name)))
    except Refused as error:
        toast(" ".join(complaints.of(error).values()), "bad")
    return done(where)


@bp.route("/job/<name>/banner", allow=Role.ADMIN)
def banner(name: str) -> Response:
    """The banner anew each second; when the run is over, the list under it once more and nothing further."""
    session["watched"] = name
    run = current(name)
    if run is not None:
        return fragment("jobs/banner.html", "banner", run=run)
    return tell(fragment("jobs/banner.html", "banner", status=286, run=None), {"list:refresh": True})


@bp.route("/job", allow=Role.ADMIN)
def index() -> Response:
    leases, runs = job.leases(db.session()), job.last_runs(db.session(), limit=40)
    rows = [
        {"name": j.name, "title": _(j.title), "period": j.period(access.state()), "lease": leases.get(j.name),
         "run": next((shown(r) for r in runs if r.name == j.name), None)} for j in jobs.JOBS
    ]  # fmt: skip
    return page("jobs/index.html", "list", rows=rows, runs=[shown(r) for r in runs], busy=any(r.state == "running" for r in runs))


@bp.route("/job/<name>/run", methods=["POST"], allow=Role.ADMIN)
def run(name: str) -> Response:
    if name not in jobs.BY_NAME:
        abort(404)
    return start(name, "/job")


@bp.route("/job/<name>/stop", methods=["POST"], allow=Role.ADMIN)
def stop(name: str) -> Response:
    if jobs.stop_run(access.state(), name, by=access.actor()):
        toast(_("%(job)s: stopping after this step", job=title(name)))
    return done(back(PLACES.get(name, "/job")) if "channel" in request.headers.get("HX-Current-URL", "") else "/job")
