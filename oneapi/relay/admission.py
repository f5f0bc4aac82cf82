"""Who is asking the relay and whether they may: keys in all header forms, status, expiry, networks, models."""

import ipaddress
from collections.abc import Callable
from typing import Any

from oneapi import proxies
from oneapi.models import token, user
from oneapi.relay.refusal import Refused, out_of_quota
from oneapi.state import Caller, State

Environ = dict[str, Any]

LONGEST = 128  # characters of a key with a channel's number; keys have 48


def key_of(environ: Environ) -> str:
    """Return the key a client sent: Authorization with or without Bearer, x-api-key, api-key or x-goog-api-key; "" for none.

    A key in the query (?key=) is not accepted: addresses are written to logs.
    """
    given = environ.get("HTTP_AUTHORIZATION")
    if given:
        given = given.strip()
        return given[7:].strip() if given[:7].lower() == "bearer " else given
    for name in ("HTTP_X_API_KEY", "HTTP_API_KEY", "HTTP_X_GOOG_API_KEY"):
        if given := environ.get(name):
            return str(given).strip()
    return ""


def caller(state: State, environ: Environ, client_ip: Callable[[Environ], str]) -> tuple[Caller, int]:
    """Who stands behind the key and the channel it pins (0 for none); raises Refused."""
    key = key_of(environ).removeprefix("sk-")
    if not key:
        raise Refused(401, "No API key: send it as `Authorization: Bearer sk-…`.", "invalid_api_key", zh="未提供令牌")
    if len(key) > LONGEST:  # what was looked up is remembered
        raise unknown(state, client_ip(environ))
    found, pinned = state.caller(key), 0
    if found is None and "-" in key:
        key, _, channel = key.partition("-")
        found = state.caller(key)
        if found is not None:
            pinned = pin(found, channel.partition("-")[0])
    if found is None:
        raise unknown(state, client_ip(environ))
    if found.token_status != token.Status.ENABLED or found.user_status != user.Status.ENABLED:
        raise unfit(found, as_403=state.settings.quota_refused_with403_enabled)
    if found.expired_time != -1 and found.expired_time < state.clock():
        raise Refused(401, "The API key has expired.", "invalid_api_key", zh="该令牌已过期")
    if found.subnet:
        check_network(found, client_ip(environ))
    return found, pinned


def unknown(state: State, ip: str) -> Refused:
    """Count a wrong key of an address and return the refusal: 429 after too many. Right keys are never counted nor refused."""
    wait = state.gateway.wrong_keys.wait(proxies.neighbourhood(ip))
    if not wait:
        return Refused(401, "The API key is not valid.", "invalid_api_key", zh="无效的令牌")
    text = f"Too many requests with wrong API keys from your address. Send a valid key, or try again in {wait} seconds."
    return Refused(429, text, "too_many_wrong_keys", zh=f"来自您的地址的无效令牌请求过多，请在 {wait} 秒后重试", retry_after=wait)


def pin(found: Caller, channel: str) -> int:
    if found.role < user.Role.ADMIN:
        raise Refused(
            403, "Only administrators may name a channel in their key.", "channel_not_allowed", zh="普通用户不支持指定渠道"
        )
    if not (channel.isascii() and channel.isdecimal()) or len(channel) > 15 or int(channel) == 0:
        raise Refused(400, f"{channel!r} is not the id of a channel.", "invalid_channel", zh="无效的渠道 Id")
    return int(channel)


def unfit(found: Caller, *, as_403: bool = False) -> Refused:
    if found.user_status != user.Status.ENABLED:
        return Refused(403, "The owner of this API key has been disabled.", "user_disabled", zh="用户已被封禁")
    name = found.token_name
    if found.token_status == token.Status.EXHAUSTED:
        text = f"The quota of API key {name} is used up."
        zh = f"令牌 {name}（#{found.token_id}）额度已用尽"
        return Refused(401, text, "insufficient_quota", zh=zh) if as_403 else out_of_quota(text, zh)
    if found.token_status == token.Status.EXPIRED:
        return Refused(401, "The API key has expired.", "invalid_api_key", zh="该令牌已过期")
    return Refused(401, "The API key is disabled.", "invalid_api_key", zh="该令牌状态不可用")


def check_network(found: Caller, ip: str) -> None:
    """Refuse an address outside the key's networks; IPv4 inside IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        address = None
    if address is not None:
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in found.networks):
            return
    text = f"This API key may be used only from {found.subnet}; you come from {ip}."
    raise Refused(403, text, "network_not_allowed", zh=f"该令牌只能在指定网段使用：{found.subnet}，当前 ip：{ip}")


def check_model(found: Caller, model: str) -> None:
    if found.models is not None and model not in found.models:
        text = f"This API key may not use the model {model}."
        raise Refused(403, text, "model_not_allowed", zh=f"该令牌无权使用模型：{model}", param="model")
