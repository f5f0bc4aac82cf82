"""One's own account: profile, access token, invitation code, redeeming, usage."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from flask import Response

from oneapi import access, doors
from oneapi.access import current_user
from oneapi.actions import accounts, topups
from oneapi.api import envelope, shapes
from oneapi.db import db
from oneapi.messages import Refused
from oneapi.models import ledger, usage
from oneapi.models.user import Role

routes = envelope.resource("me", "")

DAY = 86400
CHANGED = dict.fromkeys(("username", "password", "display_name", "current_password", "original_password"), str)
LONGEST_USAGE = 400  # days


@routes.route("/user/self", allow=Role.USER, unready=True)
@envelope.says("User")
def get_self() -> Response:
    """One's own account."""
    leased = ledger.leased(db.session(), "user", [current_user.id])
    return envelope.with_csrf(envelope.ok(shapes.person(current_user.row, leased.get(current_user.id, 0))))


@routes.route("/user/self", methods=["PUT"], allow=Role.USER, unready=True)
@envelope.says("", takes=CHANGED)
def put_self() -> Response:
    """Change one's own user name, display name or password; empty ones stay.

    A new password needs `current_password` and ends every session and the access token. `original_password` is another name.
    """
    given = envelope.decode(CHANGED, exact=True)
    given.setdefault("current_password", given.pop("original_password", ""))
    if not given.get("password"):
        doors.require_ready()  # before the first password is changed, nothing else is
    with access.guessing(current_user.username):
        row = accounts.update_self(access.state(), access.actor(), given)
    if given.get("password") and not current_user.by_token:
        access.sign_in(row)  # a new password ends every other session
    return envelope.ok()


@routes.route("/user/self", methods=["DELETE"], allow=Role.USER)
@envelope.says("")
def delete_self() -> Response:
    """Close one's own account."""
    accounts.close_self(access.state(), access.actor())
    access.forget()
    return envelope.ok()


@routes.route("/user/self/sessions", methods=["DELETE"], allow=Role.USER)
@envelope.says("")
def end_sessions() -> Response:
    """End every session of one's own account, this one too. The access token keeps working."""
    accounts.end_sessions(access.state(), access.actor())
    access.forget()
    return envelope.ok()


@routes.route("/user/token", methods=["GET", "POST"], allow=Role.USER, changes=True)
@envelope.says("string")
def new_access_token() -> Response:
    """A new access token; the old one stops working, and this one is never shown again."""
    return envelope.ok(accounts.new_access_token(access.state(), access.actor()))


@routes.route("/user/aff", methods=["GET", "POST"], allow=Role.USER, changes=True)
@envelope.says("string")
def aff_code() -> Response:
    """One's own invitation code."""
    return envelope.ok(accounts.aff_code(access.state(), access.actor()))


@routes.route("/user/topup", methods=["POST"], allow=Role.USER)
@envelope.says("integer", takes={"key": str}, headers=envelope.ONCE)
def redeem() -> Response:
    """Redeem a code; answers how much quota it was worth. Repeated with the same `Idempotency-Key` header it answers the same."""
    key = envelope.decode({"key": str}).get("key", "")
    return envelope.ok(topups.redeem(access.state(), access.actor(), key, attempt=envelope.idempotency_key()))


@routes.route("/user/available_models", allow=Role.USER)
@envelope.says("[string]")
def available_models() -> Response:
    """The models one's group can use."""
    names = access.state().snapshot.group_models.get(current_user.row.group or "default", ())
    return envelope.ok(sorted(names))


@routes.route("/user/dashboard", allow=Role.USER)
@envelope.says("[Day]")
def dashboard() -> Response:
    """One's own consumption of the last seven days by day and model."""
    today = int(access.state().clock()) // DAY * DAY
    days = _by_day(current_user.id, today - 6 * DAY, today + DAY)
    names = ("RequestCount", "Quota", "PromptTokens", "CompletionTokens")
    return envelope.ok(
        [{"Day": day, "ModelName": model} | dict(zip(names, sums, strict=True)) for (day, model), sums in days.items()]
    )


@routes.route("/usage", allow=Role.USER)
@envelope.says("Usage", query=("start_timestamp", "end_timestamp"))
def own_usage() -> Response:
    """One's own consumption by day and model between `start_timestamp` and `end_timestamp`, by default seven days."""
    end = envelope.number_of("end_timestamp") or int(access.state().clock())
    start = envelope.number_of("start_timestamp") or end - 7 * DAY
    if not 0 <= end - start <= LONGEST_USAGE * DAY or end > 2**40:
        raise Refused("invalid_parameter")
    names = ("requests", "quota", "prompt_tokens", "completion_tokens")
    days = _by_day(current_user.id, start // DAY * DAY, end // DAY * DAY + DAY)
    rows = [{"day": day, "model": model} | dict(zip(names, sums, strict=True)) for (day, model), sums in days.items()]
    return envelope.ok({"total": {name: sum(row[name] for row in rows) for name in names}, "days": rows})


def _by_day(user_id: int, since: int, until: int) -> dict[tuple[str, str], list[int]]:
    """Requests, quota, prompt and completion tokens by UTC day and model."""
    days: defaultdict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, 0, 0, 0])
    for found in usage.series(db.session(), since, until, step=DAY, user_id=user_id):
        if not found.requests:  # nothing but failures
            continue
        day = datetime.fromtimestamp(found.key, UTC).strftime("%Y-%m-%d")
        sums = days[day, found.model]
        for at, number in enumerate((found.requests, found.quota, found.prompt, found.completion)):
            sums[at] += number
    return dict(sorted(days.items()))
