"""Copies a chunked answer from a vendor's socket to a client's in the event loop, waking no greenlet for a piece."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent.event import Event

from oneapi.relay.faults import hidden
from oneapi.relay.http1 import Malformed, framed
from oneapi.relay.sockets import AGAIN, BUFFER, VIEW, Link

MAX_HELD = 16 * 1024 * 1024  # bytes of the last event, which is held back until it is settled


class Copy:
    """Copies in the event loop: chunk framing unchanged, reading paused while the client's socket is full.

    A greenlet is needed only for the beginning and the end: it calls `advance`, and for as long as that returns None `wait`,
    after which it may as well end itself, as a stream of minutes then costs no stack.
    """

    __slots__ = (
        "body",
        "client",
        "source",
        "head",
        "wake",
        "why",
        "rest",
        "running",
        "blocked",
        "error",
        "dechunk",
        "malformed",
        "see",
        "idle",
        "end",
        "place",
        "payloads",
        "part",
        "refused",
    )

    def __init__(self, body: Any, client: Link, head: bytes):
        assert body.incoming.link is not None and body.incoming.dechunk is not None
        self.body, self.client, self.source, self.head = body, client, body.incoming.link, head
        self.dechunk, self.see = body.incoming.dechunk, body.observer.see
        self.idle, self.end = body.incoming.idle, body.incoming.end
        self.wake: Callable[[], object] = bool
        self.why = "begin"  # what the greenlet has to see to
        self.rest = b""  # what did not fit into the client's socket
        self.place = self.dechunk.place  # in the framing, where `payloads` begin
        self.payloads: list[bytes] = []  # of what is held back
        self.part = b""  # of a size line: once it is sent nothing else can follow it
        self.refused = False  # there was an error in the stream
        self.running = self.malformed = False
        self.error: BaseException | None = None

    def run(self) -> bool:
        """Copy it all in one greenlet; returns whether the client's connection can carry another answer."""
        try:
            while (over := self.advance()) is None:
                needed = Event()
                self.wait(needed.set)
                needed.wait()
            return over
        except BaseException:
            self.close()
            raise

    # ---- in a greenlet

    def advance(self) -> bool | None:
        """Do what may have to wait; None says that there is more to copy, and else as `run`."""
        try:
            over = self._advance()
        except BaseException:
            self.close()
            raise
        if over is not None:
            self.close()
        return over

    def _advance(self) -> bool | None:
        while self.why:
            if self.error is not None:
                raise self.error
            why, self.why = self.why, ""
            if why == "begin":
                self.begin()
            elif why in ("whole", "over"):
                rewritten = self.settle()
                if self.dechunk.over:
                    self.body.incoming.finished()
                if self.dechunk.over or rewritten:
                    return True
            else:
                return self.broken(why)
        return None

    def begin(self) -> None:
        self.source.client = None  # we watch the client ourselves, and at once
        data = self.body.incoming.take_buffered()
        if data:
            self.take(data)
        elif self.head:
            self.forward(b"")

    def close(self) -> None:
        self.stop()
        self.body.incoming.close()

    def settle(self) -> bool:
        """Settle and send what was held back; returns whether that is in other words than the vendor's, and the end of it."""
        body, payload, rewritten = self.body, b"".join(self.payloads), False
        first = not body.settled
        body.finish("complete")
        failed, body.settled = body.failed(), True
        held, body.held, self.payloads = b"".join(body.held), [], []
        if first and (body.closing is not None or failed):
            closing = payload + (body.farewell("vendor_broke") if body.farewell else b"") if failed else body.closing(payload)
            if rewritten := closing != payload:
                held = framed(self.place, closing) + b"0\r\n\r\n"
        if self.rest:
            held, self.rest = self.rest + held, b""
        if self.head:
            held, self.head = self.head + held, b""
        self.client.push(held)
        return rewritten

    def broken(self, why: str) -> bool:
        body = self.body
        settled = bool(body.outcome)
        if why == "vendor_broke" and self.source.fate == "timeout":
            why = "idle_timeout"
        body.finish(why)
        if why == "client_left" or self.malformed:
            return False
        if self.refused:
            words = b"".join(self.payloads) + (body.farewell(why) if body.farewell is not None else b"")
            self.client.push(self.head + self.rest + framed(self.place, words) + b"0\r\n\r\n")
            return True
        if not self.dechunk.between:
            return False  # what the client has is no place to go on from
        unsent = self.head + self.rest + b"".join(body.held)
        if settled:  # the last event was whole; only the end of the body was missing
            self.client.push(unsent + b"0\r\n\r\n")
            return True
        if body.farewell is None:
            return False
        words = body.farewell(why)
        self.client.push(unsent + b"%x\r\n%b\r\n0\r\n\r\n" % (len(words), words))
        return True

    # ---- in the event loop

    def wait(self, wake: Callable[[], object]) -> None:
        """Copy until a greenlet is needed, and have it called then."""
        self.wake = wake
        self.running = True
        self.source.deadline = min(monotonic() + self.idle, self.end)
        self.client.sock._read_event.start(self.on_client)
        if self.rest:
            self.block()
        else:
            self.source.sock._read_event.start(self.on_data)

    def stop(self) -> None:
        if self.running:
            self.running = False
            self.client.sock._read_event.stop()
            self.client.sock._write_event.stop()
            self.source.sock._read_event.stop()
            self.client.deadline = float("inf")

    def call(self, why: str) -> None:
        """A greenlet has to see to it; nothing is copied until one has."""
        self.why = why
        self.stop()
        self.wake()

    def on_data(self) -> None:
        try:
            size = self.source.read_into(BUFFER)
        except AGAIN:
            return
        except OSError:
            size = 0
        if not size:
            self.call("vendor_broke")
            return
        self.source.deadline = min(monotonic() + self.idle, self.end)
        try:
            self.take(bytes(VIEW[:size]))
        except BaseException as error:  # an observer's fault must not be lost in the event loop
            self.error = error
            self.call("error")
            return
        if self.why:
            self.call(self.why)

    def take(self, data: bytes) -> None:
        """Look at the next bytes, and send them on unless they belong to the end."""
        body, dechunk = self.body, self.dechunk
        if not body.held:
            self.place = dechunk.place
        try:
            payload = dechunk.feed(data)
        except Malformed:
            self.malformed, self.why = True, "vendor_broke"
            return
        if payload:
            self.see(payload)
            if body.observer.error is not None:  # a vendor may name our account in it
                if not body.settled:
                    self.payloads.append(body.before_error(payload))
                    self.refused, self.why = True, "vendor_broke"
                    return
                data = hidden(data)
        if self.part:
            data, self.part = self.part + data, b""
        if dechunk.over and dechunk.rest:
            data = data[: -len(dechunk.rest)]
        if body.settled or not body.ends(payload):
            if not dechunk.over:
                self.go_on(data, payload)
                return
        elif not dechunk.over and not body.whole:
            self.hold(data, payload)
            if body.last > MAX_HELD:
                self.why = "vendor_broke"
            return
        self.hold(data, payload)
        self.why = "over" if dechunk.over else "whole"

    def hold(self, data: bytes, payload: bytes) -> None:
        self.body.held.append(data)
        self.payloads.append(payload)

    def go_on(self, data: bytes, payload: bytes) -> None:
        """Send bytes on that are not the end, unless they may be its beginning."""
        body = self.body
        if not body.settled and (self.dechunk.ending or body.may_end()):
            self.hold(data, payload)
            return
        if size := self.dechunk.size_begun:
            data, self.part = data[:-size], data[-size:]
        if body.held:
            data, body.held, self.payloads = b"".join(body.held) + data, [], []
        self.forward(data)

    def forward(self, data: bytes) -> None:
        if self.head:
            data, self.head = self.head + data, b""
        if self.rest:
            self.rest += data
            return
        try:
            sent = self.client.send_some(data)
        except AGAIN:
            sent = 0
        except OSError:
            self.why = "client_left"
            return
        if sent != len(data):
            self.rest = data[sent:]
            if self.running:
                self.block()

    def block(self) -> None:
        """The client is slow: read no more from the vendor until it has taken what is there."""
        self.source.sock._read_event.stop()
        self.source.deadline = float("inf")
        self.client.deadline = monotonic() + self.client.patience
        self.client.sock._write_event.start(self.on_room)

    def on_room(self) -> None:
        try:
            sent = self.client.send_some(self.rest)
        except AGAIN:
            return
        except OSError:
            self.call("client_left")
            return
        self.rest = self.rest[sent:]
        self.client.deadline = monotonic() + self.client.patience
        if not self.rest:
            self.client.deadline = float("inf")
            self.client.sock._write_event.stop()
            self.source.deadline = min(monotonic() + self.idle, self.end)
            self.source.sock._read_event.start(self.on_data)

    def on_client(self) -> None:
        """The client sent something: its next request, which has to wait, or its farewell."""
        if self.client.left():
            self.call("client_left")
        else:
            self.client.sock._read_event.stop()
