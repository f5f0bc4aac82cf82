"""Turns a wire.Request into the bytes that go out, and its URL into the pool of connections they go over."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from oneapi.relay.dial import PORTS, Address, Pool, basic, pool_of
from oneapi.relay.http1 import TOKEN
from oneapi.wire import DataUrl, Encoded, Request, VendorError, jsonable

_OURS = ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te")  # headers we decide
_DEFAULTS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "one-api"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a URL comes down to."""

    pool: Pool
    target: str  # of the request line
    lines: str  # Host, and what a forward proxy wants to see


@lru_cache(4096)
def plan_of(url: str, proxy: str, verify: bool, private: bool = True, private_proxy: bool = True) -> Plan:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError as error:
        raise VendorError("unreachable", "the channel's address is not a URL") from error
    if scheme not in ("http", "https", "ws", "wss") or not host:
        raise VendorError("unreachable", "the channel's address must begin with http:// or https:// and name a host")
    address = Address(scheme, host, port or PORTS[scheme], proxy, verify, private, private_proxy)
    target = quote(parts.path or "/", safe="/:@!$&'()*+,;=~%-._") + (f"?{_query(parts.query)}" if parts.query else "")
    lines = f"Host: {address.authority}\r\n"
    forward = urlsplit(proxy)
    if scheme == "http" and forward.scheme == "http":
        target = f"http://{address.authority}{target}"
        if forward.username is not None:
            lines += f"Proxy-Authorization: {basic(forward.username, forward.password or '')}\r\n"
    return Plan(pool_of(address), target, lines)


def _query(query: str) -> str:
    return quote(query, safe="/?:@!$&'()*+,;=~%-._[]|{}^`\\\"<>")


@lru_cache(1024)
def _shape(names: tuple[str, ...], json_body: bool) -> tuple[frozenset[str], str]:
    """For these header names: which of them we drop, and the lines we add."""
    lower = {name.lower() for name in names}
    bad = next((name for name in names if not TOKEN.fullmatch(name)), None)
    if bad is not None:
        raise VendorError("bad_request", f"{bad!r} cannot be the name of a header")
    lines = "".join(f"{name}: {value}\r\n" for name, value in _DEFAULTS if name.lower() not in lower)
    if json_body and "content-type" not in lower:
        lines += "Content-Type: application/json\r\n"
    return frozenset(name for name in names if name.lower() in _OURS), lines


def encode(request: Request, plan: Plan, own: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a request; `own` are headers that only the transport may set."""
    body, headers = request.body, request.headers
    if request.files or request.form:
        body, content_type = _multipart(request)
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        headers["Content-Type"] = content_type
    head = _head(request.method, plan.target, plan.lines, tuple(headers.items()), isinstance(body, dict))
    if isinstance(body, dict):
        body = text_of(body)
    if own:
        head += "".join([f"{name}: {value}\r\n" for name, value in own.items()]).encode("latin-1")
    if body is None and request.method in ("GET", "HEAD", "DELETE"):
        return head + b"\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body or b""), body or b"")


def in_pieces(request: Request, plan: Plan) -> list[bytes | bytearray]:
    """The bytes of a request that carries files, as pieces to send one after the other; their base64 stays where it is.

    JSON is written with a mark in place of each file. Encoding the whole would take two more copies of all files.
    """
    if not isinstance(request.body, dict):
        return [encode(request, plan)]
    mark, files = secrets.token_hex(16), list[bytes | bytearray]()

    def marked(value: object) -> str:
        if isinstance(value, DataUrl):
            files.append(value.data.ascii)
            return f"data:{value.media_type};base64,{mark}"
        if isinstance(value, Encoded):
            files.append(value.ascii)
            return mark
        raise TypeError(f"{type(value).__name__} is not JSON serializable")

    try:
        between = orjson.dumps(request.body, marked).split(mark.encode())
    except TypeError:  # see text_of
        return [encode(request, plan)]
    size = sum(map(len, between)) + sum(map(len, files))
    head = _head(request.method, plan.target, plan.lines, tuple(request.headers.items()), True)
    pieces: list[bytes | bytearray] = [b"%bContent-Length: %d\r\n\r\n%b" % (head, size, between[0])]
    for file, after in zip(files, between[1:], strict=True):
        pieces += [file, after]
    return pieces


@lru_cache(1024)  # one channel's requests differ in their bodies
def _head(method: str, target: str, lines: str, headers: tuple[tuple[str, str], ...], json_body: bool) -> bytes:
    """The head of a request up to what depends on its body."""
    drop, more = _shape(tuple([name for name, _ in headers]), json_body)
    kept = "".join([f"{name}: {value}\r\n" for name, value in headers if name not in drop])
    if kept.count("\n") != kept.count("\r") or kept.count("\n") != len([name for name, _ in headers if name not in drop]):
        raise VendorError("auth", "the channel's key or headers contain a line break")
    try:
        return f"{method} {target} HTTP/1.1\r\n{lines}{kept}{more}".encode("latin-1")
    except UnicodeEncodeError as error:
        raise VendorError("auth", "the channel's key or headers contain characters that cannot be sent") from error


def text_of(body: bytes | dict[str, Any]) -> bytes:
    """A body as bytes; a dict becomes compact JSON."""
    if isinstance(body, bytes):
        return body
    try:
        return orjson.dumps(body, jsonable)
    except TypeError as error:  # a lone surrogate, or a number beyond 64 bits: both are legal JSON
        if "recursion" in str(error).lower():
            raise VendorError("bad_request", "The request is nested too deeply.") from error
        return json.dumps(body, separators=(",", ":"), default=jsonable).encode()


def _multipart(request: Request) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in request.form:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'.encode())
    for file in request.files:
        named = f'name="{_quoted(file.name)}"; filename="{_quoted(file.filename)}"'
        head = f"--{boundary}\r\nContent-Disposition: form-data; {named}\r\n"
        kind = re.sub(r"[\r\n]", "", file.content_type) or "application/octet-stream"
        parts += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), file.data, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    """As browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data"""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
