"""The proxy route: an administrator's request passed to a channel of the proxy kind as it is, and logged."""

import hmac
import re
from typing import Any
from urllib.parse import unquote

from oneapi import vendors
from oneapi.fields import storable
from oneapi.models import log as table
from oneapi.models import user
from oneapi.relay import transport
from oneapi.relay.answers import Served
from oneapi.relay.ask import Ask
from oneapi.relay.faults import refusal
from oneapi.relay.gateway import Gateway
from oneapi.relay.refusal import Refused
from oneapi.state import Caller
from oneapi.wire import Call, VendorError

NOT_RETURNED = {
    "connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
    "content-encoding", "content-type", "set-cookie", "date", "server", "x-oneapi-request-id", "x-request-id",
    "access-control-allow-origin",
}  # fmt: skip


def proxy(gateway: Gateway, environ: dict[str, Any], ask: Ask, raw: bytes) -> tuple[Served, list[tuple[str, str]]]:
    """The vendor's answer as it came, and its headers; raises Refused. An answer that tells of a failure is noted as one."""
    caller = ask.caller
    if caller.role < user.Role.ADMIN:
        raise Refused(403, "Only administrators may use the proxy route.", "channel_not_allowed", zh="普通用户不支持指定渠道")
    number, _, target = ask.path.removeprefix("/v1/oneapi/proxy/").partition("/")
    lane = gateway.state.snapshot.lanes.get(int(number)) if number.isdecimal() and len(number) < 16 else None
    if lane is None:
        raise Refused(400, f"There is no channel {number}.", "invalid_channel", zh="无效的渠道 Id")
    if not lane.enabled:
        raise Refused(403, f"Channel {number} is disabled.", "channel_disabled", zh="该渠道已被禁用")
    if "proxy" not in lane.vendor.protocols:
        raise Refused(400, f"Channel {number} is not of the proxy kind.", "invalid_channel")
    if has_dots(target):
        text = f"The path /{target[:200]} has a segment . or .., which could leave the channel's address: send the resolved path."
        raise Refused(400, text, "invalid_path", zh="路径不能包含 . 或 .. 段")
    asked = {"method": environ["REQUEST_METHOD"], "data": raw}
    call = Call(
        "proxy", asked, "", lane.base_url, gateway.health.key(lane), False, lane.config, f"/{target}",
        ask.query, client_headers(environ, gateway.secret, caller), id=ask.id, vendor=lane.vendor,
    )  # fmt: skip
    began = gateway.state.clock()
    try:
        request = lane.vendor.sign(vendors.guarded_build(lane.vendor.protocols["proxy"], call), call)
        incoming = transport.open_stream(request, gateway.route(lane, request.url, True), ask.client)
    except VendorError as error:
        ask.tried(lane, ask.started, error.status, error.kind)
        gateway.health.failed(lane, error, call.key)
        raise refusal(error, lane, call.key) from error
    try:
        write_down(gateway, caller, lane.id, f"{request.method} /{target} {incoming.status}", ask.id, int(began))
    except BaseException:  # what cannot be written down is not passed on
        incoming.close()
        raise
    ask.tried(lane, ask.started, incoming.status)
    if incoming.status >= 400:
        said = f"The vendor answered with status {incoming.status}."
        gateway.failures.refused(Refused(incoming.status, said, "vendor_error"), caller, ask.id, ask.path, ask)
    headers = [(name, value) for name, value in incoming.headers.items() if name not in NOT_RETURNED]
    return Served(incoming.headers.get("content-type", "application/octet-stream"), Passage(incoming), incoming.status), headers


class Passage:
    """The body of a proxied answer."""

    def __init__(self, incoming: transport.Incoming):
        self.incoming = incoming

    def __iter__(self) -> Any:
        return iter(self.incoming)

    def close(self) -> None:
        self.incoming.close()


def has_dots(path: str) -> bool:
    """Return True for a path with a dot segment in any form that a server resolves: encoded, with backslashes or parameters."""
    segments = re.split(r"[/\\]", unquote(unquote(path)))
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


def own_key(secret: bytes, user: int, key: str) -> str:
    """Return what a provider gets in the place of a user's Idempotency-Key: the same for the same user, and for nobody else.

    Users share our accounts at providers, where one could read or block the answer of another by sending the same key.
    """
    return hmac.new(secret, f"idempotency-key:{user}:{key}".encode(), "sha256").hexdigest()


def client_headers(environ: dict[str, Any], secret: bytes, caller: Caller) -> dict[str, str]:
    """The client's headers, lower case, with an idempotency key of this user's own."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    if key := headers.pop("idempotency-key", ""):
        headers["idempotency-key"] = own_key(secret, caller.user_id, key)
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


def write_down(gateway: Gateway, caller: Caller, channel: int, what: str, id: str, now: int) -> None:
    with gateway.state.databases.logs() as session:
        session.add(
            table.Log(
                user_id=caller.user_id, username=caller.username, token_name=caller.token_name, created_at=now,
                type=table.Kind.MANAGE, content=storable(f"proxy: {what}")[:500], channel_id=channel, request_id=id,
            )
        )  # fmt: skip
