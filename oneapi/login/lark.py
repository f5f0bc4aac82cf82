"""Feishu, and Lark with its own addresses. People are known by their open_id."""

from collections.abc import Mapping

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri

from oneapi.login.contract import Flow, Profile, Provider, Trouble, access_token, back, get, object_of, post, text
from oneapi.state import State


def address(state: State, flow: Flow) -> str:
    now = state.settings
    page = now.lark_accounts_url.rstrip("/") + "/open-apis/authen/v1/authorize"
    return prepare_grant_uri(
        page, now.lark_client_id, "code", redirect_uri=back(state, "lark"), state=flow.state, **flow.challenge
    )


def identify(state: State, args: Mapping[str, str], flow: Flow) -> Profile:
    now = state.settings
    asked = {"grant_type": "authorization_code", "client_id": now.lark_client_id, "client_secret": now.lark_client_secret}
    asked |= {"code": args["code"], "redirect_uri": back(state, "lark")}
    if flow.verifier:
        asked["code_verifier"] = flow.verifier
    token = access_token(post(now.lark_open_url.rstrip("/") + "/open-apis/authen/v2/oauth/token", json=asked))
    person = object_of(get(now.lark_passport_url.rstrip("/") + "/suite/passport/oauth/userinfo", token))
    identity = text(person, "open_id")
    if not identity:
        raise Trouble("odd", "no open_id")
    return Profile(identity, name=text(person, "name"))


PROVIDER = Provider(
    "lark", "Feishu", "飞书", "lark_id", "Lark User", lambda now: bool(now.lark_client_id), identify, address,
    refusals={"bound": "lark_bound", "unreachable": "lark_unreachable"},
)  # fmt: skip
