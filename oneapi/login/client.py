"""Authlib's Flask client for OIDC and GitHub: the way to the provider's page and the exchange of the code.

Authlib is imported where it is used, because it loads joserfc and cryptography. Its `authorize_redirect` is not used: it keeps
states in the session cookie, which somebody can send again; ours are single-use in the database.
"""

import logging
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import requests

from oneapi.login.contract import Flow, Trouble, fetched, object_of

FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
SENT = ("Accept", "Authorization", "Content-Type", "User-Agent")
logging.getLogger("authlib").setLevel(logging.INFO)  # at DEBUG it logs the code verifier


def _guarded_answer(request: requests.PreparedRequest) -> requests.Response:
    """Send a prepared request under the rules of `guarded`; raises Trouble."""
    headers = {name: str(value) for name, value in request.headers.items() if name in SENT}
    body = request.body.encode() if isinstance(request.body, str) else request.body
    found = fetched(request.method or "GET", request.url or "", headers=headers, data=body)
    answer = requests.Response()
    answer.status_code, answer._content, answer.url = found.status, found.body, found.url
    answer.headers.update(found.headers)
    return answer


def _form_encoded_basic(client: Any, method: str, url: str, headers: Any, body: Any) -> Any:
    """Form-encode id and secret first (RFC 6749, section 2.3.1), which Authlib leaves to its caller."""
    from authlib.oauth2.auth import encode_client_secret_basic

    pair = SimpleNamespace(client_id=quote_plus(client.client_id), client_secret=quote_plus(client.client_secret))
    return encode_client_secret_basic(pair, method, url, headers, body)


@cache
def _app_class() -> Any:
    from authlib.integrations.flask_client import FlaskOAuth2App
    from authlib.integrations.requests_client import OAuth2Session

    class GuardedSession(OAuth2Session):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
            return _guarded_answer(request)

        def parse_response_token(self, resp: requests.Response) -> Any:
            """Return the answer as it is: Authlib refuses odd lifetimes, and nobody here uses the token later."""
            return object_of(resp.json())

    class GuardedApp(FlaskOAuth2App):
        client_cls = GuardedSession

    return GuardedApp


def _app(name: str, id: str, secret: str, scope: str, **more: Any) -> Any:
    """Return a client for one step; it is made anew because the settings may change."""
    from authlib.integrations.flask_client import FlaskIntegration

    way = more.pop("method", "client_secret_post")
    kwargs = {"scope": scope, "code_challenge_method": "S256", "token_endpoint_auth_method": way, "trust_env": False}
    return _app_class()(
        FlaskIntegration(name), name, client_id=id, client_secret=secret, client_kwargs=kwargs, user_agent="one-api",
        client_auth_methods=[("client_secret_basic", _form_encoded_basic)], **more,
    )  # fmt: skip


def page(name: str, url: str, id: str, flow: Flow, *, scope: str, redirect_uri: str | None = None) -> str:
    """Return the address that leads to the provider's page."""
    nonce = {"nonce": flow.nonce} if "openid" in scope.split() else {}
    app = _app(name, id, "", scope, authorize_url=url)
    made = app.create_authorization_url(redirect_uri, state=flow.state, code_verifier=flow.verifier, **nonce)
    return str(made["url"])


def exchange(name: str, url: str, id: str, secret: str, code: str, flow: Flow, **more: Any) -> dict[str, Any]:
    """Trade the code for tokens; raises Trouble. `method` is how the client signs in to the token endpoint."""
    redirect_uri = more.pop("redirect_uri", None)
    verifier = {"code_verifier": flow.verifier} if flow.verifier else {}
    app = _app(name, id, secret, "", access_token_url=url, **more)
    try:
        return dict(app.fetch_access_token(redirect_uri, code=code, headers=dict(FORM), **verifier))
    except (requests.RequestException, ValueError) as error:
        raise Trouble("unreachable", f"{url}: {error}") from error
