"""Logs: everybody's for administrators, one's own for everybody."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Response

from oneapi import access, jobs
from oneapi.access import current_user
from oneapi.api import envelope, shapes
from oneapi.db import Session
from oneapi.messages import Refused
from oneapi.models import log, log_list, log_pages
from oneapi.models.log_list import LogFilter
from oneapi.models.user import Role

routes = envelope.resource("log", "/log")

PAGE = ("p", "page_size", "before")
CONTINUED = {"complete": bool, "since": int, "before": int}  # beside a list that goes on
FILTER = ("type", "start_timestamp", "end_timestamp", "username", "token_name", "model_name", "channel")


def _wanted(**more: object) -> LogFilter:
    """The filter that the query string asks for."""
    number, word = envelope.number_of, envelope.word
    until = number("end_timestamp")  # inclusive
    asked = {
        "type": number("type"), "since": number("start_timestamp"), "until": until + 1 if until else 0,
        "username": word("username"), "token": word("token_name"), "model": word("model_name"), "channel": number("channel"),
    }  # fmt: skip
    return LogFilter(**asked | more)  # type: ignore[arg-type]


def _page(wanted: LogFilter, shape: Callable[[log.Log], dict[str, Any]]) -> Response:
    page = envelope.page()
    with access.state().databases.logs() as session:
        found = log_pages.page(session, wanted, offset=page.offset, limit=page.limit, before=envelope.number_of("before"))
        return envelope.listing(map(shape, found.rows), found.total, **_continued(session, found))


def _search(shape: Callable[[log.Log], dict[str, Any]], user_id: int = 0) -> Response:
    with access.state().databases.logs() as session:
        keyword, before = envelope.word("keyword"), envelope.number_of("before")
        found = log_pages.search(session, keyword, user_id=user_id, before=before)
        return envelope.ok(list(map(shape, found.rows)), **_continued(session, found))


def _continued(session: Session, found: log_pages.Page) -> dict[str, Any]:
    """Return where a list goes on if time was up before its end."""
    return {"complete": False, "since": log_list.moment(session, found.looked), "before": found.before} if found.before else {}


def _stat(wanted: LogFilter) -> Response:
    """The sum as far as a fraction of a second goes."""
    filters = replace(wanted, type=int(log.Kind.CONSUME))
    with access.state().databases.logs() as session:
        quota, before = log_list.consumed(session, filters, before=envelope.number_of("before"))
        since = log_list.moment(session, before) if before else 0
    return envelope.ok({"quota": quota} | ({"complete": False, "since": since, "before": before} if before else {}))


@routes.route("/", allow=Role.ADMIN)
@envelope.says("[Log]", query=FILTER + PAGE, more=CONTINUED)
def get_logs() -> Response:
    """Everybody's logs, newest first; `type` is 1 top-up, 2 usage, 3 administration, 4 system, 5 test, 6 error, 0 all.

    A filter is looked for during a fraction of a second. Where older entries are left, `complete` is false, `since` the time of
    the oldest entry that was looked at, and the same request with the returned `before` and without `p` goes on.
    """
    return _page(_wanted(), shapes.log)


@routes.route("/", methods=["DELETE"], allow=Role.ADMIN)
@envelope.says("integer", query=("target_timestamp",), more={"job": int})
def delete_logs() -> Response:
    """Delete all logs that are older than `target_timestamp` in the background.

    Answers how many: exactly up to 100,000, more are estimated. `job` is the id of the run that deletes them.
    """
    before = envelope.number_of("target_timestamp")
    if not before:
        raise Refused("target_timestamp")
    expected, run = jobs.delete_logs(access.state(), access.actor(), before)
    return envelope.ok(expected, job=run)


@routes.route("/stat", allow=Role.ADMIN)
@envelope.says("Stat", query=(*FILTER, "before"))
def get_stat() -> Response:
    """How much quota the consume logs that pass the filter come to.

    Where the sum would take long, it covers the newest logs only: `complete` is then false, `since` the time of the oldest one in
    it, and the same request with `before` set to the returned one gives the sum of the next older ones.
    """
    return _stat(_wanted())


@routes.route("/search", allow=Role.ADMIN)
@envelope.says("[Log]", query=("keyword", "before"), more=CONTINUED)
def search_logs() -> Response:
    """The newest logs of a type, or whose content begins with the keyword; `complete` as for lists."""
    return _search(shapes.log)


@routes.route("/self", allow=Role.USER)
@envelope.says("[Log]", query=FILTER + PAGE, more=CONTINUED)
def get_own_logs() -> Response:
    """One's own logs, newest first; `type` as for everybody's, and `complete` too."""
    return _page(_wanted(user_id=current_user.id, username="", channel=0), shapes.own_log)


@routes.route("/self/stat", allow=Role.USER)
@envelope.says("Stat", query=(*FILTER, "before"))
def get_own_stat() -> Response:
    """How much quota one's own consume logs that pass the filter come to; `complete` as for everybody's."""
    return _stat(_wanted(user_id=current_user.id, username=""))


@routes.route("/self/search", allow=Role.USER)
@envelope.says("[Log]", query=("keyword", "before"), more=CONTINUED)
def search_own_logs() -> Response:
    """One's own newest logs of a type."""
    return _search(shapes.own_log, current_user.id)
