"""Whether they may: a route says who may come in, and whoever may not is refused in its dialect. Who is asking: access.py."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Flask, Response, abort, current_app, g, jsonify, redirect, request, session
from flask_login import current_user

from oneapi import messages, proxies, throttle
from oneapi.access import Person, access_token, client_ip, compared, cross_site, forged, forget, language, state
from oneapi.fields import split_address
from oneapi.models.user import Role

LOGIN_PAGE, PASSWORD_PAGE = "/login", "/password"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

# code: (status of the API, status of a page). The old project answered most refusals with 200.
REFUSALS = {
    "signed_out": (401, 401), "bad_access_token": (200, 403), "banned": (200, 403), "role": (200, 403), "cross_site": (403, 403),
    "csrf": (403, 403), "get_changes": (403, 403),
    "must_change_password": (403, 403), "too_many": (429, 429), "login_locked": (429, 429),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may use a route, and what else is asked of them."""

    allow: Role | None  # None is everybody
    dialect: str  # api or page: how a refusal is written
    critical: bool = False  # counted against CRITICAL_RATE_LIMIT too
    changes: bool = False  # a GET that changes something: a session must send its token with it, as other sites cannot
    begins_session: bool = False  # a GET that signs in: even a visitor must send that token, or a link could sign them in
    from_elsewhere: bool = False  # other sites may send people here, e.g. back from a provider
    unready: bool = False  # open before the first password was changed


class GuardedBlueprint(Blueprint):
    """A blueprint whose routes say who may come in; without `allow` none can be registered. Both slash forms work."""

    def __init__(self, name: str, import_name: str, *, dialect: str = "page", **options: Any):
        super().__init__(name, import_name, **options)
        self.dialect = dialect
        self._guarded: dict[tuple[Any, Guard], Any] = {}

    def add_url_rule(  # type: ignore[override]  # that `allow` must be given is the point
        self, rule: str, endpoint: str | None = None, view_func: Any = None, provide_automatic_options: bool | None = None, *,
        allow: Role | None, critical: bool = False, changes: bool = False, begins_session: bool = False,
        from_elsewhere: bool = False, unready: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        guard = Guard(allow, self.dialect, critical, changes, begins_session, from_elsewhere, unready)
        guarded = self._guarded.setdefault((view_func, guard), _guarded(view_func, guard))
        options.setdefault("strict_slashes", False)
        super().add_url_rule(rule, endpoint, guarded, provide_automatic_options, **options)


def _guarded(view: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    @functools.wraps(view)
    def answer(**arguments: Any) -> Any:
        g.guard = guard
        refusal = _refusal(guard)
        return refuse(refusal[0], **refusal[1]) if refusal else view(**arguments)

    answer.guard = guard  # type: ignore[attr-defined]
    return answer


def _refusal(guard: Guard) -> tuple[str, dict[str, Any]] | None:
    """Why this request may not come in, as a code of messages.TEXTS; None when it may."""
    for mark in (guard.dialect, "critical")[: 2 if guard.critical else 1]:
        if wait := _over_limit(throttle.MARKS[mark]):
            return "too_many", {"seconds": wait}
    code = _identity(guard) or _forgery(guard)
    return (code, compared() if code == "cross_site" else {}) if code else None


def _identity(guard: Guard) -> str:
    if guard.allow is None:
        return ""
    if not current_user.is_authenticated:
        if isinstance(current_user._get_current_object(), Person):
            return "banned"
        return "bad_access_token" if guard.dialect == "api" and access_token(request) else "signed_out"
    if current_user.role < guard.allow:
        return "role"
    return "must_change_password" if current_user.must_change_password and not guard.unready else ""


def _forgery(guard: Guard) -> str:
    reads = request.method in SAFE_METHODS
    if guard.from_elsewhere or (reads and not guard.changes):
        return ""
    if current_user.is_authenticated and current_user.by_token:
        return ""  # no browser adds an access token by itself
    if cross_site():
        return "cross_site"
    if reads:  # on http:// a browser sends neither Origin nor Sec-Fetch-Site when it follows a link
        return "get_changes" if (session or guard.begins_session) and forged() else ""
    return "csrf" if guard.dialect == "page" and forged() else ""


def require_ready() -> None:
    """Raise Refused when whoever is signed in has yet to change the first password: for open routes that change an account."""
    if current_user.is_authenticated and current_user.must_change_password:
        raise messages.Refused("must_change_password")


def guards(app: Flask) -> dict[tuple[str, str], Guard]:
    """The guard of every (method, path) that has one."""
    return {
        (method, rule.rule): guard
        for rule in app.url_map.iter_rules()
        if (guard := getattr(app.view_functions[rule.endpoint], "guard", None))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def refuse(code: str, **values: Any) -> Any:
    """The answer to someone who may not: an envelope for programs; for people the sign-in page or an error page."""
    guard: Guard | None = g.get("guard")
    if code == "banned":
        forget()
    if guard is None or guard.dialect == "api":
        answer = jsonify(success=False, message=messages.text(code, language(), **values))
        answer.status_code = REFUSALS[code][0]
        if "seconds" in values:
            answer.headers["Retry-After"] = str(values["seconds"])
        return answer
    if code == "signed_out":
        return _elsewhere(f"{LOGIN_PAGE}?next={quote(_here())}")
    if code == "must_change_password":
        return _elsewhere(PASSWORD_PAGE)
    said = Response(status=REFUSALS[code][1])
    if "seconds" in values:
        g.retry_after = values["seconds"]
    return abort(said.status_code, messages.text(code, language(), **values))


def _here() -> str:
    """Where to return after sign-in: this page, or the one that holds the fragment or form."""
    if request.method == "GET" and "HX-Request" not in request.headers:
        return request.full_path.rstrip("?")
    current = split_address(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "/")
    return current.path + (f"?{current.query}" if current.query else "")


def _elsewhere(where: str) -> Any:
    if "HX-Request" in request.headers:
        return Response(status=401, headers={"HX-Redirect": where})
    return redirect(where, 303)


# Limits


def _over_limit(mark: throttle.Mark) -> int:
    amount = getattr(state().config, mark.setting)
    if not amount:
        return 0
    if current_user.is_authenticated and mark is not throttle.MARKS["critical"]:
        key, amount = f"user:{current_user.id}", amount * throttle.ACCOUNT_FACTOR
    else:
        key = f"ip:{proxies.neighbourhood(client_ip())}"
    return current_app.extensions["oneapi-limits"].wait(amount, mark.seconds, mark.name, key)
