"""The first steps of a new installation: each ticks itself, and the list goes when all are done or root hides it."""

from dataclasses import dataclass
from typing import Any

from flask import Response, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access, vendors
from oneapi.access import actor
from oneapi.actions import options
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse, usage
from oneapi.models.user import Role
from oneapi.pages import channel_form
from oneapi.pages.render import done, fragment

bp = GuardedBlueprint("checklist", __name__)

COMMON = (1, 14, 24, 36, 49, 40, 3, 30)  # vendors offered as tiles
HIDDEN = "checklist"
FACTORY = "http://localhost:3000"  # the server address of an installation that was told none


@dataclass(frozen=True)
class Step:
    name: str
    title: str
    text: str
    done: bool
    href: str = ""


def steps() -> dict[str, Any] | None:
    """The list as the overview shows it; None when there is nothing to show."""
    state = access.state()
    if current_user.role < Role.ROOT or request.cookies.get(HIDDEN) == "off":
        return None
    lanes = state.snapshot.lanes
    served = bool(lanes) and usage.any_request(db.session())
    if served:
        return None
    keys = bool(lanes) and bool(browse.token_names(db.session(), current_user.id, 1))
    address, visited = state.settings.server_address, request.host_url.rstrip("/")
    found = [
        Step("password", _("Change root's first password"), "", not current_user.row.must_change_password),
        Step(
            "address",
            _("Confirm the server address"),
            address,
            address in (visited, "") or address != FACTORY,
            "/setting/general",
        ),
        Step("channel", _("Add a channel"), _("Choose a provider and paste its key."), bool(lanes), "/channel?add=1"),
        Step("key", _("Create an API key"), _("Limit its budget, models, networks and expiry."), keys, "/token/add"),
        Step("request", _("Send the first request"), _("This page notices when it arrives."), served, "/playground"),
    ]
    return {
        "steps": found,
        "done": sum(s.done for s in found),
        "now": next((s.name for s in found if not s.done), ""),
        "tiles": [(id, channel_form.vendor_name(id)) for id in COMMON if id in vendors.REGISTRY],
        "visited": visited,
        "vendors": len(vendors.REGISTRY),
        "sqlite": state.databases.url.get_backend_name() == "sqlite",
        "mail": state.settings.email_verification_enabled and not state.settings.smtp_server,
    }


@bp.route("/dashboard/checklist", allow=Role.ROOT)
def index() -> Response:
    """The list alone, asked for every two seconds until the first request has come."""
    found = steps()
    if found is None:
        answer = Response(status=286)
        answer.headers["HX-Refresh"] = "true"
        return answer
    return fragment("overview/checklist.html", "checklist", checklist=found)


@bp.route("/dashboard/address", methods=["POST"], allow=Role.ROOT)
def address() -> Response:
    """Take the address under which root sees this page for the server's own."""
    options.save(access.state(), actor(), {"ServerAddress": request.host_url.rstrip("/")})
    return done("/dashboard")


@bp.route("/dashboard/checklist", methods=["POST"], allow=Role.ROOT)
def hide() -> Response:
    answer = done("/dashboard")
    answer.set_cookie(HIDDEN, "off", max_age=366 * 86400, samesite="Lax")
    return answer
