"""Every vendor there is: rows are discovered by existence, and adapters run under one guard."""

import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from oneapi.vendors import openai
from oneapi.vendors.contract import Exchange, Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

# What an adapter trips over when a vendor's answer is not of the shape it promised.
TRIPS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

LISTED = ("annotations", "images")  # which a delta may hold besides tool calls


def complete(vendor: Vendor) -> Vendor:
    """The row with OpenAI's protocols where it names none, and its compatible sibling likewise."""
    compatible = vendor.compatible and complete(vendor.compatible)
    return replace(vendor, protocols=vendor.protocols or openai.PROTOCOLS, compatible=compatible)


def registry(rows: Iterable[Vendor]) -> dict[int, Vendor]:
    """Rows by id; two rows with one id or slug are a mistake that must stop the start-up."""
    found: dict[int, Vendor] = {}
    slugs: dict[str, int] = {}
    for row in rows:
        if row.id in found:
            raise ValueError(f"Vendors {found[row.id].slug!r} and {row.slug!r} have the same id {row.id}.")
        if row.slug in slugs:
            raise ValueError(f"Vendors {slugs[row.slug]} and {row.id} have the same slug {row.slug!r}.")
        found[row.id], slugs[row.slug] = complete(row), row.id
    return dict(sorted(found.items()))


def _discovered() -> Iterator[Vendor]:
    for module in pkgutil.iter_modules(__path__):
        yield from getattr(import_module(f"{__name__}.{module.name}"), "VENDORS", ())


REGISTRY = registry(_discovered())
_SLUGS = {row.slug: row for row in REGISTRY.values()}


def by_id(id: int) -> Vendor:
    """The row of a channel type; raises KeyError when there is none."""
    return REGISTRY[id]


def by_slug(slug: str) -> Vendor:
    """The row with this slug; raises KeyError when there is none."""
    return _SLUGS[slug]


def suited(vendor: Vendor, body: dict[str, Any]) -> dict[str, Any]:
    """The body with the row's renames and without what the vendor refuses; the body itself when nothing changes."""
    if not (vendor.rename or vendor.drop) or body.keys().isdisjoint((*vendor.rename, *vendor.drop)):
        return body
    kept = {k: v for k, v in body.items() if k not in vendor.drop and k not in vendor.rename}
    return kept | {new: body[old] for old, new in vendor.rename.items() if old in body}


def guarded_build(protocol: Protocol, call: Call) -> Request:
    """The request, or a VendorError("bad_request"): what `build` trips over is what the client sent."""
    try:
        return protocol.build(call)
    except TRIPS as error:
        raise VendorError("bad_request", f"The request cannot be put into this vendor's form ({_name(error)}).") from error


def guarded_parse(protocol: Protocol, reply: Reply, call: Call) -> "dict[str, Any] | Reply | Request":
    """The answer, the next request, or a VendorError."""
    try:
        return protocol.parse(reply, call)
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's answer could not be read ({_name(error)}).", status=reply.status) from error


def guarded_stream(protocol: Protocol, events: Iterable[Event], call: Call) -> Iterator[dict[str, Any]]:
    """The chunks; whatever goes wrong on the way is a VendorError."""
    if protocol.stream is None:
        raise VendorError("bad_request", "This vendor cannot stream this kind of answer.")
    try:
        yield from _numbered(protocol.stream(events, call))
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's stream could not be read ({_name(error)}).") from error


def _numbered(chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """OpenAI's SDKs gather lists in deltas by `index`, trip over a second piece without one, and join what is said twice."""
    counts: dict[tuple[int, str], int] = {}
    called: dict[tuple[int, int], Any] = {}
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            delta: Any = choice.get("delta") or {}
            number = choice.get("index", 0)
            for name in LISTED:
                for item in delta[name] or () if name in delta else ():
                    counts[number, name] = counts.get((number, name), -1) + 1
                    item.setdefault("index", counts[number, name])
            for tool in delta["tool_calls"] or () if "tool_calls" in delta else ():
                at = (number, tool.get("index", 0))
                if at in called and tool.get("id") in (None, "", called[at]):
                    _unnamed(tool)
                called.setdefault(at, tool.get("id"))
        yield chunk


def _unnamed(tool: dict[str, Any]) -> None:
    """Only the first delta of a call says which it is."""
    for name in ("id", "type"):
        tool.pop(name, None)
    if isinstance(function := tool.get("function"), dict):
        function.pop("name", None)


def guarded_fail(protocol: Protocol, reply: Reply, call: Call) -> VendorError:
    """The VendorError in an answer whose status says failure."""
    try:
        return protocol.fail(reply, call)
    except TRIPS as error:
        return VendorError("garbled", f"The vendor's error could not be read ({_name(error)}).", status=reply.status)


def guarded_exchange(exchange: Exchange, reply: Reply, call: Call) -> tuple[str, float]:
    """The short-lived token and its lifetime in seconds, or a VendorError."""
    try:
        token, lifetime = exchange.parse(reply, call)
        if not token or not isinstance(token, str) or not lifetime > 0:
            raise ValueError("no token")
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's token could not be read ({_name(error)}).", status=reply.status) from error
    return token, lifetime


def guarded_balance(vendor: Vendor, reply: Reply, call: Call) -> tuple[float, str] | Request:
    """Amount and currency, the next request, or a VendorError. Give it every reply, whatever its status."""
    if vendor.balance is None:
        raise VendorError("bad_request", "This vendor does not tell how much is left.")
    try:
        return vendor.balance.parse(reply, call)
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's balance could not be read ({_name(error)}).", status=reply.status) from error


def guarded_models(vendor: Vendor, reply: Reply, call: Call) -> list[str] | Request:
    """The names of models, the next request, or a VendorError. Give it every reply, whatever its status."""
    if vendor.model_list is None:
        raise VendorError("bad_request", "This vendor does not list its models.")
    try:
        return vendor.model_list.parse(reply, call)
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's models could not be read ({_name(error)}).", status=reply.status) from error


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
