"""Providers as they are from outside: real HTTP servers on loopback that hand out codes, tokens and profiles once."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

import pytest
from bare import app as bare_app
from flask import Flask, jsonify, redirect, request
from flask.testing import FlaskClient
from gevent import pywsgi
from joserfc import jwt
from joserfc.jwk import RSAKey
from ways import SECRET

from oneapi import access, doors, login, settings
from oneapi.models import option, version
from oneapi.models.user import User


class Server:
    """Answers by (method, path) with functions of the request's values; remembers what it was asked."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.codes: dict[str, dict[str, str]] = {}  # code → what the browser brought when it was given out
        self.tokens: set[str] = set()
        self.broken: set[str] = set()  # paths that answer 500
        self.server = pywsgi.WSGIServer(("127.0.0.1", 0), self._answer, log=None, error_log=None)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _answer(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
        kind = environ.get("CONTENT_TYPE", "")
        values = json.loads(body) if body and "json" in kind else dict(parse_qsl(body.decode()))
        asked = {"path": path, "query": dict(parse_qsl(environ["QUERY_STRING"])), "values": values, "type": kind}
        asked["authorization"] = environ.get("HTTP_AUTHORIZATION", "")
        self.asked.append(asked)
        route = self.routes.get((environ["REQUEST_METHOD"], path))
        if path in self.broken or route is None:
            start("500 Broken" if route else "404 Missing", [])
            return [b"<html>oh no</html>"]
        answer = route(asked)
        if isinstance(answer, str):
            start("302 Found", [("Location", answer)])
            return [b""]
        status = "401 No" if answer == {"message": "Bad credentials"} else "200 OK"
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def authorize(self, asked: dict[str, Any], back: str) -> str:
        """Where the browser goes after somebody said yes."""
        code = secrets.token_hex(8)
        self.codes[code] = asked["query"]
        return f"{back}?{urlencode({'code': code, 'state': asked['query'].get('state', '')})}"

    def exchange(self, given: dict[str, str]) -> dict[str, Any]:
        """A token for a code: once, for the right application, and only to whoever has the verifier."""
        began = self.codes.pop(given.get("code", ""), None)
        if began is None or given.get("client_secret") != SECRET or given.get("client_id") != "our-app":
            return {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        if "code_challenge" in began and challenge(given.get("code_verifier", "")) != began["code_challenge"]:
            return {"error": "invalid_grant", "error_description": "PKCE"}
        token = secrets.token_hex(8)
        self.tokens.add(f"Bearer {token}")
        return {"access_token": token, "token_type": "bearer"}

    def person(self, asked: dict[str, Any], facts: Any) -> Any:
        return facts if asked["authorization"] in self.tokens else {"message": "Bad credentials"}


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.stop(timeout=1)


@pytest.fixture
def environ() -> dict[str, str]:
    """More environment for the app under test; override to change it."""
    return {}


@pytest.fixture
def app(tmp_path: Any, environ: dict[str, str]) -> Iterator[Flask]:
    """The API, and pages as thin as they can be: leave for a provider, come back from it."""
    made = bare_app(tmp_path, **environ)
    pages = doors.GuardedBlueprint("ways", __name__, dialect="api")
    pages.register_error_handler(login.Refused, lambda error: (jsonify(refused=error.code, said=error.text("zh")), 422))

    @pages.route("/leave/<name>", allow=None)
    def leave(name: str) -> Any:
        return redirect(login.begin(access.state(), access.session, name, next=request.args.get("next", "")))

    @pages.route("/oauth/<name>", allow=None, from_elsewhere=True)
    def come_back(name: str) -> Any:
        came = login.finish(access.state(), access.session, access.actor(), name, request.args)
        if not came.bound:
            access.sign_in(came.row)
        return jsonify(id=came.row.id, bound=came.bound, next=came.next)

    made.register_blueprint(pages)
    yield made
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def state(app: Flask) -> Any:
    return app.extensions["oneapi"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def setting(state: Any) -> Callable[..., None]:
    def store(**values: Any) -> None:
        with state.databases.transaction() as session:
            for key, value in values.items():
                option.put(session, key, settings.stored_text(key, value), now=1, by=0)
            version.bump(session, "settings")
        state.changed()

    return store


@pytest.fixture
def people(state: Any) -> Callable[..., dict[str, Any]]:
    """The columns of an account: people(id) or people(username="alice")."""

    def read(id: int = 0, **wanted: Any) -> dict[str, Any]:
        with state.databases.transaction() as session:
            row = session.query(User).filter_by(**({"id": id} if id else wanted)).one()
            return {column: getattr(row, column) for column in row.__mapper__.column_attrs.keys()}  # noqa: SIM118

    return read


@pytest.fixture
def change(state: Any) -> Callable[..., None]:
    def write(username: str, **columns: Any) -> None:
        with state.databases.transaction() as session:
            session.query(User).filter_by(username=username).update(columns)

    return write


@pytest.fixture
def github(server: Server, setting: Callable[..., None]) -> Server:
    """A server that speaks as GitHub does; `server.profile` and `server.emails` are who comes."""
    server.profile = {"id": 583231, "login": "octocat", "name": "The Octocat", "email": None}
    server.emails = [
        {"email": "old@github.test", "primary": False, "verified": True},
        {"email": "Octo@GitHub.test", "primary": True, "verified": True},
    ]
    server.routes = {
        ("GET", "/login/oauth/authorize"): lambda asked: server.authorize(asked, "http://localhost:3000/oauth/github"),
        ("POST", "/login/oauth/access_token"): lambda asked: server.exchange(asked["values"]),
        ("GET", "/user"): lambda asked: server.person(asked, server.profile),
        ("GET", "/user/emails"): lambda asked: server.person(asked, server.emails),
    }
    setting(
        GitHubOAuthEnabled=True, GitHubClientId="our-app", GitHubClientSecret=SECRET, GitHubBaseUrl=server.url,
        GitHubApiUrl=server.url,
    )  # fmt: skip
    return server


@pytest.fixture
def lark(server: Server, setting: Callable[..., None]) -> Server:
    server.profile = {"open_id": "ou_1", "union_id": "on_1", "name": "小明", "sub": "ou_1"}

    def token(asked: dict[str, Any]) -> Any:
        right = asked["values"].get("redirect_uri") == "http://localhost:3000/oauth/lark" and "json" in asked["type"]
        answer = server.exchange(asked["values"]) if right else {"error": "invalid_request"}
        return {"code": 20003 if "error" in answer else 0} | answer

    server.routes = {
        ("GET", "/open-apis/authen/v1/authorize"): lambda asked: server.authorize(asked, asked["query"]["redirect_uri"]),
        ("POST", "/open-apis/authen/v2/oauth/token"): token,
        ("GET", "/suite/passport/oauth/userinfo"): lambda asked: server.person(asked, server.profile),
    }
    setting(
        LarkClientId="our-app", LarkClientSecret=SECRET, LarkAccountsUrl=server.url, LarkOpenUrl=server.url,
        LarkPassportUrl=server.url,
    )  # fmt: skip
    return server


@pytest.fixture
def wechat(server: Server, setting: Callable[..., None]) -> Server:
    """A WeChat Server with one code that is good once."""
    server.left = {"123456": "wx-openid-1"}

    def user(asked: dict[str, Any]) -> Any:
        if asked["authorization"] != "wx-token":
            return {"success": False, "message": "无效的 token", "data": ""}
        return {"success": True, "message": "", "data": server.left.pop(asked["query"]["code"], "")}

    server.routes = {("GET", "/api/wechat/user"): user}
    setting(WeChatAuthEnabled=True, WeChatServerAddress=server.url, WeChatServerToken="wx-token")
    return server


@pytest.fixture
def oidc(server: Server, setting: Callable[..., None], state: Any) -> Server:
    """An OpenID Connect provider; `server.claims` are laid over its id_tokens, `server.info` is its userinfo."""
    server.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
    server.signs, server.header = server.key, {"alg": "RS256", "kid": "k1"}
    server.sign = lambda claims: jwt.encode(server.header, claims, server.signs)
    server.claims = {}
    server.info = {
        "sub": "Subject-1",
        "preferred_username": "zoe",
        "name": "Zoe",
        "email": "zoe@oidc.test",
        "email_verified": True,
    }

    def token(asked: dict[str, Any]) -> Any:
        sent = base64.b64decode(asked["authorization"].removeprefix("Basic ")).decode().partition(":")
        given = asked["values"] | {"client_id": unquote_plus(sent[0]), "client_secret": unquote_plus(sent[2])}
        began = server.codes.get(given.get("code", ""), {})
        answer = server.exchange(given)
        if "error" in answer:
            return answer
        now = int(state.clock())
        claims = {
            "iss": server.url, "sub": "Subject-1", "aud": "our-app", "iat": now, "exp": now + 300, "nonce": began.get("nonce"),
        } | server.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return answer | {"id_token": server.sign(claims)}

    server.metadata = {
        "issuer": server.url, "authorization_endpoint": f"{server.url}/authorize?tenant=1",
        "token_endpoint": f"{server.url}/token", "userinfo_endpoint": f"{server.url}/userinfo",
        "jwks_uri": f"{server.url}/keys", "id_token_signing_alg_values_supported": ["RS256"],
    }  # fmt: skip
    server.routes = {
        ("GET", "/.well-known/openid-configuration"): lambda asked: server.metadata,
        ("GET", "/authorize"): lambda asked: server.authorize(asked, asked["query"]["redirect_uri"]),
        ("POST", "/token"): token,
        ("GET", "/userinfo"): lambda asked: server.person(asked, server.info),
        ("GET", "/keys"): lambda asked: {"keys": [server.key.as_dict(private=False)]},
    }
    setting(
        OidcEnabled=True, OidcClientId="our-app", OidcClientSecret=SECRET,
        OidcWellKnown=f"{server.url}/.well-known/openid-configuration",
    )  # fmt: skip
    return server
