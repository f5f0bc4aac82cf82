"""Logs: everybody's for administrators, one's own for everybody."""

from flask import Response

from oneapi import access, jobs
from oneapi.access import current_user
from oneapi.api import envelope, shapes
from oneapi.messages import Refused
from oneapi.models import log, log_list
from oneapi.models.log import Filter
from oneapi.models.log_list import LogFilter
from oneapi.models.user import Role

routes = envelope.resource("log", "/log")

PAGE = ("p", "page_size", "before")
FILTER = ("type", "start_timestamp", "end_timestamp", "username", "token_name", "model_name", "channel")


def _wanted(**more: object) -> Filter:
    """The filter that the query string asks for."""
    number, word = envelope.number_of, envelope.word
    asked = {
        "type": number("type"), "since": number("start_timestamp"), "until": number("end_timestamp"),
        "username": word("username"), "token_name": word("token_name"), "model_name": word("model_name"),
        "channel": number("channel"),
    }  # fmt: skip
    return Filter(**asked | more)  # type: ignore[arg-type]


def _page(wanted: Filter) -> tuple[list[log.Log], int]:
    page = envelope.page()
    with access.state().databases.logs() as session:
        return log.page(session, wanted, offset=page.offset, limit=page.limit, before=envelope.number_of("before"))


def _stat(wanted: Filter) -> Response:
    """The sum as far as a fraction of a second goes."""
    filters = LogFilter(
        since=wanted.since, until=wanted.until + 1 if wanted.until else 0, user_id=wanted.user_id, type=int(log.Kind.CONSUME),
        model=wanted.model_name, token=wanted.token_name, username=wanted.username, channel=wanted.channel,
    )  # fmt: skip
    with access.state().databases.logs() as session:
        quota, before = log_list.consumed(session, filters, before=envelope.number_of("before"))
        since = log_list.moment(session, before) if before else 0
    return envelope.ok({"quota": quota} | ({"complete": False, "since": since, "before": before} if before else {}))


@routes.route("/", allow=Role.ADMIN)
@envelope.says("[Log]", query=FILTER + PAGE)
def get_logs() -> Response:
    """Everybody's logs, newest first; `type` is 1 top-up, 2 usage, 3 administration, 4 system, 5 test, 6 error, 0 all."""
    rows, total = _page(_wanted())
    return envelope.listing(map(shapes.log, rows), total)


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
@envelope.says("[Log]", query=("keyword",))
def search_logs() -> Response:
    """The newest logs of a type, or whose content begins with the keyword."""
    with access.state().databases.logs() as session:
        return envelope.ok([shapes.log(row) for row in log.search(session, envelope.word("keyword"))])


@routes.route("/self", allow=Role.USER)
@envelope.says("[Log]", query=FILTER + PAGE)
def get_own_logs() -> Response:
    """One's own logs, newest first; `type` is 1 top-up, 2 usage, 3 administration, 4 system, 5 test, 6 error, 0 all."""
    rows, total = _page(_wanted(user_id=current_user.id, username="", channel=0))
    return envelope.listing(map(shapes.own_log, rows), total)


@routes.route("/self/stat", allow=Role.USER)
@envelope.says("Stat", query=(*FILTER, "before"))
def get_own_stat() -> Response:
    """How much quota one's own consume logs that pass the filter come to; `complete` as for everybody's."""
    return _stat(_wanted(user_id=current_user.id, username=""))


@routes.route("/self/search", allow=Role.USER)
@envelope.says("[Log]", query=("keyword",))
def search_own_logs() -> Response:
    """One's own newest logs of a type."""
    with access.state().databases.logs() as session:
        return envelope.ok(
            [shapes.own_log(row) for row in log.search(session, envelope.word("keyword"), user_id=current_user.id)]
        )
