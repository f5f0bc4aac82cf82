"""Coming and going: sign-in, sign-out, registration, and codes by mail."""

from flask import Response, request

from oneapi import access
from oneapi.actions import accounts, mails
from oneapi.api import envelope, shapes
from oneapi.login import turnstile
from oneapi.messages import Refused

routes = envelope.resource("session", "")

LOGIN = dict.fromkeys(("username", "password"), str)
RESET = dict.fromkeys(("email", "token", "password"), str)
REGISTER = dict.fromkeys(("username", "password", "email", "verification_code", "aff_code"), str)


@routes.route("/user/login", methods=["POST"], allow=None, critical=True, unready=True)
@envelope.says("User", takes=LOGIN)
def login() -> Response:
    """Sign in; sets the session cookie."""
    given = envelope.decode(LOGIN, exact=True)
    name, password = given.get("username", ""), given.get("password", "")
    if not name or not password:
        raise Refused("invalid_parameter")
    with access.guessing(name):
        row = accounts.sign_in(access.state(), name, password, ip=access.client_ip())
    access.sign_in(row)
    return envelope.with_csrf(envelope.ok(shapes.signed_in(row)))


@routes.route("/user/logout", methods=["GET", "POST"], allow=None, changes=True, unready=True)
@envelope.says("")
def logout() -> Response:
    """End the session."""
    access.sign_out()
    return envelope.ok()


@routes.route("/user/register", methods=["POST"], allow=None, critical=True)
@envelope.says("", takes=REGISTER)
def register() -> Response:
    """Open an account."""
    _check_human()
    accounts.register(access.state(), access.actor(), envelope.decode(REGISTER, exact=True))
    return envelope.ok()


@routes.route("/verification", methods=["GET", "POST"], allow=None, critical=True, changes=True)
@envelope.says("", query=("email", "turnstile"))
def verification() -> Response:
    """Mail a code that proves an e-mail address."""
    _check_human()
    mails.send_code(access.state(), access.actor(), request.args.get("email", ""))
    return envelope.ok()


@routes.route("/reset_password", methods=["GET", "POST"], allow=None, critical=True, changes=True)
@envelope.says("", query=("email", "turnstile"))
def send_reset() -> Response:
    """Mail a link to a new password; the answer does not tell whether anybody has this address."""
    _check_human()
    mails.send_reset(access.state(), access.actor(), request.args.get("email", ""))
    return envelope.ok()


@routes.route("/user/reset", methods=["POST"], allow=None, critical=True)
@envelope.says("string", takes=RESET)
def reset() -> Response:
    """Use a reset link. With `password` that becomes the new one; without, a new one is made and answered."""
    given = envelope.decode(RESET, exact=True)
    chosen = given.get("password", "")
    made = mails.reset(access.state(), access.actor(), given.get("email", ""), given.get("token", ""), chosen)
    return envelope.ok(None if chosen else made)


def _check_human() -> None:
    turnstile.check(access.state(), access.session, request.args.get("turnstile", ""), access.client_ip())
