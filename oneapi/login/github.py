"""GitHub, also an Enterprise server. People are known by their number: a login name can be renamed and taken by others."""

from collections.abc import Mapping

from oneapi.login import client
from oneapi.login.contract import Flow, Profile, Provider, Trouble, access_token, get, object_of, text
from oneapi.state import State


def address(state: State, flow: Flow) -> str:
    now = state.settings
    page = now.github_base_url.rstrip("/") + "/login/oauth/authorize"
    # No redirect_uri: the one registered with the app is right even where the server address is not.
    return client.page("github", page, now.github_client_id, flow, scope="user:email")


def identify(state: State, args: Mapping[str, str], flow: Flow) -> Profile:
    now = state.settings
    url = now.github_base_url.rstrip("/") + "/login/oauth/access_token"
    token = access_token(client.exchange("github", url, now.github_client_id, now.github_client_secret, args["code"], flow))
    api = now.github_api_url.rstrip("/")
    person = object_of(get(f"{api}/user", token))
    number, login = person.get("id"), text(person, "login")
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0 or not login:
        raise Trouble("odd", "no id or login")
    return Profile(str(number), login, name=text(person, "name"), email=_email(api, token))


def _email(api: str, token: str) -> str:
    """The primary address if it is verified. People may withhold it, and then have none here."""
    try:
        found = get(f"{api}/user/emails", token)
    except Trouble:
        return ""
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return next((text(row, "email") for row in rows if row.get("primary") is True and row.get("verified") is True), "")


PROVIDER = Provider(
    "github", "GitHub", "GitHub", "github_uid", "GitHub User", lambda now: now.github_o_auth_enabled, identify, address,
    legacy="github_id",
)  # fmt: skip
