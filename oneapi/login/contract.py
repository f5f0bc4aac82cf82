"""What a sign-in provider is: a row with two functions, as vendors are rows; and how providers are asked."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from oneapi import guarded, proxies
from oneapi.settings import Settings
from oneapi.state import State

log = logging.getLogger(__name__)

SECONDS = 5.0  # for each question to a provider
LARGEST = 2**20  # bytes of an answer


class Trouble(Exception):  # noqa: N818  # what it says is a kind, not a text
    """A provider did not tell who somebody is: `kind` is unreachable, odd, refused or code."""

    def __init__(self, kind: str, detail: str = ""):
        super().__init__(detail)
        self.kind, self.detail = kind, detail


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in between leaving for the provider and coming back. Without verifier and nonce when others began it."""

    state: str = ""
    verifier: str = ""
    nonce: str = ""
    next: str = ""
    aff_code: str = ""

    @property
    def challenge(self) -> dict[str, str]:
        """What the provider is told of the verifier."""
        return {"code_challenge": create_s256_code_challenge(self.verifier), "code_challenge_method": "S256"}


def new_flow(*, next: str = "", aff_code: str = "") -> Flow:
    return Flow(generate_token(32), generate_token(64), generate_token(32), next, aff_code)


@dataclass(frozen=True, slots=True)
class Profile:
    """Who somebody is: `identity` never changes, `login` may. `email` is only ever one that the provider has verified."""

    identity: str
    login: str = ""
    username: str = ""
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """A row. `column` of users holds the identity; `legacy`, where the old project kept a login name that may change.

    `address` leads to the provider's page; a provider without one gives people a code to type in.
    """

    name: str  # in paths and generated user names
    title: str
    title_zh: str
    column: str
    stranger: str  # display name of people who give none
    offered: Callable[[Settings], bool]
    identify: Callable[[State, Mapping[str, str], Flow], Profile]
    address: Callable[[State, Flow], str] | None = None
    legacy: str = ""
    refusals: Mapping[str, str] = field(default_factory=dict)  # kind of trouble → code of messages.TEXTS, where it is its own

    def columns(self, profile: Profile) -> dict[str, str]:
        """What users keep of a profile."""
        return {self.column: profile.identity} | ({self.legacy: profile.login} if self.legacy else {})

    @property
    def nothing(self) -> dict[str, None]:
        return dict.fromkeys(filter(None, (self.column, self.legacy)))


def back(state: State, name: str) -> str:
    """Where a provider sends people back to."""
    return f"{proxies.in_ascii(state.settings.server_address).rstrip('/')}/oauth/{name}"


def get(url: str, token: str = "", **headers: str) -> Any:
    """The JSON behind an address, with a bearer token if there is one; raises Trouble."""
    return _json("GET", url, headers={"Accept": "application/json", **_bearer(token), **headers})


def post(url: str, *, json: Any = None, data: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """What is answered to a JSON body or a form; raises Trouble."""
    return _json("POST", url, json=json, data=data, headers={"Accept": "application/json", **(headers or {})})


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _json(method: str, url: str, **what: Any) -> Any:
    """Refusals are answers too: see `object_of`."""
    try:
        return json.loads(fetched(method, url, **what).body)
    except ValueError as error:
        raise Trouble("unreachable", f"{url}: {error}") from error


def fetched(method: str, url: str, **what: Any) -> guarded.Fetched:
    """Ask a provider; raises Trouble. The addresses come from the settings, so they may be in our own network."""
    try:
        answer = guarded.fetch(method, url, timeout=SECONDS, max_bytes=LARGEST, allow_private=True, **what)
    except guarded.FetchError as error:
        raise Trouble("unreachable", f"{url}: {error}") from error
    if answer.status >= 500:
        raise Trouble("unreachable", f"{url} answered {answer.status}")
    return answer


def object_of(answer: Any) -> dict[str, Any]:
    """The answer as a dict; raises Trouble for an error in OAuth's form, and for anything else."""
    if not isinstance(answer, dict):
        raise Trouble("odd", "no JSON object")
    if answer.get("error"):
        raise Trouble("refused", str(answer.get("error_description") or answer["error"])[:200])
    return answer


def text(answer: Mapping[str, Any], name: str) -> str:
    """A text of an answer, "" when it is none. Blanks around an identity would make two of one."""
    value = answer.get(name)
    return value.strip() if isinstance(value, str) else ""


def access_token(answer: Any) -> str:
    """The access token of a token endpoint's answer; raises Trouble."""
    found = text(object_of(answer), "access_token")
    if not found:
        raise Trouble("odd", "no access token")
    return found
