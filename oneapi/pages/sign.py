"""Ways in: signing in and out, registering, forgotten and first passwords."""

from collections.abc import Mapping
from typing import Any

from flask import Response, redirect, request, session
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access, messages, proxies
from oneapi.access import actor
from oneapi.actions import accounts, mails, passwords
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.messages import Refused
from oneapi.models import account, user
from oneapi.models.user import Role
from oneapi.pages import complaints, languages, providers
from oneapi.pages.render import fragment, page, safe, toast

bp = GuardedBlueprint("sign", __name__)


def _form(template: str, errors: Mapping[str, str] | None = None, *, status: int = 200, **data: Any) -> Response:
    providers.turnstile_policy()
    return page(
        template,
        status=status,
        errors=errors or {},
        form=request.form,
        providers=providers.offered(),
        provider_title=providers.title,
        **data,
    )


def _away(where: str) -> Response:
    """To a page whose surroundings differ, so never by a fragment."""
    if "HX-Request" in request.headers:
        return Response(status=200, headers={"HX-Redirect": where})
    return redirect(where, 303)  # type: ignore[return-value]


@bp.route("/login", allow=None, unready=True)
def login() -> Response:
    if current_user.is_authenticated and not current_user.must_change_password:
        return _away(safe(request.args.get("next"), "/dashboard"))
    return _form("sign/login.html", expired="expired" in request.args, next=request.args.get("next", ""), first=_first_start())


def _first_start() -> bool:
    """Return True when root still has the first password and this visitor comes from an address that may not use it."""
    if proxies.is_private(access.client_ip()):
        return False
    root = user.by_login(db.session(), "root")
    return root is not None and root.role == Role.ROOT and bool(root.must_change_password)


@bp.route("/login", methods=["POST"], allow=None, critical=True, unready=True)
def sign_in() -> Response:
    where = safe(request.form.get("next"), "/dashboard")
    name = request.form.get("username", "").strip()
    try:
        with access.guessing(name):
            row = accounts.sign_in(access.state(), name, request.form.get("password", ""), ip=access.client_ip())
    except Refused as error:
        return _form("sign/login.html", {"": " ".join(complaints.of(error).values())}, status=422, next=where)
    access.sign_in(row)
    return _away("/password" if row.must_change_password else where)


@bp.route("/logout", methods=["POST"], allow=None, unready=True)
def sign_out() -> Response:
    access.sign_out()
    return _away("/login")


@bp.route("/register", allow=None)
def register() -> Response:
    if "aff" in request.args:
        session["aff"] = request.args["aff"][:32]
    return _form("sign/register.html")


@bp.route("/register", methods=["POST"], allow=None, critical=True)
def create() -> Response:
    form = request.form
    if form.get("action") == "code":
        return _send_code()
    errors = _new_password(form)
    if not errors:
        try:
            providers.check_turnstile()
            fields = ("username", "password", "email", "verification_code")
            row = accounts.register(
                access.state(), actor(), {f: form.get(f, "") for f in fields} | {"aff_code": session.get("aff", "")}
            )
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return _form("sign/register.html", errors, status=422)
    access.sign_in(row)
    toast(_("Welcome, %(name)s", name=row.username))
    return _away("/dashboard")


@bp.route("/register/name", methods=["POST"], allow=None)
def check_name() -> Response:
    """What is wrong with a user name, while the form is filled in."""
    wish = request.form.get("username", "").strip()
    said = ""
    if len(wish) > accounts.LONGEST_USERNAME:
        said = _("At most 12 characters.")
    elif wish and account.by_username(db.session(), wish) is not None:
        said = messages.text("username_taken", languages.html_language())
    return fragment("sign/register.html", "taken", said=said)


def _send_code() -> Response:
    """A code to the address in the form; what was typed stays."""
    errors = {}
    try:
        providers.check_turnstile()
        mails.send_code(access.state(), actor(), request.form.get("email", ""))
    except Refused as error:
        errors = {"email": " ".join(complaints.of(error).values())}
    return _form("sign/register.html", errors, status=422 if errors else 200, sent=not errors)


def _new_password(form: Mapping[str, str]) -> dict[str, str]:
    if form.get("password") != form.get("confirm"):
        return {"confirm": _("The two passwords differ.")}
    try:
        passwords.check(form.get("password", ""))
    except Refused:
        return {"password": _("Give 8 to 20 characters.")}
    return {}


@bp.route("/reset", allow=None)
def reset() -> Response:
    return _form("sign/reset.html")


@bp.route("/reset", methods=["POST"], allow=None, critical=True)
def send_reset() -> Response:
    try:
        providers.check_turnstile()
        mails.send_reset(access.state(), actor(), request.form.get("email", ""))
    except Refused as error:
        return _form("sign/reset.html", {"email": " ".join(complaints.of(error).values())}, status=422)
    return _form("sign/reset.html", sent=True)


@bp.route("/user/reset", allow=None)
def reset_link() -> Response:
    return _form("sign/reset_confirm.html", email=request.args.get("email", ""), token=request.args.get("token", ""))


@bp.route("/user/reset", methods=["POST"], allow=None, critical=True)
def take_reset() -> Response:
    """A new password for whoever holds the link; shown once."""
    email, token = request.form.get("email", ""), request.form.get("token", "")
    try:
        password = mails.reset(access.state(), actor(), email, token)
    except Refused as error:
        return _form(
            "sign/reset_confirm.html", {"": " ".join(complaints.of(error).values())}, status=422, email=email, token=token
        )
    return _form("sign/reset_confirm.html", email=email, token="", password=password)


@bp.route("/password", allow=Role.USER, unready=True)
def password() -> Response:
    return _form("sign/password.html")


@bp.route("/password", methods=["POST"], allow=Role.USER, critical=True, unready=True)
def change_password() -> Response:
    """The first password of one's own, before anything else works."""
    errors = _new_password(request.form)
    if not errors and request.form.get("password") == user.FACTORY_PASSWORD:
        errors = {"password": _("Choose a password that is not the one everybody knows.")}
    if not errors:
        try:
            row = accounts.update_self(access.state(), actor(), {"password": request.form["password"]})
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return _form("sign/password.html", errors, status=422)
    access.sign_in(row)
    toast(_("Password changed"))
    return _away("/dashboard")
