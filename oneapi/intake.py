"""What clients send us: strict request heads, and bodies with limits. Refuses what two parsers could read in two ways."""

import io
import re
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any
from urllib.parse import unquote_to_bytes

from gevent.pywsgi import _InvalidClientInput

from oneapi.relay.http1 import TOKEN, Dechunk, Malformed
from oneapi.relay.sockets import Link

CHUNKED = -1
_REQUEST_LINE = re.compile(rb"([A-Z][A-Za-z0-9_-]{0,31}) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_DISCARD = 256 * 1024  # bytes of a body nobody wanted that are read to keep the connection


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost. Sizes are bytes, times are seconds."""

    head: int = 64 * 1024
    target: int = 16 * 1024
    headers: int = 100
    body: int = 64 * 1024 * 1024
    inline: int = 1024 * 1024  # bodies up to here are read before the application runs
    first_seconds: float = 10  # to the first byte of a new connection
    idle_seconds: float = 75  # between two requests; longer than nginx keeps its connections to us
    head_seconds: float = 20
    body_pause_seconds: float = 30  # between two pieces of a body
    body_rate: int = 4096  # bytes per second on average, once a minute has passed
    send_seconds: float = 120  # in which a client takes no byte of the answer


class Refusal(Exception):  # noqa: N818  # it is an answer, not an accident
    """A request that is not let in; the connection is closed after saying why."""

    def __init__(self, status: str, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def _bad(message: str) -> Refusal:
    return Refusal("400 Bad Request", message)


# Header line → WSGI key, "" for headers that are not passed on, and value: what clients send differs little between requests.
_LINES: dict[str, tuple[str, str]] = {}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not TOKEN.fullmatch(name):
        raise _bad("a header's name contains characters it must not contain")
    if not colon:
        raise _bad("a header without a colon")
    upper = name.upper().replace("-", "_")
    if "_" in name:
        key = ""  # X_Forwarded_For would pass for X-Forwarded-For
    else:
        key = upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + upper
    found = key, value.strip(" \t")
    if len(text) <= 256:
        if len(_LINES) >= 4096:  # somebody's lines always differ
            _LINES.clear()
        _LINES[text] = found
    return found


def _parse_request_line(line: bytes) -> tuple[str, str, str, str, str, str]:
    """Method, target, path, query, protocol, and the host if the target names one."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _bad("the request line is not METHOD TARGET HTTP/1.1")
    method, target = match[1].decode(), match[2].decode("latin-1")
    origin, host = target, ""
    if target[0] != "/":
        scheme, sign, rest = target.partition("://")
        if sign and scheme.lower() in ("http", "https"):
            host, slash, path = rest.partition("/")
            origin = slash + path or "/"
        if not (host or (target == "*" and method == "OPTIONS")) or "?" in host or "@" in host:
            raise _bad("the request's target is neither a path nor a URL")
    path, _, query = origin.partition("?")
    if "#" in target:
        raise _bad("the request's target contains a fragment")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    return method, target, path, query, "HTTP/1.1" if match[3] == b"1" else "HTTP/1.0", host


_cached_request_line = lru_cache(1024)(_parse_request_line)


def read_head(block: bytes, environ: dict[str, Any], limits: Limits) -> int:
    """Fill `environ` from a request's head; returns the length of the body, or CHUNKED. Raises Refusal."""
    lines = block.decode("latin-1").split("\r\n")
    count = len(lines) - 1
    if count > limits.headers:
        raise Refusal("431 Request Header Fields Too Large", "too many headers")
    if block.count(b"\n") != count or block.count(b"\r") != count or b"\x00" in block:
        raise _bad("the head contains a stray line end or NUL")
    line = block[: len(lines[0])]
    if len(line) > limits.target:
        raise Refusal("414 URI Too Long", "the request's target is too long")
    parsed = (_cached_request_line if len(line) <= 256 else _parse_request_line)(line)
    environ["REQUEST_METHOD"], environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"], protocol, host = parsed
    environ["SERVER_PROTOCOL"] = protocol
    del lines[0]
    for text in lines:
        key, value = _LINES.get(text) or _header(text)
        if not key:
            continue
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environ[key] = value
    _check_host(environ, protocol, host)
    return _body_length(environ, protocol)


def _check_host(environ: dict[str, Any], protocol: str, host: str) -> None:
    named = environ.get("HTTP_HOST")
    if named is None:
        if protocol == "HTTP/1.1":
            raise _bad("a request needs one Host header")
    elif "," in named or "/" in named or "@" in named or " " in named:
        raise _bad("the Host header is not a host")
    if host:
        environ["HTTP_HOST"] = host


def _body_length(environ: dict[str, Any], protocol: str) -> int:
    length, coding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if length is not None or protocol == "HTTP/1.0":
            raise _bad("Transfer-Encoding together with Content-Length or HTTP/1.0")
        if coding.lower() != "chunked":
            raise Refusal("501 Not Implemented", "this transfer encoding is not supported")
        return CHUNKED
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise _bad("Content-Length is not one number")
    return int(length)


class NoBody:
    """Stands in for a body that was read before the application ran."""

    rest = b""
    clean = True

    def _discard(self) -> None:
        """Nothing is left."""


NO_BODY = NoBody()


class Body(io.RawIOBase):
    """A long or chunked body, read off the connection while the application asks for it."""

    def __init__(self, link: Link, data: bytes, length: int, limits: Limits, *, expects: bool):
        super().__init__()
        self._link, self._data, self._limits, self._expects = link, data, limits, expects
        self._dechunk = Dechunk() if length == CHUNKED else None
        self._left = length
        self._started, self._received = monotonic(), 0
        self._ready = b""
        self._over = False
        self.rest = b""  # what came after the body: the next request
        self.clean = True  # whether the connection may carry another request
        self.error = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if self._over:
                return 0
            self._ready = self._piece()
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _piece(self) -> bytes:
        """The next bytes of the body, b"" when there may be more or `_over` is set."""
        data, self._data = self._data, b""
        if not data:
            data = self._receive()
        if self._dechunk is None:
            piece, self.rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            self._over = not self._left
            return piece
        try:
            piece = self._dechunk.feed(data)
        except Malformed as error:
            raise self._broken("400 Bad Request", str(error)) from error
        self._over, self.rest = self._dechunk.over, self._dechunk.rest
        self._received += len(piece)
        if self._received > self._limits.body:
            raise self._broken("413 Content Too Large", "the body is too large")
        return piece

    def _receive(self) -> bytes:
        link, now = self._link, monotonic()
        if self._expects:
            self._expects = False
            link.push(b"HTTP/1.1 100 Continue\r\n\r\n")
        slow = self._started + 60 + self._received / self._limits.body_rate
        link.deadline = min(now + self._limits.body_pause_seconds, slow)
        data = link.receive()
        link.deadline = float("inf")
        if not data:
            raise self._broken("408 Request Timeout", "the body did not come to its end")
        if self._dechunk is None:
            self._received += len(data)
        return data

    def _broken(self, status: str, message: str) -> _InvalidClientInput:
        self._over, self.clean, self.error = True, False, status
        return _InvalidClientInput(message)

    def _discard(self) -> None:
        """Read what the application left, if it is little; otherwise the connection ends with this request."""
        skipped = len(self._ready)
        self._ready = b""
        if self._expects and not self._over:
            self.clean = False  # the client was never told to send it
            return
        while not self._over and self.clean:
            if skipped > _DISCARD:
                self.clean = False
                return
            skipped += len(self._piece())
