"""Other providers on the pages: who is offered, leaving for one, coming back, and Turnstile where it is asked for."""

from flask import Response, redirect, request, session
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access, doors, login
from oneapi.access import actor
from oneapi.doors import GuardedBlueprint
from oneapi.login import turnstile
from oneapi.login.contract import Provider
from oneapi.messages import Refused
from oneapi.models.user import Role
from oneapi.pages import complaints, languages
from oneapi.pages.render import allow, done, origin, safe, toast

bp = GuardedBlueprint("providers", __name__)

TURNSTILE = "https://challenges.cloudflare.com"
PROFILE = "/user/edit"


def offered() -> list[Provider]:
    """Those that lead to a page of their own; WeChat has a code to type in."""
    return [provider for provider in login.enabled(access.state().settings) if provider.address is not None]


def title(provider: Provider) -> str:
    return provider.title_zh if languages.html_language().startswith("zh") else provider.title


def turnstile_policy() -> None:
    """Let Cloudflare's widget in, and the WeChat account's picture."""
    settings = access.state().settings
    if settings.turnstile_check_enabled:
        allow("script-src", TURNSTILE)
        allow("frame-src", TURNSTILE)
    if settings.wechat_auth_enabled:
        allow("img-src", origin(settings.wechat_account_qrcode_image_url))


def unproven() -> bool:
    """Whether this browser has yet to prove that a person sits before it."""
    return access.state().settings.turnstile_check_enabled and not session.get("turnstile")


def check_turnstile() -> None:
    """Raise Refused unless Turnstile is off or vouches for this form."""
    turnstile.check(access.state(), session, request.form.get("cf-turnstile-response", ""), access.client_ip())


@bp.route("/oauth/<name>/start", allow=None, critical=True)
def start(name: str) -> Response:
    try:
        where = login.begin(
            access.state(), session, name, next=safe(request.args.get("next"), ""), aff_code=session.get("aff", "")
        )
    except Refused as error:
        return _failed(error)
    return redirect(where, 303)  # type: ignore[return-value]


@bp.route("/oauth/<name>", allow=None, critical=True, from_elsewhere=True)
def come_back(name: str) -> Response:
    return _finish(name, dict(request.args))


@bp.route("/oauth/wechat", methods=["POST"], allow=None, critical=True)
def wechat() -> Response:
    return _finish("wechat", {"code": request.form.get("code", "")}, typed=True)


def _finish(name: str, args: dict[str, str], *, typed: bool = False) -> Response:
    try:
        doors.require_ready()
        came = login.finish(access.state(), session, actor(), name, args, typed=typed)
    except Refused as error:
        return _failed(error)
    if came.bound:
        toast(_("Linked"))
        return done(PROFILE)
    access.sign_in(came.row)
    return redirect(came.next or "/dashboard", 303)  # type: ignore[return-value]


@bp.route("/oauth/<name>/unbind", methods=["POST"], allow=Role.USER)
def unbind(name: str) -> Response:
    try:
        login.unbind(access.state(), actor(), name)
        toast(_("Unlinked"))
    except Refused as error:
        return _failed(error)
    return done(PROFILE)


def _failed(error: Refused) -> Response:
    if error.code == "must_change_password":
        return doors.refuse(error.code)
    toast(" ".join(complaints.of(error).values()), "bad")
    return done(PROFILE if current_user.is_authenticated else "/login")
