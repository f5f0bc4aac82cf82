"""Settings, for root."""

from flask import Response

from oneapi import access
from oneapi.actions import options
from oneapi.api import envelope
from oneapi.messages import Refused
from oneapi.models.user import Role

routes = envelope.resource("option", "/option")

FIELDS: dict[str, type] = {"key": str, "value": str}


@routes.route("/", allow=Role.ROOT)
@envelope.says("[Option]")
def get_options() -> Response:
    """Every setting that is no secret, as text."""
    return envelope.ok([{"key": key, "value": text} for key, text in options.shown(access.state())])


@routes.route("/", methods=["PUT"], allow=Role.ROOT)
@envelope.says("", takes=FIELDS)
def put_option() -> Response:
    """Change one setting; the value is a text."""
    try:
        given = envelope.decode(FIELDS, exact=True)
    except Refused as refusal:
        return envelope.fail(refusal.code, status=400)
    options.save(access.state(), access.actor(), {given.get("key", ""): given.get("value", "")})
    return envelope.ok()
