"""WebSocket client (RFC 6455) for the vendors that stream over it; looks like transport.Incoming from outside."""

import hashlib
import secrets
import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf
from time import monotonic

from oneapi.relay.dial import Pool, dial
from oneapi.relay.outgoing import encode, plan_of, text_of
from oneapi.relay.sockets import Link
from oneapi.relay.transport import ClientLeft, Incoming, Route
from oneapi.wire import Request, VendorError

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAX_MESSAGE = 16 * 1024 * 1024
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def open_stream(request: Request, route: Route, client: Link | None) -> "Incoming | Messages":
    """Shake hands and send the request's body as one text message. An answer other than 101 is returned as it is."""
    key = b64encode(secrets.token_bytes(16)).decode()
    own = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    plan = plan_of(request.url, route.proxy, route.verify, route.private, route.private_proxy)
    names = {name.lower() for name in own}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in names}
    hello = encode(replace(request, method="GET", body=None, files=(), form=(), headers=headers), plan, own)
    link = dial(plan.pool.address, route.timeouts.connect)
    try:
        now = monotonic()
        end = inf if route.timeouts.total is None else now + route.timeouts.total
        link.deadline, link.client, link.patience = min(now + route.timeouts.first_byte, end), client, route.timeouts.idle
        answer, rest = _handshake(link, hello)
        if answer.startswith(b"HTTP/1.1 101 "):
            _check(answer, key)
            messages = Messages(link, rest, route.timeouts.idle, end)
            if request.body is not None:
                messages.send(text_of(request.body))
            return messages
        return Incoming(Pool(plan.pool.address), link, answer + b"\r\n\r\n" + rest, "GET", route.timeouts.idle, end)
    except BaseException:
        link.close()
        raise


def _handshake(link: Link, hello: bytes) -> tuple[bytes, bytes]:
    """The head of the answer and what follows it."""
    data = b""
    try:
        link.push(hello)
        while b"\r\n\r\n" not in data:
            more = link.receive()
            if not more:
                break
            data += more
            if len(data) > 65536:
                raise VendorError("garbled", "the head of the vendor's answer is too large")
    except OSError:
        pass
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        if link.fate == "client_left":
            raise ClientLeft
        if link.fate:
            raise VendorError("timeout", "the vendor did not answer in time")
        raise VendorError("unreachable", "the vendor closed the connection without an answer")
    return head, rest


def _check(head: bytes, key: str) -> None:
    wanted = b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "sec-websocket-accept" and value.strip() == wanted:
            return
    raise VendorError("garbled", "the vendor's answer is no WebSocket handshake")


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole masked frame, as a client has to send it."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    mask = secrets.token_bytes(4)
    stream = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
    return head + mask + masked


class Messages:
    """What the vendor says over an open WebSocket; iterating yields whole messages."""

    status = 101
    chunked = False
    pumpable = False

    def __init__(self, link: Link, data: bytes, idle: float, end: float):
        self.link: Link | None = link
        self.headers: dict[str, str] = {}
        self.idle, self.end = idle, end
        self._data = bytearray(data)
        self._gone = False

    def send(self, text: bytes) -> None:
        if self.link is not None:
            try:
                self.link.push(frame(TEXT, text))
            except OSError as error:
                raise VendorError("unreachable", "the vendor closed the connection before it had our message") from error

    def read(self) -> bytes:
        """The remaining messages, one a line."""
        return b"\n".join(self)

    def __iter__(self) -> Iterator[bytes]:
        try:
            message, kind = b"", 0
            while True:
                final, opcode, payload = self._frame()
                if opcode == CLOSE:
                    self._answer_close(payload)
                    return
                if opcode == PING:
                    self._push(frame(PONG, payload))
                elif opcode in (TEXT, BINARY, 0):
                    if (opcode == 0) != bool(kind):
                        raise VendorError("garbled", "the vendor's WebSocket messages are interleaved")
                    kind = kind or opcode
                    message += payload
                    if len(message) > MAX_MESSAGE:
                        raise VendorError("garbled", "a message of the vendor is too large")
                    if final:
                        yield message
                        message, kind = b"", 0
                elif opcode != PONG:
                    raise VendorError("garbled", "the vendor sent an unknown kind of WebSocket frame")
        finally:
            self.close()

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        opcode, size = first & 15, second & 127
        if first & 0x70 or second & 0x80 or (opcode >= 8 and (size > 125 or not first & 0x80)):
            raise VendorError("garbled", "the vendor sent a WebSocket frame against the rules")
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        if size > MAX_MESSAGE:
            raise VendorError("garbled", "a message of the vendor is too large")
        return bool(first & 0x80), opcode, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            link = self.link
            if link is None:
                raise VendorError("garbled", "the WebSocket is closed")
            link.deadline = min(monotonic() + self.idle, self.end)
            try:
                data = link.receive()
            except OSError:
                data = b""
            if not data:
                if link.fate == "client_left":
                    raise ClientLeft
                if link.fate:
                    raise VendorError("timeout", "the vendor did not answer in time")
                raise VendorError("garbled", "the vendor closed the connection in the middle of its answer")
            self._data += data
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def _push(self, data: bytes) -> None:
        if self.link is not None:
            try:
                self.link.push(data)
            except OSError:
                self._gone = True

    def _answer_close(self, payload: bytes) -> None:
        """1000 and 1001 are good ends, 1005 stands for none given; anything else is the vendor's way to say what went wrong."""
        self._push(frame(CLOSE, payload[:2]))
        self._gone = True
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        if code not in (1000, 1001, 1005):
            reason = payload[2:].decode("utf-8", "replace")
            raise VendorError("server", reason or f"the vendor closed the WebSocket with code {code}", code=str(code))

    def outlive(self) -> None:
        """As Incoming.outlive; no provider sends media over a WebSocket."""

    def close(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            if not self._gone:
                with suppress(OSError):  # leaving is all that matters
                    link.send_some(frame(CLOSE, struct.pack("!H", 1000)))
            link.close()
