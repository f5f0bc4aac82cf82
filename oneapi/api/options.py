"""Settings, for root."""

from flask import Response

from oneapi import access, notify
from oneapi.actions import options
from oneapi.api import envelope
from oneapi.messages import Refused
from oneapi.models.user import Role

routes = envelope.resource("option", "/option")

FIELDS: dict[str, type] = {"key": str, "value": str}
TEST_MAIL: dict[str, type] = {"to": str}


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


@routes.route("/test_mail", methods=["POST"], allow=Role.ROOT, critical=True)
@envelope.says("", takes=TEST_MAIL)
def test_mail() -> Response:
    """Send a test mail with the settings in force; the message of a failure holds what the mail server answered.

    It goes to `to`, without it to the sender.
    """
    to = envelope.decode(TEST_MAIL).get("to", "").strip()
    try:
        notify.send_test(access.state(), "mail", to, access.language())
    except notify.MailError as error:
        raise Refused("mail_failed", error=error) from error
    return envelope.ok()
