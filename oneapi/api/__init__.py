"""JSON for programs: the management API under /api, one module per resource."""

from flask import Flask, Response, request

from oneapi.api import (
    channels,
    envelope,
    logs,
    me,
    oauth,
    openapi,
    operations,
    options,
    public,
    redemptions,
    session,
    tokens,
    users,
)

RESOURCES = (public, session, oauth, me, users, channels, tokens, redemptions, options, logs, operations, openapi)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

rest = envelope.resource("rest", "")


@rest.route("/<path:path>", methods=METHODS, allow=None)
@rest.route("/", methods=METHODS, allow=None)
def nowhere(path: str = "") -> Response:
    """What is none of ours, in the words of OpenAI's API, as the old project answered it."""
    error = {
        "message": f"Invalid URL ({request.method} {request.path})",
        "type": "invalid_request_error",
        "param": "",
        "code": "",
    }
    return envelope.answer({"error": error}, 404)


def init(app: Flask) -> None:
    """Register every resource, and last what catches the rest."""
    for module in RESOURCES:
        app.register_blueprint(module.routes)
    app.register_blueprint(rest)
