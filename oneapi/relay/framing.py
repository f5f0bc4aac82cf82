"""Bytes to events, however a vendor frames its stream. Pure: each parser is fed bytes as they arrive, cut anywhere."""

import struct
from binascii import crc32
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import orjson

from oneapi.wire import Event, VendorError

MAX_EVENT = 64 * 1024 * 1024  # no line, frame or message of a sane vendor is longer; memory must not be theirs to fill


class Parser(Protocol):
    def feed(self, data: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


def decoded(data: bytes) -> Any:
    """JSON where it parses, else text. A vendor that cuts a character in half loses the character, not the event."""
    if data == b"[DONE]":
        return "[DONE]"
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace")
    if "\ufffd" not in text:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


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

    One licence: an event that lacks only its closing blank line when the body ends is dispatched, since vendors do that.
    """

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
                found.append(Event(decoded(self._data[0] if len(self._data) == 1 else b"\n".join(self._data)), self._name))
            self._data, self._size, self._name = [], 0, ""
        elif line.startswith(b"data:"):
            self._keep(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ").decode("utf-8", "replace")
        elif line == b"data":
            self._keep(b"")
        elif line == b"event":
            self._name = ""

    def _keep(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value)
        if self._size > MAX_EVENT:
            raise VendorError("garbled", "The vendor sent an event that has no end.")


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


class WebSocket:
    """Frames of RFC 6455 as a server sends them. The transport answers `pings` and stops when `closed` is set."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message = bytearray()
        self.pings: list[bytes] = []
        self.closed: int | None = None  # the peer's close code; 1005 when it gave none

    def feed(self, data: bytes) -> list[Event]:
        self._buffer += data
        found: list[Event] = []
        while self.closed is None and (frame := self._frame()):
            self._take(*frame, found)
        return found

    def end(self) -> list[Event]:
        if self.closed is None and (self._buffer or self._message):
            raise VendorError("garbled", "The vendor's WebSocket ended inside a message.")
        return []

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """Final, opcode and payload of the next whole frame."""
        buffer, at = self._buffer, 2
        if len(buffer) < at:
            return None
        size = buffer[1] & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
        if buffer[0] & 0x70 or buffer[1] & 0x80 or size + len(self._message) > MAX_EVENT:
            raise VendorError("garbled", "The vendor's WebSocket sent a frame that is not allowed.")
        if len(buffer) < at + size:
            return None
        final, opcode, payload = bool(buffer[0] & 0x80), buffer[0] & 0x0F, bytes(buffer[at : at + size])
        del buffer[: at + size]
        return final, opcode, payload

    def _take(self, final: bool, opcode: int, payload: bytes, found: list[Event]) -> None:
        match opcode:
            case 0 | 1 | 2:
                self._message += payload
                if final:
                    found.append(Event(decoded(bytes(self._message))))
                    self._message.clear()
            case 8:
                self.closed = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            case 9:
                self.pings.append(payload)
            case 10:
                pass
            case _:
                raise VendorError("garbled", "The vendor's WebSocket sent a frame of an unknown kind.")


def websocket_frame(payload: bytes, mask: bytes, opcode: int = 1) -> bytes:
    """One whole frame as a client must send it: masked with four random bytes, which the caller brings."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


PARSERS: dict[str, type[SSE] | type[NDJSON] | type[AWS] | type[WebSocket]] = {
    "sse": SSE,
    "ndjson": NDJSON,
    "aws": AWS,
    "websocket": WebSocket,
}


def parser(name: str) -> Parser:
    """A fresh parser for a framing: sse, ndjson, aws or websocket."""
    return PARSERS[name]()


def events(name: str, chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events in a body that arrives in pieces."""
    reader = parser(name)
    for chunk in chunks:
        yield from reader.feed(chunk)
    yield from reader.end()
