"""Testing channels: one at once, one model after another, or all as a job whose progress the list shows."""

from flask import Response, request
from flask_babel import gettext as _

from oneapi import access
from oneapi.access import actor
from oneapi.actions import channels
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import channel
from oneapi.models.channel import Status
from oneapi.models.user import Role
from oneapi.pages import channels as listing
from oneapi.pages import runs, texts
from oneapi.pages.render import back, fragment, sheet, tell, toast

bp = GuardedBlueprint("channel_tests", __name__)


@bp.route("/channel/<int:id>/test", methods=["POST"], allow=Role.ADMIN)
def one(id: int) -> Response:
    found = channel.get(db.session(), id)
    name = found.name or f"#{id}"
    result = channels.test(access.state(), id, model=found.test_model or "")
    if result.ok:
        toast(_("%(name)s answered in %(time)s", name=name, time=texts.duration(result.seconds * 1000)))
    else:
        toast(_("%(name)s failed: %(error)s", name=name, error=result.message[:300]), "bad")
    if result.ok and request.form.get("then") == "enable":
        channels.update(access.state(), actor(), id, {"status": Status.ENABLED})
    return listing.row(id)


@bp.route("/channel/test", methods=["POST"], allow=Role.ADMIN)
def many() -> Response:
    """All channels, or those of one status, as a job."""
    scope = request.form.get("scope", "all")
    return runs.start("channel-tests", back("/channel"), scope=scope if scope in ("all", "disabled") else "all")


@bp.route("/channel/balances", methods=["POST"], allow=Role.ADMIN)
def balances() -> Response:
    return runs.start("balances", back("/channel"))


@bp.route("/channel/<int:id>/tests", allow=Role.ADMIN)
def models(id: int) -> Response:
    return sheet("channels/tests.html", **listing.tests(channel.get(db.session(), id)))


@bp.route("/channel/<int:id>/tests", methods=["POST"], allow=Role.ADMIN)
def model(id: int) -> Response:
    """One model, tested; its line anew."""
    row = channel.get(db.session(), id)
    name, kind = request.form.get("model", ""), request.form.get("kind", "")
    known = dict(listing.kinds(row))
    result = channels.test(
        access.state(), id, model=name, kind=kind if kind in known else "", stream=bool(request.form.get("stream"))
    )
    if "HX-Request" in request.headers:
        return fragment("channels/tests.html", "line", row=row, name=name, result=result, unpriced=listing.unpriced(row))
    return sheet("channels/tests.html", **listing.tests(row), results={name: result})


@bp.route("/channel/<int:id>/tests/remove", methods=["POST"], allow=Role.ADMIN)
def remove(id: int) -> Response:
    """Take models out of the channel, those that failed say."""
    row, gone = channel.get(db.session(), id), request.form.getlist("models")
    left = [name for name in row.model_names() if name not in gone]
    if not gone or not left:
        toast(_("Select some of the models; a channel needs at least one.") if not gone else _("A channel needs a model."), "bad")
    else:
        row = channels.update(access.state(), actor(), id, {"models": ",".join(left)})
        toast(_("%(n)s models removed from %(name)s", n=len(gone), name=row.name))
    answer = sheet("channels/tests.html", **listing.tests(row))
    return tell(answer, {"list:refresh": True})
