"""Who is asking: sessions, access tokens, requests from other sites, wrong passwords, request ids. Whether they may: doors.py."""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from flask import Flask, Request, Response, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, current_user, login_user, logout_user
from itsdangerous import BadData, URLSafeTimedSerializer

from oneapi import inputs, logs, messages, proxies, throttle
from oneapi.actions import Actor, accounts
from oneapi.config import Config
from oneapi.db import db
from oneapi.models import user
from oneapi.models.user import Status
from oneapi.state import State

SESSION_DAYS = 30



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
    db.session.close()  # what follows may wait for a slow body, a password hash or another server
    if row is None or epoch != str(row.session_epoch or 0) or user.session_ended(row, session.get("id", "")):
        return None
    return Person(row)


def _by_access_token(asked: Request) -> Person | None:
    row = user.by_access_token_hash(db.session(), digest(token)) if (token := access_token(asked)) else None
    db.session.close()  # as above
    return None if row is None else Person(row, by_token=True)


def access_token(asked: Request) -> str:
    """The access token that a program came with, if it is one."""
    given = asked.headers.get("Authorization", "").strip()
    return given[7:].strip() if given[:7].lower() == "bearer " else given


def digest(secret: str) -> str:
    """What is stored of an access token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def sign_in(row: user.User) -> None:
    """Begin a session in a cookie that has nothing in common with the visitor's."""
    session.clear()
    session.permanent = True
    session["id"] = secrets.token_urlsafe(9)
    login_user(Person(row), force=True)
    g.signed_in = row.id


def sign_out() -> None:
    """End the session on the server, so that a copy of its cookie is worth nothing, and forget it in this browser."""
    if current_user.is_authenticated and not current_user.by_token and "id" in session:
        accounts.end_session(state(), current_user.id, session["id"], seconds=SESSION_DAYS * 86400)
    forget()


def forget() -> None:
    """Remove the session from this browser; without one there is nothing to do, nor a cookie to remove."""
    if session:
        logout_user()
        session.clear()


def nobody() -> None:
    """Count this request as a visitor's unless its user is known already: an error page must not ask the database again."""
    if "_login_user" not in g:
        g._login_user = AnonymousUserMixin()


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


def cookie_name(of: str, app: Flask) -> str:
    """A cookie name of this installation: cookies know no ports, so two installations on one host would share a name."""
    return f"oneapi_{of}_{digest(f'cookie name {app.secret_key!r}')[:8]}"


class _Sessions(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        super().save_session(app, session, response)
        if "signed_in" in g:  # after the session's cookie: programs may look at the first one only
            _remember_device(response, g.signed_in)


# Requests from other sites


def cross_site() -> bool:
    """Return True when a browser says that another site made this request. Programs send neither header and pass."""
    site = request.headers.get("Sec-Fetch-Site", "")
    if site == "same-origin":  # the browser compared the origins itself, whatever Host a proxy passes on
        return False
    if origin := request.headers.get("Origin", ""):
        return proxies.origin_of(origin) not in map(proxies.origin_of, own_addresses())  # `null` is the origin of no address
    return site not in ("", "none")


def own_addresses() -> list[str]:
    """The addresses that count as this server: that of the request, and the one in the settings."""
    known = [f"{request.scheme}://{request.host}", state().settings.server_address]
    return [address for address in known if proxies.origin_of(address)]


def compared() -> dict[str, str]:
    """The values of the `cross_site` refusal: the origin that was sent, and those that would have passed."""
    sent = request.headers.get("Origin") or f"Sec-Fetch-Site: {request.headers.get('Sec-Fetch-Site', '')}"
    return {"origin": sent[:200], "own": ", ".join(own_addresses())[:400]}


def csrf_token() -> str:
    """The session's token against forged forms: a field csrf_token or a header X-CSRF-Token must repeat it."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return session["csrf"]


def forged() -> bool:
    """Return True when a request does not repeat the session's token."""
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    return not secrets.compare_digest(given.encode(), session.get("csrf", "").encode()) or not given


# Wrong passwords


DEVICE_SECONDS = 180 * 86400  # how long a browser that signed in is known
MOST_DEVICES = 5  # accounts that one browser is known for


@contextmanager
def guessing(name: str) -> Iterator[None]:
    """Count wrong passwords of an account inside the block; raises Refused once there were too many lately.

    They are counted by account, whatever name it is called by. A browser that has signed in to the account before has a counter
    of its own, so that others who guess cannot keep the owner out.
    """
    limits, key = current_app.extensions["oneapi-limits"], _guess_key(name.strip())
    if wait := limits.full(*throttle.GUESSES, "guess", key):
        raise messages.Refused("login_locked", seconds=wait)
    try:
        yield
    except messages.Refused as refusal:
        if refusal.code in ("bad_login", "wrong_password"):
            limits.wait(*throttle.GUESSES, "guess", key)
        raise


def _guess_key(name: str) -> str:
    row = user.by_login(db.session(), name)
    if row is None:
        return f"name:{digest(name.lower())[:32]}"
    device = _devices().get(str(row.id))
    return f"user:{row.id}:{device}" if device else f"user:{row.id}"


def _devices() -> dict[str, str]:
    """The accounts that this browser has signed in to, each with a random name of the browser; a signed cookie says so."""
    try:
        found = _device_signer().loads(request.cookies.get(cookie_name("device", current_app), ""), max_age=DEVICE_SECONDS)
    except BadData:
        return {}
    return found if isinstance(found, dict) else {}


def _device_signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known device")


def _remember_device(answer: Response, user_id: int) -> None:
    """Send the cookie by which this browser is known to the account from now on."""
    known = _devices()
    name = known.pop(str(user_id), "") or secrets.token_urlsafe(6)
    known = dict([*known.items(), (str(user_id), name)][-MOST_DEVICES:])
    answer.set_cookie(
        cookie_name("device", current_app), _device_signer().dumps(known), max_age=DEVICE_SECONDS, httponly=True,
        samesite="Lax", secure=request.is_secure,
    )  # fmt: skip


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
        SESSION_COOKIE_NAME=cookie_name("session", app),
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS), SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False, MAX_CONTENT_LENGTH=config.max_body_mb * 2**20,
    )  # fmt: skip
    inputs.init(app)
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
