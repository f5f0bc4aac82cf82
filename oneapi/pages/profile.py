"""One's own account: name, password, e-mail, other ways in, access token, invitations, habits, and its end."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Response, redirect, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.access import actor
from oneapi.actions import accounts, mails, passwords
from oneapi.doors import GuardedBlueprint
from oneapi.login import bound
from oneapi.messages import Refused
from oneapi.models.user import Role
from oneapi.pages import complaints, providers
from oneapi.pages.render import done, page, toast

bp = GuardedBlueprint("profile", __name__)

HERE = "/user/edit"


def _show(errors: Mapping[str, str] | None = None, *, of: str = "", **data: Any) -> Response:
    providers.turnstile_policy()
    return page(
        "profile/index.html",
        "profile",
        status=422 if errors else 200,
        errors=errors or {},
        of=of,
        form=request.form,
        providers=providers.offered(),
        provider_title=providers.title,
        bound=partial(bound, current_user.row),
        unproven=providers.unproven(),
        times=request.cookies.get("times", ""),
        keys=request.cookies.get("keys", ""),
        **data,
    )


@bp.route("/user/edit", allow=Role.USER)
def index() -> Response:
    return _show()


@bp.route("/user/edit", methods=["POST"], allow=Role.USER)
def names() -> Response:
    wanted = {name: request.form.get(name, "").strip() for name in ("username", "display_name")}
    if not wanted["username"]:
        return _show({"username": _("Give a user name.")}, of="names")
    try:
        accounts.update_self(access.state(), actor(), wanted)
    except Refused as error:
        return _show(complaints.of(error), of="names")
    toast(_("Profile saved"))
    return done(HERE)


@bp.route("/user/password", methods=["POST"], allow=Role.USER, critical=True)
def password() -> Response:
    form = request.form
    errors = {} if form.get("password") == form.get("confirm") else {"confirm": _("The two passwords differ.")}
    if not errors:
        try:
            passwords.check(form.get("password", ""))
        except Refused:
            errors = {"password": _("Give 8 to 20 characters.")}
    if not errors:
        try:
            wanted = {name: form.get(name, "") for name in ("password", "current_password")}
            with access.guessing(current_user.username):
                row = accounts.update_self(access.state(), actor(), wanted)
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return _show(errors, of="password")
    access.sign_in(row)
    toast(_("Password changed. All other sessions were ended."))
    if "HX-Request" in request.headers:
        return Response(headers={"HX-Redirect": HERE})
    return redirect(HERE, 303)  # type: ignore[return-value]


@bp.route("/user/email", methods=["POST"], allow=Role.USER, critical=True)
def email() -> Response:
    form = request.form
    try:
        if form.get("action") == "code":
            providers.check_turnstile()
            mails.send_code(access.state(), actor(), form.get("email", ""))
            return _show(of="email", sent=True)
        with access.guessing(current_user.username):
            accounts.confirm(access.state(), actor(), form.get("current_password", ""))
        mails.bind_email(access.state(), actor(), form.get("email", ""), form.get("verification_code", ""))
    except Refused as error:
        found = complaints.of(error)
        if error.code in ("wrong_password", "login_locked"):
            return _show({"email_password": " ".join(found.values())}, of="email")
        return _show({"email": found.get("email") or " ".join(found.values())}, of="email")
    toast(_("E-mail address saved"))
    return done(HERE)


@bp.route("/user/sessions", methods=["POST"], allow=Role.USER, critical=True)
def end_sessions() -> Response:
    """End every session of the account and lead to the sign-in page."""
    accounts.end_sessions(access.state(), actor())
    access.forget()
    toast(_("Every session was ended. Sign in again."))
    if "HX-Request" in request.headers:
        return Response(headers={"HX-Redirect": "/login"})
    return redirect("/login", 303)  # type: ignore[return-value]


@bp.route("/user/access-token", methods=["POST"], allow=Role.USER, critical=True)
def access_token() -> Response:
    """A new access token; this answer is the only one that shows it."""
    return _show(token=accounts.new_access_token(access.state(), actor()))


@bp.route("/user/delete", methods=["POST"], allow=Role.USER, critical=True)
def delete() -> Response:
    if request.form.get("username") != current_user.username:
        return _show({"confirm_username": _("Type your user name to confirm.")}, of="delete")
    try:
        providers.check_turnstile()
        accounts.close_self(access.state(), actor())
    except Refused as error:
        return _show({"confirm_username": " ".join(complaints.of(error).values())}, of="delete")
    access.forget()
    if "HX-Request" in request.headers:
        return Response(headers={"HX-Redirect": "/"})
    return redirect("/", 303)  # type: ignore[return-value]
