"""Settings, for root."""

from flask import Response

from oneapi import access
from oneapi.actions import options
from oneapi.api import envelope
from oneapi.messages import Refused
from oneapi.models.user import Role

routes = envelope.resource("option", "/option")


@routes.route("/", allow=Role.ROOT)
def get_options() -> Response:
    """Every setting that is no secret, as text."""
    return envelope.ok([{"key": key, "value": text} for key, text in options.shown(access.state())])


@routes.route("/", methods=["PUT"], allow=Role.ROOT)
def put_option() -> Response:
    """Change one setting; the value is a text."""
    try:
        given = envelope.decode({"key": str, "value": str}, exact=True)
    except Refused as refusal:
        return envelope.fail(refusal.code, status=400)
    options.save(access.state(), access.actor(), {given.get("key", ""): given.get("value", "")})
    return envelope.ok()
