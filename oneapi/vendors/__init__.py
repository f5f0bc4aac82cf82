"""Every vendor there is: rows are discovered by existence, and adapters run under one guard."""

import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from oneapi.vendors import bodies, checks, conform, openai
from oneapi.vendors.contract import Exchange, Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

# What an adapter trips over when a vendor's answer is not of the shape it promised.
TRIPS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


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
    """Return the body as the row wants it: cleaned, with its renames, without what the provider refuses.

    A renamed parameter wins over one that has the new name already: the limit that OpenAI's clients mean is the newer one. The
    body itself is returned when nothing changes.
    """
    body = bodies.cleaned(body)
    if not (vendor.rename or vendor.drop) or body.keys().isdisjoint((*vendor.rename, *vendor.drop)):
        return body
    kept = {k: v for k, v in body.items() if k not in vendor.drop and k not in vendor.rename}
    return kept | {new: body[old] for old, new in vendor.rename.items() if old in body}


def check_shape(protocol: Protocol, call: Call) -> None:
    """Raise VendorError("bad_request") for a chat that the protocol cannot convert."""
    if not protocol.native and call.kind == "chat":
        checks.check_chat(call.body)


def guarded_build(protocol: Protocol, call: Call) -> Request:
    """Return the request, or raise VendorError("bad_request"): what `build` fails on is what the client sent."""
    check_shape(protocol, call)
    try:
        return protocol.build(call)
    except RecursionError as error:
        raise VendorError("bad_request", "The request is nested too deeply.") from error
    except TRIPS as error:
        raise checks.explained(call) from error


def guarded_parse(protocol: Protocol, reply: Reply, call: Call) -> "dict[str, Any] | Reply | Request":
    """Return the answer in OpenAI's shape, or the next request; raise VendorError.

    `call.memo["corrected"]` says that the answer is no longer what the provider's bytes say.
    """
    try:
        found = protocol.parse(reply, call)
        if type(found) is dict and conform.answer(found, call):
            call.memo["corrected"] = True
        return found
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's answer could not be read ({_name(error)}).", status=reply.status) from error


def guarded_stream(protocol: Protocol, events: Iterable[Event], call: Call) -> Iterator[dict[str, Any]]:
    """The chunks; whatever goes wrong on the way is a VendorError."""
    if protocol.stream is None:
        raise VendorError("bad_request", "This vendor cannot stream this kind of answer.")
    try:
        chunks = protocol.stream(events, call)
        if call.kind in conform.CHOICES:
            chunks = _conforming(chunks, call)
        yield from chunks
    except TRIPS as error:
        raise VendorError("garbled", f"The vendor's stream could not be read ({_name(error)}).") from error


def _conforming(chunks: Iterator[dict[str, Any]], call: Call) -> Iterator[dict[str, Any]]:
    correct = conform.Chunks(call).correct
    for chunk in chunks:
        correct(chunk)
        yield chunk


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
