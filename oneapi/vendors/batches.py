"""Embed more texts than an OpenAI-compatible address takes at once: several requests, one answer."""

from dataclasses import replace
from typing import Any

from oneapi.vendors.contract import Protocol
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]


def batched(protocol: Protocol, size: int, sizes: dict[str, int] | None = None) -> Protocol:
    """Return the protocol with at most `size` texts a request; `sizes` has the models that differ.

    The vectors are joined in the order of the texts, and the usage is added up.
    """

    def most(call: Call) -> int:
        return (sizes or {}).get(call.model.lower(), size)

    def build(call: Call) -> Request:
        if not _many(call, most(call)):
            return protocol.build(call)
        done = len(call.memo.get("embedded", ()))
        texts = call.body["input"][done : done + most(call)]
        return protocol.build(replace(call, body=call.body | {"input": texts}))

    def parse(reply: Reply, call: Call) -> Json | Reply | Request:
        answer = protocol.parse(reply, call)
        if not isinstance(answer, dict) or not _many(call, most(call)):
            return answer
        return _joined(answer, call) or build(call)

    return replace(protocol, build=build, parse=parse)


def _many(call: Call, most: int) -> bool:
    """Return True for a list of more texts than one request takes; a list of numbers is one text of tokens."""
    given = call.body.get("input")
    return isinstance(given, list) and len(given) > most and not all(isinstance(item, int) for item in given)


def _joined(answer: Json, call: Call) -> Json | None:
    """Return the whole answer once every text has its vector, None while some are left."""
    rows = sorted(answer["data"], key=lambda row: row.get("index") or 0)
    if not rows:
        raise VendorError("garbled", "The vendor's answer has no embedding.", status=200)
    found, used = call.memo.setdefault("embedded", []), call.memo.setdefault("used", {})
    found += [row | {"index": number} for number, row in enumerate(rows, len(found))]
    for name, tokens in (answer.get("usage") or {}).items():
        if isinstance(tokens, int):
            used[name] = used.get(name, 0) + tokens
    if len(found) < len(call.body["input"]):
        return None
    call.memo["corrected"] = True
    return answer | {"data": found} | ({"usage": used} if used else {})
