"""From what a vendor said to what the client reads: whole answers, and streams that settle before they end."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from oneapi import vendors
from oneapi.dialects import openai as dialect
from oneapi.relay import converted, delivered, forms, framing, meter
from oneapi.relay.ask import Ask
from oneapi.relay.bill import SAID_NOTHING, Bill
from oneapi.relay.converted import Chunks, charge_heard, encoded, usage_chunk
from oneapi.relay.corrections import Corrections
from oneapi.relay.http1 import NO_HEADERS
from oneapi.relay.passthrough import FAILED, Watch
from oneapi.relay.pump import Passthrough
from oneapi.relay.transport import ClientLeft, Incoming, Quick
from oneapi.vendors import errors, reports
from oneapi.vendors.contract import Protocol
from oneapi.vendors.openai import fault
from oneapi.wire import Call, Reply, Request, Usage, VendorError

Json = dict[str, Any]
Failed = Callable[[VendorError], None]

SSE = "text/event-stream"
JSON = "application/json"


@dataclass(slots=True, eq=False)
class Served:
    """An answer for the client. `body` is bytes, or an iterable with close() that settles by itself."""

    content_type: str
    body: Any
    status: int = 200


# -- whole answers --------------------------------------------------------------------------------------------------


def whole(ask: Ask, bill: Bill, protocol: Protocol, call: Call, reply: Reply, result: Any) -> Served:
    """A complete answer, charged before it is sent."""
    if isinstance(result, Reply):
        _charge_raw(ask, bill, result)
        return Served(result.headers.get("content-type", "application/octet-stream"), result.body)
    _charge(ask, bill, result)
    untouched = protocol.native and call.asked == call.model and "corrected" not in call.memo
    return Served(JSON, reply.body if untouched else orjson.dumps(result))


def _charge(ask: Ask, bill: Bill, answer: Json) -> Usage:
    assert bill.tariff is not None
    used = meter.usage(reports.of(answer))
    if ask.kind in meter.PICTURES:
        bill.settle(meter.pictures(bill.tariff, ask.body, answer), used or SAID_NOTHING, "complete")
        return used or SAID_NOTHING
    if ask.kind in meter.HEARD:
        return charge_heard(bill, used, str(answer.get("text") or ""))
    return bill.text(used, lambda: delivered.text_of(answer), "complete")


def _charge_raw(ask: Ask, bill: Bill, reply: Reply) -> None:
    assert bill.tariff is not None
    if ask.kind == "speech":
        bill.settle(meter.speech(bill.tariff, str(ask.body.get("input") or "")), SAID_NOTHING, "complete")
    else:
        charge_heard(bill, None, delivered.transcript(reply.body.decode("utf-8", "replace")))


def left(ask: Ask, bill: Bill) -> None:
    """Charge the prompt of a request whose client left before a whole answer had arrived."""
    if bill.tariff is not None and ask.kind == "speech":
        bill.settle(meter.speech(bill.tariff, str(ask.body.get("input") or "")), SAID_NOTHING, "client_left", wait=False)
    elif bill.tariff is not None:
        bill.text(None, str, "client_left", wait=False)
    bill.release()


# -- streams --------------------------------------------------------------------------------------------------------


def begun(
    ask: Ask, bill: Bill, protocol: Protocol, call: Call, incoming: Incoming, frame: str, failed: Failed
) -> Served | Request:
    """A stream whose first piece has come, or the next request; raises VendorError as long as nothing is promised."""
    kind = (incoming.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if ask.kind == "speech" and kind != SSE:
        return _spoken(ask, bill, protocol, call, incoming, failed)
    untouched = protocol.native and call.asked == call.model and ask.kind in converted.SPOKEN and incoming.inflate is None
    first = b""
    if frame not in OF_ONE_FORM and incoming.inflate is None:
        first = incoming.peek(_has_data if untouched else _has_form)
    if forms.document(first) or (not first and kind == JSON and frame in ("sse", "sse_sourced")):
        return _not_streamed(ask, bill, protocol, call, incoming)
    if untouched and not framing.unparted(first) and not first.startswith(forms.MARK):
        check_first(first)
        bill.first()
        incoming.headers = NO_HEADERS  # nobody asks for them any more
        watch = Watch(ask, bill, failed, first if ask.wants_usage else b"")
        if ask.wants_usage:
            edit = None if protocol.exact else Corrections(call, watch.edit)
            return Served(SSE, Passthrough(incoming, watch, edit=edit, farewell=watch.farewell, closing=watch.closing))
        return Served(SSE, Passthrough(incoming, watch, edit=Corrections(call, watch.edit), farewell=watch.farewell))
    events = framing.events(frame, incoming)
    chunks = vendors.guarded_stream(protocol, events, call)
    opening = list(until_content(chunks))
    if not opening:
        raise VendorError("garbled", "The vendor's stream is empty.")
    bill.first()
    return Served(SSE, Chunks(ask, bill, call, chain(opening, chunks), incoming, failed))


def until_content(chunks: Iterator[Json]) -> Iterator[Json]:
    """The first chunks up to one that holds more than the role: a stream that fails before can be tried at another channel."""
    for chunk in chunks:
        yield chunk
        choices = chunk.get("choices")
        if not choices or any(choice.get("finish_reason") or delivered.beyond_role(choice) for choice in choices):
            return


OF_ONE_FORM = ("websocket", "ndjson")  # framings that a JSON document cannot be told from
# A whole line of data, after comments and other fields.
DATA = re.compile(rb"(?:\A|[\r\n])data:[^\r\n]*[\r\n]")
BEGINNING = 1 << 20  # bytes in which the first line of data must come


def _has_data(data: bytes) -> bool:
    """Return whether the first line of data is here, and the beginning of what follows it."""
    found = DATA.search(data)
    follows = data[found.end() :] if found is not None else b""
    if found is not None and found[0].endswith(b"\r"):
        follows = follows.removeprefix(b"\n")
    return bool(follows) or data[:1] in (b"{", b"<") or forms.document(data) or len(data) > BEGINNING


def _has_form(data: bytes) -> bool:
    return bool(data.strip(forms.BLANK)) or len(data) > BEGINNING


def check_first(first: bytes) -> None:
    """Raise the VendorError that a stream begins with, if it does."""
    if not first:
        raise VendorError("garbled", "The vendor's stream is empty.")
    if not DATA.search(first):
        raise VendorError("garbled", "The vendor's answer is not the stream that was asked for.")
    if b'"error' in first or b'"choices"' not in first or FAILED.search(first):
        for event in framing.SSE().feed(first):
            if isinstance(event.data, str) and event.data.strip() not in ("", "[DONE]") and event.name != "error":
                raise VendorError("garbled", "The provider sent an event that is not a JSON object.")
            data = event.data if isinstance(event.data, dict) else {"message": str(event.data)}
            if found := errors.found_in(data) or (data if event.name == "error" else None):
                raise fault(found)


def _not_streamed(ask: Ask, bill: Bill, protocol: Protocol, call: Call, incoming: Incoming) -> Served | Request:
    """Return the whole answer of a provider that ignored `stream` as a short stream, or the request that it refers to."""
    reply: Reply = Quick(incoming.status, incoming.headers, incoming.read().strip(forms.BLANK))
    reply, result = forms.answered(protocol, reply, call)
    if isinstance(result, Request):
        return result
    if not isinstance(result, dict):
        raise VendorError("garbled", "The vendor's answer is not the stream that was asked for.", status=reply.status)
    bill.first()
    used = _charge(ask, bill, result)
    chunks = dialect.as_chunks(result) if ask.kind == "chat" else [result]
    if ask.wants_usage and ask.kind in converted.SPOKEN:
        chunks.append(usage_chunk(chunks[-1], reports.of(result), used))
    return Served(SSE, b"".join(map(encoded, chunks)) + dialect.DONE)


class Sound:
    """Streamed speech: bytes as they come; the last piece waits for the charge."""

    def __init__(self, ask: Ask, bill: Bill, incoming: Incoming, failed: Failed):
        self.ask, self.bill, self.incoming, self.failed = ask, bill, incoming, failed
        self.delivered = False

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        try:
            for piece in self.incoming:
                if held:
                    self.delivered = True
                    yield held
                held = piece
        except VendorError as error:
            self.failed(error)
            self._settle("vendor_broke")
            raise  # a cut connection is the only way to tell a client of sound
        except ClientLeft:
            self._settle("client_left")
            return
        self.delivered = True
        self._settle("complete")
        yield held

    def _settle(self, end: str) -> None:
        if not self.delivered and end != "client_left":
            self.bill.broke(end)
        elif self.bill.tariff is not None:
            charge = meter.speech(self.bill.tariff, str(self.ask.body.get("input") or ""))
            self.bill.settle(charge, SAID_NOTHING, end, wait=end == "complete")

    def close(self) -> None:
        self.incoming.close()
        self._settle("client_left")


def _spoken(ask: Ask, bill: Bill, protocol: Protocol, call: Call, incoming: Incoming, failed: Failed) -> Served:
    content_type = incoming.headers.get("content-type") or "application/octet-stream"
    if content_type.startswith((JSON, "text/")):
        reply = Reply(incoming.status, incoming.headers, incoming.read())
        result = vendors.guarded_parse(protocol, reply, call)
        if not isinstance(result, Reply):
            raise VendorError("garbled", "The vendor's answer is not sound.", status=reply.status)
        _charge_raw(ask, bill, result)
        return Served(result.headers.get("content-type", "application/octet-stream"), result.body)
    if not incoming.peek():
        raise VendorError("garbled", "The vendor's answer is empty.", status=incoming.status)
    bill.first()
    if not protocol.native:
        reply = Reply(incoming.status, incoming.headers, incoming.read())
        return whole(ask, bill, protocol, call, reply, vendors.guarded_parse(protocol, reply, call))
    return Served(content_type, Sound(ask, bill, incoming, failed))
