"""Who is asking and whether they may: sessions, access tokens, roles, other sites' requests, limits, request ids."""

import functools
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Request, Response, abort, current_app, g, jsonify, redirect, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from oneapi import logs, messages, proxies, throttle
from oneapi.actions import Actor
from oneapi.config import Config
from oneapi.db import db
from oneapi.models import user
from oneapi.models.user import Role, Status
from oneapi.state import State

SESSION_DAYS = 30
LOGIN_PAGE, PASSWORD_PAGE = "/login", "/password"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

# code: (status of the API, status of a page). The old project answered most refusals with 200.
REFUSALS = {
    "signed_out": (401, 401), "bad_access_token": (200, 403), "banned": (200, 403), "role": (200, 403), "cross_site": (403, 403),
    "csrf": (403, 403), "must_change_password": (403, 403), "too_many": (429, 429), "login_locked": (429, 429),
}  # fmt: skip


def state() -> State:
    """The state of the application that serves this request."""
    return current_app.extensions["oneapi"]


# Who is asking


class Person(UserMixin):
    """Someone signed in: their row, read for this request, and whether they came with an access token."""

    def __init__(self, row: user.User, *, by_token: bool = False):
        self.row, self.by_token = row, by_token
        self.id, self.role, self.username = row.id, row.role, row.username or ""

    def get_id(self) -> str:
        return f"{self.id}:{self.row.session_epoch or 0}"

    @property
    def is_active(self) -> bool:  # is_authenticated follows it: the disabled count as visitors
        return self.row.status == Status.ENABLED

    @property
    def must_change_password(self) -> bool:
        """Whether this session leads only to a new password. What an operator set up as access token works at once."""
        return bool(self.row.must_change_password) and not self.by_token


def _by_session(id: str) -> Person | None:
    number, _, epoch = id.partition(":")
    row = user.get(db.session(), int(number)) if number.isdecimal() else None
    return Person(row) if row is not None and epoch == str(row.session_epoch or 0) else None


def _by_access_token(asked: Request) -> Person | None:
    row = user.by_access_token_hash(db.session(), digest(token)) if (token := _access_token(asked)) else None
    return None if row is None else Person(row, by_token=True)


def _access_token(asked: Request) -> str:
    given = asked.headers.get("Authorization", "").strip()
    return given[7:].strip() if given[:7].lower() == "bearer " else given


def digest(secret: str) -> str:
    """What is stored of an access token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def sign_in(row: user.User) -> None:
    """Begin a session in a cookie that has nothing in common with the visitor's."""
    session.clear()
    session.permanent = True
    login_user(Person(row), force=True)


def sign_out() -> None:
    logout_user()
    session.clear()


def actor() -> Actor:
    """Who acts in this request, for actions and their audit rows."""
    if not current_user.is_authenticated:
        return Actor(ip=client_ip(), language=language())
    return Actor(current_user.id, current_user.username, current_user.role, client_ip(), language())


def language() -> str:
    """The language of API messages: zh when Accept-Language begins with it, else en."""
    return "zh" if messages.chinese(request.headers.get("Accept-Language", "")) else "en"


# Where they are


def client_ip() -> str:
    """The address of the client; forwarded headers are believed only from TRUSTED_PROXIES."""
    return request.remote_addr or ""


class _Sessions(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


# Requests from other sites


def cross_site() -> bool:
    """Whether a browser says that another site made this request. Programs say nothing and are no danger."""
    origin = request.headers.get("Origin", "")
    if origin:
        ours = {request.host, urlsplit(state().settings.server_address).netloc}
        return urlsplit(origin).netloc not in ours
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def csrf_token() -> str:
    """The session's token against forged forms: a field csrf_token or a header X-CSRF-Token must repeat it."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return session["csrf"]


def _forged() -> bool:
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    return not secrets.compare_digest(given.encode(), session.get("csrf", "").encode()) or not given


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


def check_lock(name: str) -> None:
    """Raise Refused when too many wrong passwords were tried on an account lately, from wherever."""
    if wait := current_app.extensions["oneapi-limits"].full(*throttle.GUESSES, "guess", name.strip().lower()):
        raise messages.Refused("login_locked", seconds=wait)


def count_failure(name: str) -> None:
    """Remember a wrong password."""
    current_app.extensions["oneapi-limits"].wait(*throttle.GUESSES, "guess", name.strip().lower())


# Routes


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may use a route, and what else is asked of them."""

    allow: Role | None  # None is everybody
    dialect: str  # api or page: how a refusal is written
    critical: bool = False  # counted against CRITICAL_RATE_LIMIT too
    changes: bool = False  # a GET that changes something: refused to other sites like a write
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
        allow: Role | None, critical: bool = False, changes: bool = False, from_elsewhere: bool = False, unready: bool = False,
        **options: Any,
    ) -> None:  # fmt: skip
        guard = Guard(allow, self.dialect, critical, changes, from_elsewhere, unready)
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
    return (code, {}) if code else None


def _identity(guard: Guard) -> str:
    if guard.allow is None:
        return ""
    if not current_user.is_authenticated:
        if isinstance(current_user._get_current_object(), Person):
            return "banned"
        return "bad_access_token" if guard.dialect == "api" and _access_token(request) else "signed_out"
    if current_user.role < guard.allow:
        return "role"
    return "must_change_password" if current_user.must_change_password and not guard.unready else ""


def _forgery(guard: Guard) -> str:
    if guard.from_elsewhere or (request.method in SAFE_METHODS and not guard.changes):
        return ""
    if current_user.is_authenticated and current_user.by_token:
        return ""  # no browser adds an access token by itself
    if cross_site():
        return "cross_site"
    return "csrf" if guard.dialect == "page" and request.method not in SAFE_METHODS and _forged() else ""


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
        sign_out()
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
    current = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "/")
    return current.path + (f"?{current.query}" if current.query else "")


def _elsewhere(where: str) -> Any:
    if "HX-Request" in request.headers:
        return Response(status=401, headers={"HX-Redirect": where})
    return redirect(where, 303)


# The application


def request_id() -> str:
    """This request's id: local time, nanoseconds and eight random digits, as the old project made them."""
    if "request_id" not in g:
        now = time.time_ns()
        stamp = datetime.fromtimestamp(now // 10**9).strftime("%Y%m%d%H%M%S")
        g.request_id = f"{stamp}{now % 10**9}{secrets.randbelow(10**8):08d}"
        logs.request_id.set(g.request_id)
    return g.request_id


def _finish(answer: Response) -> Response:
    answer.headers.setdefault("X-Oneapi-Request-Id", request_id())
    if "retry_after" in g:
        answer.headers["Retry-After"] = str(g.retry_after)
    return answer


def init(app: Flask) -> None:
    """Sessions, sign-in, limits and request ids for this application; its State must be in place."""
    config: Config = app.extensions["oneapi"].config
    app.config.update(
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS), SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False, MAX_CONTENT_LENGTH=config.max_body_mb * 2**20,
    )  # fmt: skip
    app.session_interface = _Sessions()
    app.extensions["oneapi-limits"] = throttle.Limits(app, config)
    manager = LoginManager(app)
    manager.session_protection = None  # people change networks; what a session may is read afresh each time
    manager.user_loader(_by_session)
    manager.request_loader(_by_access_token)
    app.wsgi_app = proxies.Forwarded(app.wsgi_app, proxies.networks(config.trusted_proxies))  # type: ignore[method-assign]
    app.jinja_env.globals["csrf_token"] = csrf_token
    app.before_request(lambda: request_id() and None)
    app.after_request(_finish)
