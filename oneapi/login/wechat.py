"""WeChat through a WeChat Server of the operator's: people get a code from the account they follow, and type it in."""

from collections.abc import Mapping
from urllib.parse import quote

from oneapi.login.contract import Flow, Profile, Provider, Trouble, get, text
from oneapi.state import State


def identify(state: State, args: Mapping[str, str], flow: Flow) -> Profile:
    now = state.settings
    server = now.wechat_server_address.rstrip("/")
    said = get(f"{server}/api/wechat/user?code={quote(args['code'], safe='')}", Authorization=now.wechat_server_token)
    if not isinstance(said, dict):
        raise Trouble("odd", "no JSON object")
    if not said.get("success"):
        raise Trouble("refused", text(said, "message")[:200] or "?")
    if not (identity := text(said, "data")):
        raise Trouble("code")
    return Profile(identity)


PROVIDER = Provider(
    "wechat", "WeChat", "微信", "wechat_id", "WeChat User", lambda now: now.wechat_auth_enabled, identify,
    refusals={"bound": "wechat_bound", "off": "wechat_off"},
)  # fmt: skip
