"""Opens and keeps connections for the transport: directly or through an HTTP or SOCKS5 proxy, with TLS where needed."""

import ipaddress
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from struct import pack
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import gevent
import gevent.ssl
from gevent import get_hub, socket

from oneapi import addresses
from oneapi.relay.sockets import Link, no_delay
from oneapi.wire import VendorError

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "socks5": 1080, "socks5h": 1080}
SECURE = ("https", "wss")
MAX_IDLE = 512  # kept connections per address
IDLE_SECONDS = 55.0  # how long they are kept; servers commonly close after 60
_TRUST_SECONDS = 2.0  # a connection that rested longer is looked at before it is used again
# https://www.rfc-editor.org/rfc/rfc1928 section 6
_SOCKS_REPLIES = {
    1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "time to live expired", 7: "command not supported", 8: "address type not supported",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection leads; connections of equal addresses are interchangeable."""

    scheme: str
    host: str
    port: int
    proxy: str = ""
    verify: bool = True
    private: bool = True  # whether it may lead into a private network
    private_proxy: bool = True  # whether the proxy may be there

    @property
    def authority(self) -> str:
        """Host and port as the Host header writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxies:
    """What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Proxies":
        def value(name: str) -> str:
            return environ.get(name.lower()) or environ.get(name) or ""

        # A CGI-like server would let a client set HTTP_PROXY by a "Proxy" header; none of ours does.
        return cls(value("HTTP_PROXY"), value("HTTPS_PROXY"), value("NO_PROXY"))

    def proxy_for(self, url: str) -> str:
        """The proxy an address is reached through, "" for none."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme in SECURE else self.http
        return "" if not proxy or _exempt(parts.hostname or "", parts.port, self.no_proxy) else proxy


def _exempt(host: str, port: int | None, no_proxy: str) -> bool:
    """Entries are host names (which cover their subdomains), addresses, networks, or "*"; each may name a port."""
    for entry in no_proxy.replace(" ", ",").lower().split(","):
        name, _, wanted = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if wanted and wanted != str(port or ""):
            continue
        name = name.removeprefix("*").lstrip(".").strip("[]")
        if entry == "*" or (name and (host == name or host.endswith("." + name))):
            return True
        try:
            if name and ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
        except ValueError:
            continue  # one of them is a name
    return False


class Pool:
    """The kept connections to one address, last used first."""

    __slots__ = ("address", "idle")

    def __init__(self, address: Address):
        self.address = address
        self.idle: deque[Link] = deque()

    def take(self) -> Link | None:
        """A connection that may be used, if one is left."""
        while self.idle:
            link = self.idle.pop()
            link.home = None
            if link.sock.hub is not get_hub():
                link.raw.close()  # made by another thread, which alone may wait for it
                continue
            if monotonic() - link.since < _TRUST_SECONDS or link.silent():
                return link
            link.close()
        return None

    def keep(self, link: Link) -> None:
        link.since = monotonic()
        link.deadline, link.client, link.home = link.since + IDLE_SECONDS, None, self.idle
        self.idle.append(link)
        if len(self.idle) > MAX_IDLE:
            oldest = self.idle.popleft()
            oldest.home = None
            oldest.close()


_POOLS: dict[Address, Pool] = {}


def pool_of(address: Address) -> Pool:
    pool = _POOLS.get(address)
    if pool is None:
        if len(_POOLS) >= 1024:
            for unused in [other for other, pool in _POOLS.items() if not pool.idle]:
                del _POOLS[unused]
        pool = _POOLS[address] = Pool(address)
    return pool


def forget_connections() -> None:
    """Close what rests in the pools, for example when the settings of the network have changed."""
    for pool in _POOLS.values():
        while pool.idle:
            link = pool.idle.pop()
            link.home = None
            link.close()


def dial(address: Address, seconds: float) -> Link:
    """A fresh connection, ready for its first request; raises VendorError("unreachable" or "timeout")."""
    slow = VendorError("timeout", f"no connection to {address.host} within {seconds:g} seconds")
    with gevent.Timeout(seconds, slow):
        try:
            if address.proxy:
                sock = _through_proxy(address, seconds)
            else:
                sock = _connect(address.host, address.port, seconds, private=address.private)
        except UnicodeError as error:
            raise VendorError("unreachable", f"{address.host} is no host name") from error
        except OSError as error:
            target = "the proxy for " * bool(address.proxy) + address.host
            raise VendorError("unreachable", f"could not connect to {target}: {error.strerror or error}") from error
        try:
            no_delay(sock)
            return Link(_secured(sock, address) if address.scheme in SECURE else sock)
        except BaseException:
            sock.close()
            raise


def _resolve(host: str, port: int, *, private: bool) -> list[Any]:
    """The addresses of a host that we may connect to; raises VendorError where the settings allow none of them.

    Checked for each connection and not when the channel is stored: a name may lead somewhere else by then.
    """
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    inner = [addresses.parsed(str(entry[4][0])) for entry in found]
    if not private and not all(addresses.permitted(each, allow_private=False) for each in inner):
        raise VendorError("unreachable", f"{host} is not on the public internet, and private networks are turned off")
    allowed = [entry for entry, each in zip(found, inner, strict=True) if not addresses.forbidden(each)]
    if found and not allowed:
        raise VendorError("unreachable", f"{host} is a link-local or metadata address, which is never connected to")
    return allowed


def _connect(host: str, port: int, seconds: float, *, private: bool) -> Any:
    """Tries each address of the host; while others are left, one gets at most half of the time."""
    found = _resolve(host, port, private=private)
    for number, (family, kind, protocol, _, target) in enumerate(found, 1):
        sock = socket.socket(family, kind, protocol)
        try:
            if number < len(found):
                sock.settimeout(seconds / 2)
                seconds /= 2
            sock.connect(target)
            sock.settimeout(None)
            return sock
        except OSError:
            sock.close()
            if number == len(found):
                raise
        except BaseException:
            sock.close()
            raise
    raise OSError(f"{host} has no address")


@lru_cache(2)
def tls_context(verify: bool) -> ssl.SSLContext:
    """The system's trust store; SSL_CERT_FILE and SSL_CERT_DIR add to it, as OpenSSL defines."""
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if verify:
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _secured(sock: Any, address: Address) -> Any:
    tls = tls_context(address.verify).wrap_socket(sock, server_hostname=address.host, do_handshake_on_connect=False)
    try:
        tls.do_handshake()
        return tls
    except ssl.SSLCertVerificationError as error:
        tls.close()
        reason = error.verify_message or str(error)
        raise VendorError("unreachable", f"the certificate of {address.host} was not accepted: {reason}") from error
    except OSError as error:
        tls.close()
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise VendorError("unreachable", f"no TLS connection to {address.host}: {reason}") from error
    except BaseException:
        tls.close()
        raise


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _through_proxy(address: Address, seconds: float) -> Any:
    proxy = urlsplit(address.proxy)
    if proxy.scheme not in ("http", "socks5", "socks5h") or not proxy.hostname:
        raise VendorError("unreachable", "the proxy's address must begin with http://, socks5:// or socks5h://")
    _check_target(address)
    sock = _connect(proxy.hostname, proxy.port or PORTS[proxy.scheme], seconds, private=address.private_proxy)
    try:
        if proxy.scheme != "http":
            _socks(sock, address, proxy)
        elif address.scheme in ("https", "ws", "wss"):
            _tunnel(sock, address, proxy)
        return sock
    except BaseException:
        sock.close()
        raise


def _check_target(address: Address) -> None:
    """Check what we can see of a target behind a proxy: an address always, a name where private networks are turned off.

    A name that only the proxy can resolve is left to the proxy.
    """
    if address.private and addresses.literal(address.host) is None:
        return
    with suppress(socket.gaierror):
        _resolve(address.host, address.port, private=address.private)


def _tunnel(sock: Any, address: Address, proxy: Any) -> None:
    """CONNECT. The answer is read byte by byte, because what follows it belongs to the vendor."""
    target = f"[{address.host}]" if ":" in address.host else address.host
    head = f"CONNECT {target}:{address.port} HTTP/1.1\r\nHost: {target}:{address.port}\r\n"
    if proxy.username is not None:
        head += f"Proxy-Authorization: {basic(proxy.username, proxy.password or '')}\r\n"
    sock.sendall(head.encode() + b"\r\n")
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte or len(answer) > 16384:
            raise OSError("it closed the connection before it answered CONNECT")
        answer += byte
    status = bytes(answer[9:12])
    if status[:1] != b"2":
        raise OSError(f"it answered CONNECT with status {status.decode('latin-1')}")


def _socks(sock: Any, address: Address, proxy: Any) -> None:
    """SOCKS5 with or without a password. socks5h lets the proxy resolve the name, socks5 resolves it here."""
    methods = b"\x00\x02" if proxy.username is not None else b"\x00"
    sock.sendall(pack("BB", 5, len(methods)) + methods)
    version, method = _exactly(sock, 2)
    if version != 5 or method not in methods:
        raise OSError("it accepts none of our ways to sign in")
    if method == 2:
        user, password = unquote(proxy.username).encode(), unquote(proxy.password or "").encode()
        sock.sendall(b"\x01" + pack("B", len(user)) + user + pack("B", len(password)) + password)
        if _exactly(sock, 2)[1] != 0:
            raise OSError("it refused the user name and password")
    sock.sendall(b"\x05\x01\x00" + _socks_target(address, by_name=proxy.scheme == "socks5h") + pack("!H", address.port))
    _, code, _, kind = _exactly(sock, 4)
    if code != 0:
        raise OSError(f"it answered: {_SOCKS_REPLIES.get(code, code)}")
    _exactly(sock, {1: 4, 4: 16}.get(kind) or _exactly(sock, 1)[0])
    _exactly(sock, 2)


def _socks_target(address: Address, *, by_name: bool) -> bytes:
    host = address.host
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if by_name:
            name = host.encode("idna")
            return b"\x03" + pack("B", len(name)) + name
        found = _resolve(host, address.port, private=address.private)
        ip = ipaddress.ip_address(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed


def _exactly(sock: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise OSError("it closed the connection")
        data += more
    return data
