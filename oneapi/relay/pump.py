"""Copies a vendor's stream to the client unchanged, and settles before the client sees its end."""

from collections.abc import Callable, Iterator
from typing import Protocol

from oneapi.relay import lingering
from oneapi.relay.faults import hidden
from oneapi.relay.hubcopy import MAX_HELD, Copy
from oneapi.relay.sockets import Link
from oneapi.relay.transport import ClientLeft, Incoming
from oneapi.wire import VendorError

# Lines that begin the last event of a stream: chat completions, messages, responses.
END_MARKS = (b"data: [DONE]", b"data:[DONE]")
MESSAGES_END_MARKS = (b"event: message_stop",)
RESPONSES_END_MARKS = (b"event: response.completed", b"event: response.incomplete", b"event: response.failed")


class Observer(Protocol):
    """Who reads along. `see` is called from the event loop and must not wait; `done` runs once, in a greenlet, and may.

    From the first `error` on, what could name our account is blotted out.
    """

    error: VendorError | None
    surplus: int  # bytes after the event with the error
    media: bool  # whether sound or images were delivered, whose usage is worth waiting for
    final: bool  # whether that usage has come

    def see(self, data: bytes) -> None:
        """The next bytes of the body, without chunk framing; events may be cut anywhere."""

    def done(self, outcome: str) -> None:
        """How it ended: "complete", "client_left", "vendor_broke" or "idle_timeout". The end is sent after it returns."""


class Passthrough:
    """The body of a streamed answer whose bytes travel as they are.

    Any WSGI server may iterate over it. Our handler calls `pump`, which copies in the event loop without waking a greenlet
    for each piece. Either way the last event is held back until `done` has returned.
    `edit`, if given, gets each piece and returns what the client shall see of it; it is asked once more with b"" at the end.
    `farewell(outcome)` is what the client shall read when the stream breaks, for example an error event.
    `closing`, if given, gets the payload that was held back for the end, once it is settled, and returns what the client shall
    see in its place. When the observer finds an error the stream ends after the event that holds it, with the farewell.
    """

    def __init__(
        self,
        incoming: Incoming,
        observer: Observer,
        *,
        marks: tuple[bytes, ...] = END_MARKS,
        edit: Callable[[bytes], bytes] | None = None,
        farewell: Callable[[str], bytes] | None = None,
        closing: Callable[[bytes], bytes] | None = None,
    ):
        self.incoming, self.observer, self.edit, self.farewell = incoming, observer, edit, farewell
        self.closing = closing
        self.outcome = ""
        self._marks = marks
        self._line_start = True  # whether the next byte of the body begins a line
        self._tail = b""  # the beginning of a line that was cut
        self.held: list[bytes] = []
        self.last = 0  # bytes of the last event so far
        self.whole = False  # whether its end has come
        self.settled = False

    # ---- the end

    def finish(self, outcome: str) -> None:
        if not self.outcome:
            self.outcome = outcome
            if outcome == "client_left":
                if self.observer.media and not self.observer.final:
                    lingering.read_on(map(self.observer.see, self.incoming), lambda: self.observer.final)
                self.incoming.close()  # cancel the vendor's work first: settling may take a moment
            self.observer.done(outcome)

    def close(self) -> None:
        """PEP 3333: called however the answer ended, also if it was never begun."""
        self.finish("client_left")
        self.incoming.close()

    def ends(self, payload: bytes) -> bool:
        """Whether the last event has begun with these bytes, or before them."""
        if self.last:
            self._extend(payload)
            return True
        text = self._tail + payload if self._tail else payload
        for mark in self._marks:
            position = text.find(mark)
            while position >= 0:
                if text[position - 1] == 10 if position else self._line_start:
                    self._tail = b""
                    self._extend(text[position:])
                    return True
                position = text.find(mark, position + 1)
        if payload[-1:] == b"\n":
            self._line_start, self._tail = True, b""
        elif payload:
            cut = text.rfind(b"\n") + 1
            self._line_start = cut > 0 or self._line_start
            self._tail = text[cut : cut + 64]
            if len(text) - cut > 64:
                self._line_start, self._tail = False, b""
        return False

    def may_end(self) -> bool:
        """Whether what came last may be the beginning of a mark, so that it has to wait for the rest."""
        tail = self._tail
        return bool(tail) and self.closing is not None and self._line_start and any(mark.startswith(tail) for mark in self._marks)

    def failed(self) -> bool:
        """Whether the observer found an error before the end."""
        return self.observer.error is not None and not self.settled

    def before_error(self, payload: bytes) -> bytes:
        """What the client shall see of the bytes with the error."""
        return hidden(payload[: max(0, len(payload) - self.observer.surplus)])

    def _extend(self, piece: bytes) -> None:
        text = self._tail + piece
        self.whole = self.whole or b"\n\n" in text or b"\r\n\r\n" in text
        self._tail = text[-3:]
        self.last += len(piece)

    # ---- any WSGI server

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self.incoming:
                self._see(data)
                if self.failed():
                    yield self._refused(data)
                    return
                yield from self._pass_on(data)
                data = b""
            if self.edit is not None:
                self.held.append(self.edit(b""))
            first = not self.outcome
            self.finish("complete")  # the server sends the end of the body when this generator has returned
            last = b"".join(self.held)
            if first and self.failed():
                last += self.farewell("vendor_broke") if self.farewell is not None else b""
            elif first and self.closing is not None:
                last = self.closing(last)
            if last:
                yield last
        except VendorError as error:
            yield from self._broken(error)
        except ClientLeft:
            self.finish("client_left")

    def _see(self, data: bytes) -> None:
        self.observer.see(data)
        if self.observer.media and not self.incoming.lasting:
            self.incoming.outlive()

    def _refused(self, data: bytes) -> bytes:
        """The end of a stream with an error in it, settled."""
        data = b"".join(self.held) + self.before_error(data)
        if self.edit is not None:
            data = self.edit(data) + self.edit(b"")
        self.finish("vendor_broke")
        return data + (self.farewell("vendor_broke") if self.farewell is not None else b"")

    def _pass_on(self, data: bytes) -> Iterator[bytes]:
        holding = not self.settled and self.ends(data)
        if self.observer.error is not None:
            data = hidden(data)
        if self.edit is not None:
            data = self.edit(data)
        if not holding:
            self.held.append(data)
            if not self.settled and self.may_end():
                return
            data, self.held = b"".join(self.held), []
            if data:
                yield data
            return
        self.held.append(data)
        if self.whole:
            self.finish("complete")
            self.settled = True
            held, self.held = b"".join(self.held), []
            if self.closing is not None:
                held = self.closing(held)
            if held:
                yield held
        elif self.last > MAX_HELD:
            raise VendorError("garbled", "the last event of the vendor's stream does not end")

    def _broken(self, error: VendorError) -> Iterator[bytes]:
        if self.outcome:
            return  # the last event was whole; only the end of the body was missing
        outcome = "idle_timeout" if error.kind == "timeout" else "vendor_broke"
        self.finish(outcome)
        if self.farewell is None:
            raise error
        yield self.farewell(outcome)

    # ---- our own handler

    def pump(self, client: Link, head: bytes) -> bool | Copy:
        """Send head and body to the client; returns whether its connection can carry another answer, or who copies them."""
        if self.edit is None and self.incoming.pumpable:
            return Copy(self, client, head)
        client.push(head)
        try:
            for data in self:
                client.push(b"%x\r\n%b\r\n" % (len(data), data))
        except VendorError:
            return False  # it was recorded, and the client sees it by the missing end
        if self.outcome == "client_left":
            return False
        client.push(b"0\r\n\r\n")
        return True
