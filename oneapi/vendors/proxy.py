"""Proxy channels: any request to any path of an address, with the channel's key in the place of the caller's."""

from collections.abc import Mapping
from urllib.parse import quote

from oneapi.fields import Field
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.wire import Call, Reply, Request

# What concerns one connection, and not what is said over it. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
# What the caller says to us alone: the address, the length and coding of the body, and every place where a key may stand.
OURS = {
    "host", "content-length", "accept-encoding", "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie",
    "x-oneapi-request-id", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
}  # fmt: skip
DEFAULT = "Authorization: {key}"
SAFE = "/:@!$&'()*+,;=~"  # what may stand in a path as it is


def build(call: Call) -> Request:
    """The caller's request addressed to the channel: `body` holds the method and the raw data, `path` what follows the id."""
    path = quote(call.path.lstrip("/"), safe=SAFE)
    url = f"{call.base_url}/{path}" + (f"?{call.query}" if call.query else "")
    return Request(url, call.body["data"] or None, kept(call.headers, OURS), call.body["method"])


def parse(reply: Reply, call: Call) -> Reply:
    """Whatever comes is the answer."""
    return reply


def kept(headers: Mapping[str, str], without: set[str]) -> dict[str, str]:
    """Headers that travel on: none of those, no hop's own, and none that Connection names."""
    named = next((value for name, value in headers.items() if name.lower() == "connection"), "")
    gone = HOP | without | {name.strip().lower() for name in named.split(",")}
    return {name: value for name, value in headers.items() if name.lower() not in gone}


def sign(request: Request, call: Call) -> Request:
    """The key as it was typed, in the header the channel names: it may hold a scheme of its own."""
    name, _, value = (call.config.get("header") or DEFAULT).partition(":")
    request.headers[name.strip()] = value.strip().replace("{key}", call.key)
    return request


def template(value: str) -> str | None:
    """A check: a header's name, a colon, and a value that holds {key}."""
    name, colon, rest = value.partition(":")
    if value and not (colon and name.strip() and "{key}" in rest and "\n" not in value and "\r" not in value):
        return "give a header with the key in it, such as x-api-key: {key}."
    return None


VENDORS = (
    Vendor(
        43, "proxy", "Proxy", protocols={"proxy": Protocol(build, parse)}, sign=sign,
        needs_base_url=True, key_label="Whole value of the Authorization header",
        fields=(
            Field("header", str, DEFAULT, "Header with the key", "{key} stands for the key.", check=template),
        ),
        owned_by="proxy",
    ),
)  # fmt: skip
