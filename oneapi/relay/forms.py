"""The form of a provider's body, taken from its bytes: labels are often wrong."""

from typing import Any

import orjson

from oneapi import vendors
from oneapi.dialects import assembly
from oneapi.relay import framing
from oneapi.relay.transport import Quick
from oneapi.vendors.contract import Protocol
from oneapi.wire import Call, Reply, VendorError

MARK = b"\xef\xbb\xbf"  # a byte order mark
BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark and white space, which say nothing of the form
FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")  # what the first line of server-sent events begins with
KINDS = ("chat", "completions")  # whose chunks can be put together


def document(data: bytes) -> bool:
    """Return whether a body that begins with these bytes is JSON rather than a stream of events."""
    return data.lstrip(BLANK)[:1] in (b"{", b"[")


def framing_of(body: bytes, expected: str) -> str:
    """Return the framing of a body that should have been one JSON document; "" when it is no stream."""
    begin = body[:64].lstrip(BLANK)
    if begin.startswith(FIELDS):
        return expected if expected.startswith("sse") else "sse"
    if begin[:1] == b"{" and b"}\n" in body.replace(b"\r", b""):
        return "ndjson"
    return "aws" if expected == "aws" and body[:1] == b"\0" else ""


def assembled(protocol: Protocol, reply: Reply, call: Call) -> Reply | None:
    """Return the whole answer that a stream of events adds up to; None when the body is no stream. Raises VendorError."""
    framed = framing_of(reply.body, protocol.framing)
    if not framed or protocol.stream is None or call.kind not in KINDS:
        return None
    events = framing.events(framed, (reply.body,))
    answer = assembly.answer(vendors.guarded_stream(protocol, events, call), call.kind)
    if answer is None:
        raise VendorError("garbled", "The provider's stream is empty.", status=reply.status)
    return Quick(reply.status, reply.headers, orjson.dumps(answer))


def listed(reply: Reply) -> list[Any]:
    """Return the objects of a body that is a list of answers or chunks; [] for others."""
    if not reply.body.lstrip(BLANK).startswith(b"["):
        return []
    try:
        items = reply.json()
    except ValueError:
        return []
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else []


def answered(protocol: Protocol, reply: Reply, call: Call) -> tuple[Reply, Any]:
    """Return what a reply says, and the reply in the form that was asked for: some providers stream whatever they are asked."""
    if reply.body.startswith(MARK):
        reply = Quick(reply.status, reply.headers, reply.body.removeprefix(MARK))
    try:
        return reply, vendors.guarded_parse(protocol, reply, call)
    except VendorError as error:
        garbled = error.kind == "garbled"
        if garbled and (items := listed(reply)):
            if len(items) == 1:
                reply = Quick(reply.status, reply.headers, orjson.dumps(items[0]))
                return reply, vendors.guarded_parse(protocol, reply, call)
            reply = Quick(reply.status, reply.headers, b"".join(b"data: %b\n\n" % orjson.dumps(item) for item in items))
        whole = assembled(protocol, reply, call) if garbled else None
        if whole is None:
            raise
        return whole, whole.json()
