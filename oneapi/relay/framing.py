"""Bytes to events, however a vendor frames its stream. Pure: a parser is fed bytes as they arrive, cut anywhere."""

import re
import struct
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import orjson

from oneapi.wire import Event, Sourced, VendorError

MAX_EVENT = 64 * 1024 * 1024  # no line, frame or message of a sane vendor is longer; memory must not be theirs to fill


class Parser(Protocol):
    def feed(self, data: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


def decoded(data: bytes) -> Any:
    """JSON where it parses, else text. A vendor that cuts a character in half loses the character, not the event."""
    if data == b"[DONE]":
        return "[DONE]"
    try:
        return json(data)
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")


def complete(line: bytes) -> bool:
    """Return whether a line of data is a whole JSON object, or the end mark."""
    line = line.strip()
    if line[:1] != b"{" or line[-1:] != b"}":
        return line == b"[DONE]"
    return isinstance(decoded(line), dict)


# A line of data, and one that follows it without the blank line that ends an event.
UNPARTED = re.compile(rb"(?:\A|[\r\n])data:([^\r\n]*)(?:\r\n|\n|\r)(?:event:[^\r\n]*(?:\r\n|\n|\r))?data:")


def unparted(begin: bytes) -> bool:
    """Return whether a stream that begins so lacks the blank lines between its events."""
    found = UNPARTED.search(begin)
    return found is not None and complete(found[1])


# Half of a character beyond U+FFFF, as JSON writes it, without its other half.
HALF = re.compile(r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]..")


def json(data: bytes) -> Any:
    """JSON, with U+FFFD for each half of a character; raises ValueError when it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace")
        mended = HALF.sub("\ufffd", text)
        if "\ufffd" not in mended:
            raise
    return orjson.loads(mended)


class Lines:
    """Bytes to whole lines, ended by CR, LF or CRLF even when a read falls between the two."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._skip_lf = False

    def feed(self, data: bytes) -> list[bytes]:
        if self._skip_lf and data:
            self._skip_lf = False
            if data[0] == 10:
                data = data[1:]
        if not data:
            return []
        if self._parts:
            if b"\n" not in data and b"\r" not in data:
                self._keep(data)
                return []
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts, self._size = [], 0
        lines = data.splitlines()
        self._skip_lf = data.endswith(b"\r")
        if not data.endswith((b"\n", b"\r")):
            self._keep(lines.pop())
        return lines

    def rest(self) -> bytes:
        rest, self._parts, self._size = b"".join(self._parts), [], 0
        return rest

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise VendorError("garbled", "The vendor sent a line that has no end.")


class SSE:
    """Server-sent events as https://html.spec.whatwg.org/multipage/server-sent-events.html describes them.

    Two licences, since providers need them: an event that lacks only its closing blank line when the body ends is dispatched,
    and lines of data that are each a whole JSON object are events of their own.
    """

    decode: Callable[[bytes], Any] = staticmethod(decoded)
    objects = True  # whether the data may be JSON objects

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._first = True

    def feed(self, data: bytes) -> list[Event]:
        found: list[Event] = []
        for line in self._lines.feed(data):
            self._take(line, found)
        return found

    def end(self) -> list[Event]:
        found: list[Event] = []
        self._take(self._lines.rest(), found)
        self._take(b"", found)
        return found

    def _take(self, line: bytes, found: list[Event]) -> None:
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line:
            if self._data:
                found.append(Event(self.decode(self._data[0] if len(self._data) == 1 else b"\n".join(self._data)), self._name))
            self._data, self._size, self._name = [], 0, ""
        elif line.startswith(b"data:"):
            if self._data and self._whole():
                self._take(b"", found)
            self._keep(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line.startswith(b"event:"):
            if self._name and self._whole():
                self._take(b"", found)
            self._name = line[6:].removeprefix(b" ").decode("utf-8", "replace")
        elif line == b"data":
            self._keep(b"")
        elif line == b"event":
            self._name = ""

    def _whole(self) -> bool:
        """Return whether the data so far is one line with a whole JSON object, after which nothing of it can follow."""
        return len(self._data) == 1 and self.objects and complete(self._data[0])

    def _keep(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value)
        if self._size > MAX_EVENT:
            raise VendorError("garbled", "The vendor sent an event that has no end.")


class TextSSE(SSE):
    """Server-sent events whose data is what a model says, word for word: `1.0` and `"yes"` must not be taken for JSON."""

    decode = staticmethod(lambda data: data.decode("utf-8", "replace"))
    objects = False


def sourced(data: bytes) -> Any:
    """As `decoded`, with the text of an object kept beside it."""
    found = decoded(data)
    if isinstance(found, dict):
        found = Sourced(found)
        found.source = data.decode("utf-8", "replace")
    return found


class SourcedSSE(SSE):
    """Server-sent events whose objects keep their text: some providers write a token `1.50` as a JSON number."""

    decode = staticmethod(sourced)


class NDJSON:
    """One JSON value a line."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[Event]:
        return [Event(decoded(line)) for line in self._lines.feed(data) if line.strip()]

    def end(self) -> list[Event]:
        rest = self._lines.rest()
        return [Event(decoded(rest))] if rest.strip() else []


class AWS:
    """Amazon's event stream: https://smithy.io/2.0/aws/amazon-eventstream.html"""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        self._buffer += data
        found = []
        while len(self._buffer) >= 12:
            total, headers, check = struct.unpack_from(">III", self._buffer)
            if crc32(self._buffer[:8]) != check or not 16 + headers <= total <= MAX_EVENT:
                raise VendorError("garbled", "The vendor's event stream has a damaged prelude.")
            if len(self._buffer) < total:
                break
            message = bytes(self._buffer[:total])
            del self._buffer[:total]
            if crc32(message[:-4]) != int.from_bytes(message[-4:], "big"):
                raise VendorError("garbled", "The vendor's event stream has a damaged message.")
            found.append(_aws_event(_aws_headers(message[12 : 12 + headers]), message[12 + headers : -4]))
        return found

    def end(self) -> list[Event]:
        if self._buffer:
            raise VendorError("garbled", "The vendor's event stream ended inside a message.")
        return []


def _aws_event(headers: dict[str, Any], payload: bytes) -> Event:
    match headers.get(":message-type"):
        case "exception":
            return Event(decoded(payload), f":exception:{headers.get(':exception-type', '')}")
        case "error":
            return Event({"message": headers.get(":error-message", "")}, f":exception:{headers.get(':error-code', '')}")
        case _:
            return Event(decoded(payload), str(headers.get(":event-type", "")))


_AWS_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # type of a header's value → its length; 6 and 7 say theirs


def _aws_headers(data: bytes) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    at = 0
    try:
        while at < len(data):
            name = data[at + 1 : at + 1 + data[at]].decode()
            at += 1 + data[at]
            kind, at = data[at], at + 1
            if kind in (6, 7):
                size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            else:
                size = _AWS_SIZES[kind]
            value = data[at : at + size]
            at += size
            headers[name] = value.decode() if kind == 7 else kind == 0 if kind < 2 else value
    except (LookupError, ValueError):
        raise VendorError("garbled", "The vendor's event stream has a damaged header.") from None
    return headers


class Messages:
    """WebSocket messages, which the transport takes out of their frames: each piece is one."""

    def feed(self, data: bytes) -> list[Event]:
        return [Event(decoded(data))]

    def end(self) -> list[Event]:
        return []


PARSERS: dict[str, type[SSE] | type[NDJSON] | type[AWS] | type[Messages]] = {
    "sse": SSE,
    "sse_text": TextSSE,
    "sse_sourced": SourcedSSE,
    "ndjson": NDJSON,
    "aws": AWS,
    "websocket": Messages,
}


def parser(name: str) -> Parser:
    """A fresh parser for a framing: sse, sse_text, sse_sourced, ndjson, aws or websocket."""
    return PARSERS[name]()


def events(name: str, chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events in a body that arrives in pieces."""
    reader = parser(name)
    for chunk in chunks:
        yield from reader.feed(chunk)
    yield from reader.end()
