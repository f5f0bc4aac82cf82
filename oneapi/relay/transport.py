"""Sends requests to vendors: pooled connections, time-outs, bodies of every framing. Nothing else talks to a vendor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, NoReturn

from oneapi.relay import framing
from oneapi.relay.dial import Pool, Proxies, dial, forget_connections
from oneapi.relay.http1 import MAX_HEAD, Dechunk, Head, Malformed
from oneapi.relay.inflate import inflating
from oneapi.relay.outgoing import Plan, encode, in_pieces, plan_of
from oneapi.relay.sockets import Link
from oneapi.wire import Reply, Request, VendorError

__all__ = ["ClientLeft", "Incoming", "Proxies", "Quick", "Route", "Timeouts", "forget_connections", "open_stream", "send"]

MAX_ANSWER = 256 * 1024 * 1024  # bytes of one whole answer, also after decompression; pictures come as base64 in JSON


class ClientLeft(Exception):  # noqa: N818  # nothing is wrong with us or the vendor
    """The client hung up while we waited for the vendor; the vendor's request is cancelled."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `idle` is the longest silence inside an answer; `total` bounds everything after the connection stands."""

    connect: float = 10
    first_byte: float = 120
    idle: float = 120
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """How a channel's vendor is reached."""

    proxy: str = ""
    timeouts: Timeouts = Timeouts()
    verify: bool = True
    private: bool = True  # whether it may lead into a private network
    private_proxy: bool = True  # whether the proxy may be there


_DIRECT = Route()


def send(request: Request, route: Route = _DIRECT, client: Link | None = None) -> Reply:
    """The vendor's whole answer; raises VendorError("unreachable", "timeout" or "garbled")."""
    incoming = open_stream(request, route, client) if request.framing else _open(request, route, client)
    return Quick(incoming.status, incoming.headers, incoming.read())


class Quick(Reply):
    """A Reply that decodes with orjson; vendors are pure and know only the standard library."""

    __slots__ = ()

    def json(self) -> Any:
        return framing.json(self.body)


def open_stream(request: Request, route: Route = _DIRECT, client: Link | None = None) -> Any:
    """The Incoming answer as soon as its head is there. If `client` leaves meanwhile, or later, ClientLeft is raised."""
    if request.framing == "websocket":
        from oneapi.relay import websocket  # here, because it builds on this module

        return websocket.open_stream(request, route, client)
    return _open(request, route, client)


def _open(request: Request, route: Route, client: Link | None) -> "Incoming":
    plan = plan_of(request.url, route.proxy, route.verify, route.private, route.private_proxy)
    data = encode(request, plan) if not request.carries else in_pieces(request, plan)
    link = plan.pool.take()
    if link is not None:
        incoming = _exchange(plan, link, data, request.method, route.timeouts, client)
        if incoming is not None:
            return incoming
        # The vendor had closed the connection while it rested. It has not seen the request, or refused to look at it.
    link = dial(plan.pool.address, route.timeouts.connect)
    incoming = _exchange(plan, link, data, request.method, route.timeouts, client)
    if incoming is None:
        raise VendorError("unreachable", f"{plan.pool.address.host} closed the connection without an answer")
    return incoming


def _exchange(
    plan: Plan, link: Link, data: bytes | list[bytes | bytearray], method: str, timeouts: Timeouts, client: Link | None
) -> "Incoming | None":
    """The answer that comes on this connection; None if it was closed before the first byte."""
    now = monotonic()
    end = inf if timeouts.total is None else now + timeouts.total
    link.deadline, link.client, link.patience = min(now + timeouts.first_byte, end), client, timeouts.idle
    try:
        try:
            link.push(data) if isinstance(data, bytes) else link.push_each(data)
        except OSError:
            if link.fate:
                raise
            # A vendor may refuse a long body before it has read it: the answer is what counts.
        first = link.receive()
    except OSError:
        first = b""
    except BaseException:
        link.close()
        raise
    if first:
        return Incoming(plan.pool, link, first, method, timeouts.idle, end)
    link.close()
    if link.fate:
        _gave_up(link)
    return None


def _gave_up(link: Link) -> NoReturn:
    if link.fate == "client_left":
        raise ClientLeft
    raise VendorError("timeout", "the vendor did not answer in time")


class Incoming:
    """A vendor's answer whose head has come. Iterate over it, or `read` it whole; `close` in any case."""

    __slots__ = (
        "status", "headers", "chunked", "link", "pool", "dechunk", "left", "inflate", "idle", "end", "lasting", "_data", "_keep",
    )  # fmt: skip

    def __init__(self, pool: Pool, link: Link, first: bytes, method: str, idle: float, end: float):
        self.pool, self.idle, self.end = pool, idle, end
        self.lasting = False  # whether the provider's connection outlives the client's
        self.link: Link | None = link
        try:
            head = self._head(first)
        except BaseException:
            self.close()
            raise
        self.status, self.headers, self.chunked, self._keep = head.status, head.headers, head.chunked, head.keep
        self.left = head.length  # bytes to come when the length is known
        self.dechunk = Dechunk() if head.chunked else None
        if head.status in (204, 304) or method == "HEAD":
            self.left, self.chunked, self.dechunk = 0, False, None
        self.inflate = inflating(head.encoding, MAX_ANSWER) if head.encoding and self.left != 0 else None
        if self.left == 0:
            self._keep = self._keep and not self._data
            self.close(whole=True)

    def _head(self, data: bytes) -> Head:
        while True:
            end = data.find(b"\r\n\r\n")
            while end < 0:
                if len(data) > MAX_HEAD:
                    raise VendorError("garbled", "the head of the vendor's answer is too large")
                data += self._more()
                end = data.find(b"\r\n\r\n")
            try:
                head = Head(data[:end])
            except Malformed as error:
                raise VendorError("garbled", str(error)) from error
            data = data[end + 4 :]
            if head.status >= 200:
                self._data = data
                return head
            if head.status == 101:
                raise VendorError("garbled", "the vendor switched to a protocol nobody asked for")
            # 100 Continue and 103 Early Hints announce the real answer.

    @property
    def pumpable(self) -> bool:
        """Whether the body's bytes, framing included, can travel to a client as they are."""
        return self.dechunk is not None and self.inflate is None and self.link is not None

    def take_buffered(self) -> bytes:
        """What was read beyond the head, framing included, for someone who takes over the connection."""
        data, self._data = self._data, b""
        return data

    def peek(self, enough: Callable[[bytes], object] = bool) -> bytes:
        """The first bytes of the body, without chunk framing, waiting until they are `enough`; they stay to be read.

        Less means that the body has no more. It may be asked only before anything was read.
        """
        while self.link is not None:
            try:
                dechunk = Dechunk()
                payload = dechunk.feed(self._data) if self.dechunk else self._data
            except Malformed as error:
                raise VendorError("garbled", str(error)) from error
            if enough(payload) or dechunk.over or (self.left is not None and len(payload) >= self.left):
                return payload
            try:
                self._data += self._more()
            except VendorError as error:
                if error.kind == "garbled" and self.left is None and not self.chunked:
                    return payload
                raise
        return self._data

    def outlive(self) -> None:
        """Keep the connection open until `close`, also when the client leaves: the end of the stream is worth reading."""
        self.lasting = True
        if self.link is not None:
            self.link.client = None

    def finished(self) -> None:
        """Tell that someone else read the chunked body to its end."""
        assert self.dechunk is not None
        self._keep = self._keep and not self.dechunk.rest
        self.close(whole=True)

    def _more(self) -> bytes:
        """The next bytes off the connection; b"" never."""
        link = self.link
        assert link is not None
        link.deadline = min(monotonic() + self.idle, self.end)
        try:
            data = link.receive()
        except OSError:
            data = b""
        if not data:
            if link.fate:
                _gave_up(link)
            raise VendorError("garbled", "the vendor closed the connection in the middle of its answer")
        return data

    def __iter__(self) -> Iterator[bytes]:
        try:
            pieces = self._chunks() if self.dechunk else self._plain()
            yield from pieces if self.inflate is None else self.inflate(pieces)
        finally:
            if not self.lasting:
                self.close()

    def _chunks(self) -> Iterator[bytes]:
        dechunk = self.dechunk
        assert dechunk is not None
        data = self.take_buffered()
        while not dechunk.over:
            if data:
                try:
                    piece = dechunk.feed(data)
                except Malformed as error:
                    raise VendorError("garbled", str(error)) from error
                if dechunk.over:
                    self.finished()
                if piece:
                    yield piece
                if dechunk.over:
                    return
            data = piece = b""
            data = self._more()

    def _plain(self) -> Iterator[bytes]:
        data = self.take_buffered()
        while self.left is None or self.left > 0:
            if self.left is not None and data:
                self._keep = self._keep and len(data) <= self.left
                data = data[: self.left]
                self.left -= len(data)
                if not self.left:
                    self.close(whole=True)
            if data:
                yield data
            if self.left != 0:
                data = b""
                try:
                    data = self._more()
                except VendorError as error:
                    if error.kind == "garbled" and self.left is None:
                        return  # the end of the connection is the end of the body
                    raise

    def read(self) -> bytes:
        """The rest of the body."""
        data = self._data
        if self.left is not None and self.inflate is None and self.left == len(data) and self.link is not None:
            self._data, self.left = b"", 0  # it came with the head, as short answers do
            self.close(whole=True)
            return data
        pieces: list[bytes] = []
        total = 0
        for piece in self:
            total += len(piece)
            if total > MAX_ANSWER:
                self.close()
                raise VendorError("garbled", "the vendor's answer is too large")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self, *, whole: bool = False) -> None:
        """Give the connection back if the answer was read whole, otherwise end it, which cancels the vendor's work."""
        link, self.link = self.link, None
        if link is None:
            return
        if whole and self._keep and not link.fate:
            self.pool.keep(link)
        else:
            link.close()
