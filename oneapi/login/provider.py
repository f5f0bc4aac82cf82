"""What an identity provider is: a row, and how to learn from it who came back. What all of them need stands here too."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from oneapi.messages import TEXTS, Refused
from oneapi.settings import Settings
from oneapi.state import State

SECONDS = 5.0
LARGEST = 2**20  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Identity:
    """Who someone is at a provider. `columns` is written to the account at each sign-in; `email` only if proven."""

    id: str
    username: str = ""
    display_name: str = ""
    email: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was agreed on when a sign-in began; empty where the client began it without us."""

    verifier: str = ""
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to sign in. `column` holds its identity in the users table; without `authorize` there is no redirect."""

    slug: str
    name: str
    name_zh: str
    column: str
    enabled: Callable[[Settings], bool]
    identify: Callable[[State, str, Attempt], Identity]
    authorize: Callable[[State, str, Attempt], str] | None = None
    # Identities of the old project that mean the same person, as column → value; asked when `column` knows nobody.
    legacy: Callable[[Identity], tuple[str, str] | None] = lambda identity: None

    def refusal(self, what: str, **more: Any) -> Refused:
        """The refusal in this provider's own words where it has some."""
        code = f"{self.slug}_{what}" if f"{self.slug}_{what}" in TEXTS else f"provider_{what}"
        return Refused(code, provider=self.name, provider_zh=self.name_zh, **more)


class Unreachable(Exception):
    """The provider did not answer, or not in a way that can be read."""


class Odd(Exception):
    """The provider answered without saying who came."""


class Denied(Exception):
    """The provider says no: the code is wrong or used, or the application is not set up."""


def redirect_uri(state: State, slug: str) -> str:
    return f"{state.settings.server_address.rstrip('/')}/oauth/{slug}"


def client(state: State, slug: str, id: str, secret: str, **more: Any) -> OAuth2Session:
    """An OAuth client that can also send its token request as JSON (auth method client_secret_json)."""
    made = OAuth2Session(id, secret, redirect_uri=redirect_uri(state, slug), **more)
    made.register_client_auth_method(("client_secret_json", _as_json))
    made.max_redirects = 3
    return made


def _as_json(client: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, bytes]:
    text = body.decode() if isinstance(body, bytes) else body
    fields = dict(parse_qsl(text)) | {"client_id": client.client_id, "client_secret": client.client_secret}
    headers["Content-Type"] = "application/json; charset=utf-8"
    return uri, headers, json.dumps(fields).encode()


def token(client: OAuth2Session, url: str, code: str, attempt: Attempt) -> dict[str, Any]:
    """Exchange a code; raises Unreachable or Denied."""
    more = {"code_verifier": attempt.verifier} if attempt.verifier else {}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
    try:
        got = client.fetch_token(url, code=code, grant_type="authorization_code", headers=headers, timeout=SECONDS, **more)
    except AuthlibBaseError as error:
        raise Denied(f"{error.error}: {error.description}" if error.description else str(error.error)) from error
    except (requests.RequestException, ValueError) as error:
        raise Unreachable from error
    if not got.get("access_token"):
        raise Denied(str(got.get("message") or got.get("msg") or got.get("error_description") or "no access token"))
    return dict(got)


def get(client: requests.Session, url: str, **headers: str) -> Any:
    """A JSON answer; raises Unreachable."""
    try:
        answer = client.get(url, headers={"Accept": "application/json"} | headers, timeout=SECONDS)
        if answer.status_code >= 400 or len(answer.content) > LARGEST:
            raise Unreachable(f"status {answer.status_code}")
        return answer.json()
    except (requests.RequestException, AuthlibBaseError, ValueError) as error:
        raise Unreachable from error


def person(said: Any) -> dict[str, Any]:
    """A provider's answer as the dict it should be."""
    if not isinstance(said, dict):
        raise Odd
    return said
