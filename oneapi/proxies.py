"""Where a request comes from when proxies stand in between: only those in TRUSTED_PROXIES are believed. Pure."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from oneapi.mailbox import ascii_domain

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# [IPv6] with or without a port, IPv4 with a port, or an address alone; each may have a zone.
WRITTEN = re.compile(r"\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::\d{1,5})?|([0-9.]+):\d{1,5}|([0-9A-Fa-f:.]+)(?:%\S*)?")
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address, with letter case and default ports made equal; None when it has none (`null`)."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    return parts.scheme, ascii_domain(parts.hostname.lower()), port or DEFAULT_PORTS[parts.scheme]


def in_ascii(address: str) -> str:
    """Return an http address with its host in ASCII (RFC 5891), as headers, mails and identity providers take it."""
    scheme, mark, rest = address.partition("://")
    if not mark or address.isascii():
        return address
    place, slash, path = rest.partition("/")
    login, at, host = place.rpartition("@")
    name, colon, port = host.partition(":")
    return f"{scheme}://{login}{at}{ascii_domain(name)}{colon}{port}{slash}{path}"


def networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def ip_of(environ: Mapping[str, Any], trusted: Iterable[Network]) -> str:
    """The client's address in a WSGI environment: the last forwarded one that is no trusted proxy."""
    peer, trusted = str(environ.get("REMOTE_ADDR", "")), tuple(trusted)
    if not is_trusted(peer, trusted):
        return peer
    forwarded = [part.strip() for part in str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
    if not forwarded and (real := str(environ.get("HTTP_X_REAL_IP", "")).strip()):
        forwarded = [real]
    for address in map(without_port, reversed(forwarded)):
        if address_of(address) is None:
            return peer  # a chain that cannot be read proves nothing
        if not is_trusted(address, trusted):
            return address
        peer = address
    return peer


def without_port(text: str) -> str:
    """Return a forwarded address alone: some proxies write ip:port, [ip], [ip]:port, quotes, or a zone behind a %."""
    found = WRITTEN.fullmatch(text.strip().strip('"').strip())
    return (found[1] or found[2] or found[3]) if found else text


def is_trusted(address: str, trusted: Iterable[Network]) -> bool:
    """Whether a peer is one of our proxies. A Unix socket has no address: only a local proxy reaches it."""
    parsed = address_of(address)
    return not address or (parsed is not None and any(parsed in network for network in trusted))


def address_of(text: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
_PRIVATE = tuple(ipaddress.ip_network(network) for network in PRIVATE)


def is_private(ip: str) -> bool:
    """Return True for addresses of this host and of private networks, which the internet cannot send from."""
    return is_trusted(ip, _PRIVATE)


class Forwarded:
    """WSGI: what a trusted proxy says about client, scheme and host becomes true for everything behind it."""

    def __init__(self, app: Callable[..., Any], trusted: tuple[Network, ...]):
        self.app, self.trusted = app, trusted

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if is_trusted(str(environ.get("REMOTE_ADDR", "")), self.trusted):
            scheme = str(environ.get("HTTP_X_FORWARDED_PROTO", "")).split(",")[-1].strip().lower()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            host = str(environ.get("HTTP_X_FORWARDED_HOST", "")).split(",")[-1].strip()
            if origin_of(f"http://{host}") and not set(host) & set("/@?#\\ "):
                environ["HTTP_HOST"] = host
        environ["REMOTE_ADDR"] = ip_of(environ, self.trusted)
        return self.app(environ, start_response)


def neighbourhood(ip: str) -> str:
    """What an address is counted as: an IPv6 client owns a whole /64."""
    parsed = address_of(ip)
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed and parsed.version == 6 else ip
