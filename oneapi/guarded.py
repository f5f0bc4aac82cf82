"""The HTTP client for addresses that people type (pictures, webhooks, sign-in servers); keeps them out of our own network."""

import socket
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import gevent
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError

from oneapi import addresses
from oneapi.relay.inflate import inflating
from oneapi.wire import VendorError

MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_HARMLESS = ("accept", "accept-encoding", "accept-language", "content-type", "user-agent")
PORTS = frozenset({80, 443})  # at which addresses of users are fetched, beside those of the setting


class FetchError(Exception):
    """An address could not be fetched; the text is a sentence for whoever typed it.

    `reason` is one of "address", "redirect", "size", "time", "unreachable".
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of any status. Header names are lower case; `url` is where it came from in the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Sink(Protocol):
    """Takes an answer as it comes, decompressed; what it raises ends the fetch."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None: ...

    def write(self, piece: bytes) -> None: ...


def get(url: str, **options: Any) -> Fetched:
    """GET; options as for `fetch`."""
    return fetch("GET", url, **options)


def post(url: str, *, json: Any = None, data: bytes | Mapping[str, str] | None = None, **options: Any) -> Fetched:
    """POST; options as for `fetch`. A redirect to another host is not followed: the body may hold secrets."""
    return fetch("POST", url, json=json, data=data, **options)


def fetch(
    method: str,
    url: str,
    *,
    max_bytes: int,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    data: bytes | Mapping[str, str] | None = None,
    allow_private: bool = False,
    proxy: str = "",
    ports: Container[int] | None = None,
    sink: Sink | None = None,
) -> Fetched:
    """The answer, after at most three redirects; raises FetchError. `timeout` bounds the whole, `max_bytes` the body.

    `ports` are those that the address and its redirects may name; None allows all. A `sink` gets the body instead.
    """
    slow = FetchError("time", f"The address did not answer within {timeout:g} seconds.")
    end = monotonic() + timeout
    with closing(_session(allow_private, proxy)) as session, gevent.Timeout(timeout, slow):
        sent = {"User-Agent": "one-api", "Accept": "*/*", **(headers or {}), "Accept-Encoding": "identity"}
        for _ in range(MAX_REDIRECTS + 1):
            _check_url(url, ports)
            if proxy:
                _check_for_proxy(url, allow_private)
            answer = _send(session, method, url, headers=sent, json=json, data=data, timeout=max(0.001, end - monotonic()))
            with closing(answer):
                target = answer.headers.get("Location")
                if answer.status_code not in _REDIRECTS or not target:
                    found = Fetched(answer.status_code, _lower(answer.headers), b"", url)
                    if sink is not None:
                        sink.begin(found.status, found.headers)
                    return replace(found, body=_body(answer, max_bytes, end, slow, sink))
            url, method, sent, same = _follow(url, target, method, answer.status_code, sent)
            if method == "GET":
                json = data = None
            elif not same:
                raise FetchError("redirect", "The address redirects to another host, which does not get what was meant for it.")
    raise FetchError("redirect", f"The address redirects more than {MAX_REDIRECTS} times.")


def _send(session: requests.Session, method: str, url: str, **what: Any) -> requests.Response:
    try:
        return session.request(method, url, allow_redirects=False, stream=True, **what)
    except requests.Timeout as error:
        raise FetchError("time", f"{urlsplit(url).hostname} did not answer in time.") from error
    except (requests.RequestException, HTTPError, UnicodeError) as error:
        raise FetchError("unreachable", f"{urlsplit(url).hostname} could not be reached.") from error


def _body(answer: requests.Response, max_bytes: int, end: float, slow: FetchError, sink: Sink | None) -> bytes:
    too_large = FetchError("size", f"The answer is larger than {max_bytes} bytes.")
    declared = answer.headers.get("Content-Length", "")
    if declared.isascii() and declared.isdecimal() and (len(declared) > 15 or int(declared) > max_bytes):
        raise too_large
    pieces: list[bytes] = []
    keep, total = pieces.append if sink is None else sink.write, 0
    try:
        for piece in _decoded(answer, max_bytes):
            total += len(piece)
            if total > max_bytes:
                raise too_large
            if monotonic() > end:
                raise slow
            keep(piece)
    except ReadTimeoutError as error:
        raise slow from error
    except HTTPError as error:
        raise FetchError("unreachable", "The answer broke off.") from error
    return b"".join(pieces)


def _decoded(answer: requests.Response, max_bytes: int) -> Iterator[bytes]:
    """The body without its compression, in pieces of at most 64 KB: we ask for none, and a small file may hold gigabytes."""
    source = answer.raw.stream(16384, decode_content=False)
    coding = answer.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        yield from source
        return
    try:
        yield from inflating(coding, max_bytes + 2**17)(source)  # the caller counts too, and stops earlier
    except VendorError as error:
        raise FetchError("unreachable", f"The answer's compression ({coding[:20]}) cannot be read.") from error


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _follow(url: str, target: str, method: str, status: int, headers: dict[str, str]) -> tuple[str, str, dict[str, str], bool]:
    """Where a redirect leads: address, method, the headers that may go there, and whether it is the same place."""
    following = urljoin(url, target)
    old, new = _origin(url), _origin(following)
    same = old == new or (old[1:] == (new[1], 80) and new == ("https", old[1], 443))
    if status == 303 or (status in (301, 302) and method == "POST"):
        method = "GET"
    if not same:
        headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
    return following, method, headers, same


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise FetchError("address", "The address is not a URL.") from error


def _check_url(url: str, ports: Container[int] | None) -> None:
    scheme, host, port = _origin(url)
    if scheme not in ("http", "https"):
        raise FetchError("address", "The address must begin with http:// or https://.")
    if not host or "@" in urlsplit(url).netloc:
        raise FetchError("address", "The address must name a host, and no user.")
    if ports is not None and port not in ports:
        raise FetchError("address", f"Port {port} is not allowed; use 80 or 443, or ask your administrator to allow it.")


# ---- addresses


def resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[Any, ...]]:
    """getaddrinfo's answer; raises FetchError unless every address in it is permitted."""
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError("unreachable", f"The name {host} is not known.") from error
    for entry in found:
        if not addresses.permitted(addresses.parsed(str(entry[4][0])), allow_private=allow_private):
            raise FetchError("address", f"{host} is not on the public internet.")
    return found


def _check_for_proxy(url: str, allow_private: bool) -> None:
    """A proxy resolves names itself: what we can see of the target is checked, a name only the proxy knows is its affair."""
    _, host, port = _origin(url)
    try:
        resolve(host, port, allow_private=allow_private)
    except FetchError as error:
        if error.reason == "address":
            raise


def _connect(host: str, port: int, timeout: Any, *, allow_private: bool) -> socket.socket:
    """A connection to one of the addresses that were checked, so that no second look-up can lead elsewhere."""
    failure: OSError | None = None
    for family, kind, protocol, _, target in resolve(host.strip("[]"), port, allow_private=allow_private):
        sock = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, (int, float)):
                sock.settimeout(timeout)
            sock.connect(target)
            return sock
        except OSError as error:
            failure = error
            sock.close()
    raise FetchError("unreachable", f"{host} could not be reached.") from failure


def _session(allow_private: bool, proxy: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
        return session
    adapter = HTTPAdapter(max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = _PRIVATE_POOLS if allow_private else _PUBLIC_POOLS
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _pools(allow_private: bool) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's own pools, with connections that check where they go. SNI, Host and certificate still mean the name."""

    class Checked(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self._dns_host, self.port, self.timeout, allow_private=allow_private)

    class CheckedTls(HTTPSConnection):
        _new_conn = Checked._new_conn

    class Pool(HTTPConnectionPool):
        ConnectionCls = Checked

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = CheckedTls

    return {"http": Pool, "https": TlsPool}


_PUBLIC_POOLS, _PRIVATE_POOLS = _pools(allow_private=False), _pools(allow_private=True)
