"""Sign-in through other providers, for clients that do the redirects themselves; and proving an e-mail address."""

from flask import Response, request

from oneapi import access, doors, login
from oneapi.access import current_user
from oneapi.actions import accounts, mails
from oneapi.api import envelope, shapes
from oneapi.models.user import Role

BINDING = dict.fromkeys(("email", "code", "password"), str)

routes = envelope.resource("oauth", "/oauth")


@routes.route("/state", allow=None, critical=True)
@envelope.says("string")
def new_state() -> Response:
    """A state for a provider; only this browser can come back with it, once."""
    return envelope.with_csrf(envelope.ok(login.new_state(access.state(), access.session)))


@routes.route("/github", endpoint="github", defaults={"slug": "github"}, allow=None, critical=True, from_elsewhere=True)
@routes.route("/lark", endpoint="lark", defaults={"slug": "lark"}, allow=None, critical=True, from_elsewhere=True)
@routes.route("/oidc", endpoint="oidc", defaults={"slug": "oidc"}, allow=None, critical=True, from_elsewhere=True)
@envelope.says("User", query=("code", "state"))
def come_back(slug: str) -> Response:
    """Come back from a provider: signs in, or binds when signed in."""
    return _finish(slug)


@routes.route("/wechat", methods=["GET", "POST"], allow=None, critical=True, changes=True, begins_session=True)
@envelope.says("User", query=("code",))
def wechat() -> Response:
    """Sign in with a code from the WeChat account."""
    return _finish("wechat", sign_in=True)


@routes.route("/wechat/bind", methods=["GET", "POST"], allow=Role.USER, critical=True, changes=True)
@envelope.says("", query=("code",))
def bind_wechat() -> Response:
    """Bind WeChat with a code from the WeChat account."""
    login.finish(access.state(), access.session, access.actor(), "wechat", request.args, typed=True)
    return envelope.ok()


@routes.route("/email/bind", methods=["GET", "POST"], allow=Role.USER, critical=True, changes=True)
@envelope.says("", query=("email", "code"), takes=BINDING)
def bind_email() -> Response:
    """Bind an e-mail address with the code that was sent to it. An account with a password needs `password` in the body."""
    given = dict(request.args) | (envelope.decode(BINDING) if request.get_data() else {})
    with access.guessing(current_user.username):
        password = given.get("password", "") if "password" not in request.args else ""  # addresses are logged
        accounts.confirm(access.state(), access.actor(), password)
    mails.bind_email(access.state(), access.actor(), given.get("email", ""), given.get("code", ""))
    return envelope.ok()


@routes.route("/<slug>", methods=["DELETE"], allow=Role.USER)
@envelope.says("")
def unbind(slug: str) -> Response:
    """Take a provider's identity off one's own account."""
    login.unbind(access.state(), access.actor(), slug)
    return envelope.ok()


def _finish(slug: str, *, sign_in: bool = False) -> Response:
    here = access.actor()
    if not sign_in:
        doors.require_ready()
    if sign_in or not current_user.is_authenticated:
        here = access.Actor(ip=here.ip, language=here.language)
    came = login.finish(access.state(), access.session, here, slug, request.args, typed=sign_in)
    if came.bound:
        return envelope.ok(message="bind")
    access.sign_in(came.row)
    return envelope.ok(shapes.signed_in(came.row))
