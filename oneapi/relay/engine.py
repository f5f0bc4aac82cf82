"""The story of one request: choose a channel, reserve, send, retry elsewhere, answer."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gevent

from oneapi import vendors
from oneapi.catalog import images
from oneapi.relay import answers, estimate, faults, forms, meter, policy, routing, transport
from oneapi.relay.answers import Served
from oneapi.relay.ask import Ask
from oneapi.relay.bill import Bill
from oneapi.relay.clocks import dated
from oneapi.relay.gateway import Gateway
from oneapi.relay.refusal import Refused
from oneapi.relay.transport import ClientLeft, Quick
from oneapi.state import Lane, Tier, Tiers
from oneapi.vendors import bodies, client_headers, contract
from oneapi.wire import Call, Reply, Request, VendorError

log = logging.getLogger(__name__)

Json = dict[str, Any]
Result = TypeVar("Result")

POLL_SECONDS = 600.0  # how long a vendor's task may take


def relay(gateway: Gateway, ask: Ask) -> Served:
    """The answer; raises Refused when there is none. Whatever was reserved is settled by the answer or given back."""
    bill = Bill(gateway, ask)
    try:
        return _tell(gateway, ask, bill)
    except ClientLeft:  # the provider has the request: the transport notices that a client left only after it was sent
        answers.left(ask, bill)
        raise
    except BaseException:
        bill.release()
        raise
    finally:
        if ask.media is not None:
            ask.media.release()


def _tell(gateway: Gateway, ask: Ask, bill: Bill) -> Served:
    tiers = candidates(gateway, ask)
    tried: list[int] = []
    while True:
        lane = choose(gateway, ask, tiers, tried)
        if lane is None:
            raise nobody(ask)
        tried.append(lane.id)
        model = lane.serves(ask.model)
        if ask.kind == "images":
            check_drawing(ask.body, model)
        bill.reserve(lane, model)
        key, began = gateway.health.key(lane), time.monotonic()
        try:
            served = once_more(gateway, lane, key, partial(_attempt, gateway, ask, bill, lane, model, key))
        except VendorError as error:
            ask.tried(lane, began, error.status, error.kind)
            gateway.health.failed(lane, error, key)
            log.info("request=%s channel=%d failed kind=%s status=%d", ask.id, lane.id, error.kind, error.status)
            more = len(tried) <= gateway.state.settings.retry_times and not ask.pinned
            if not (more and policy.POLICIES[error.kind].retry and choose(gateway, ask, tiers, tried) is not None):
                raise faults.refusal(error, lane, key) from error
        else:
            if isinstance(served.body, bytes):
                gateway.health.succeeded(lane)
            return served


def check_drawing(body: Json, model: str) -> None:
    """Refuse what the model, by the vendor's name for it, does not draw."""
    size = str(body.get("size") or images.DEFAULT_SIZE)
    complaint = images.complaint(model, str(body["prompt"]), size, meter.whole(body.get("n"), 1))
    if complaint is not None:
        raise Refused(400, complaint.message, complaint.code)


def candidates(gateway: Gateway, ask: Ask) -> Tiers:
    """The channels that may serve: the pinned one, or those of the caller's group for the model."""
    snapshot, caller = gateway.state.snapshot, ask.caller
    if ask.pinned:
        lane = snapshot.lanes.get(ask.pinned)
        if lane is None:
            raise Refused(400, f"There is no channel {ask.pinned}.", "invalid_channel", zh="无效的渠道 Id")
        if not lane.enabled:
            raise Refused(403, f"Channel {ask.pinned} is disabled.", "channel_disabled", zh="该渠道已被禁用")
        return (Tier((lane,), (1,)),)
    tiers = snapshot.candidates.get((caller.group, ask.model))
    if tiers is None:
        gateway.state.refresh()  # another process may have made the channel a moment ago
        tiers = gateway.state.snapshot.candidates.get((caller.group, ask.model))
    if tiers is None:
        raise nobody(ask)
    return tiers


def nobody(ask: Ask) -> Refused:
    group, model = ask.caller.group, ask.model
    text = f"No channel of group {group} serves {model} on {ask.path or 'this route'}."
    return Refused(503, text, "no_available_channel", zh=f"当前分组 {group} 下对于模型 {model} 无可用渠道")


def choose(gateway: Gateway, ask: Ask, tiers: Tiers, tried: list[int]) -> Lane | None:
    """The next channel to try."""
    kind = ask.kind
    if not tried and len(tiers) == 1 and len(tiers[0].lanes) == 1 and kind in tiers[0].lanes[0].vendor.protocols:
        return tiers[0].lanes[0]  # there is no choice, whether it rests or not
    return routing.choose(tiers, tried, gateway.health.resting, gateway.chance, lambda lane: kind in lane.vendor.protocols)


# -- one attempt ----------------------------------------------------------------------------------------------------


def once_more(gateway: Gateway, lane: Lane, key: str, attempt: Callable[[], Result]) -> Result:
    """An attempt, and one more where credentials were refused that can be better: a short-lived token that is renewed, a
    signature that was made by a clock other than the vendor's."""
    try:
        return attempt()
    except VendorError as error:
        if error.kind != "auth":
            raise
        stale = gateway.secrets.forget(lane.id, key)
        late = lane.vendor.timed and gateway.clocks.learned(lane.id, error.date)
        if not (stale or late):
            raise
    return attempt()


def _attempt(gateway: Gateway, ask: Ask, bill: Bill, lane: Lane, model: str, key: str) -> Served:
    protocol = lane.vendor.protocols[ask.kind]
    call = call_for(gateway, ask, lane, model, key, bill)
    began = time.monotonic()
    request = prepared(gateway, lane, protocol, call, built(gateway, ask, protocol, call))
    if ask.streaming and protocol.stream is not None or ask.kind == "speech":
        return _stream(gateway, ask, bill, lane, call, protocol, request, began)
    reply, result = exchanged(gateway, lane, protocol, call, request, ask.client)
    ask.tried(lane, began, reply.status)
    bill.first()
    return answers.whole(ask, bill, protocol, call, reply, result)


def call_for(gateway: Gateway, ask: Ask, lane: Lane, model: str, key: str, bill: Bill | None = None) -> Call:
    """The call addressed to one lane: the client's body with what the lane's row, the channel and the bill change about it."""
    body, vendor = ask.body, lane.vendor
    if body.get("model") != model:
        body = body | {"model": model}
    if bill is not None:
        body = bill.fitted(body)
    body = vendors.suited(vendor, body)
    if lane.parameters:
        body = bodies.cleaned(body | lane.parameters)  # what an administrator forces may be null or empty as well
        if bill is not None and bill.limit:
            body = estimate.capped(body, bill.limit)
    ask.prompt_reset = bool(lane.system_prompt) and ask.kind == "chat"
    if ask.prompt_reset:
        body = forced(body, lane.system_prompt)
    more = gateway.state.settings.client_headers
    headers = client_headers.travelling(vendor, ask.headers, client_headers.further(more) if more else {})
    config = lane.config if not vendor.key_parts else lane.config | contract.key_fields(vendor, key, lane.config)
    return Call(
        ask.kind, body, model, lane.base_url, key, ask.streaming, config, ask.path, ask.query, headers, ask.files, "", ask.id,
        ask.model, gateway.clocks.now(lane.id), vendor,
    )  # fmt: skip


def built(gateway: Gateway, ask: Ask, protocol: contract.Protocol, call: Call) -> Request:
    """The request without credentials. Where the provider wants bytes, the images that the body names are fetched for it.

    The call, which a stream holds to its end, does not keep them.
    """
    if not call.vendor.inline_images:
        return with_further(gateway, vendors.guarded_build(protocol, call), call)
    vendors.check_shape(protocol, call)  # before anything is fetched for a request that cannot be sent
    plain = call.body
    call.body = gateway.downloads.inlined(ask, plain)
    try:
        request = with_further(gateway, vendors.guarded_build(protocol, call), call)
    finally:
        call.body = plain
    request.carries = ask.media is not None
    return request


def with_further(gateway: Gateway, request: Request, call: Call) -> Request:
    """Return the request with the client headers that the settings let travel to every provider."""
    if text := gateway.state.settings.client_headers:
        for name, values in client_headers.further(text).items():
            if not values and name in call.headers:
                request.headers.setdefault(name, call.headers[name])
    return request


def forced(body: Json, prompt: str) -> Json:
    """The body with the channel's system prompt in place of the client's."""
    messages = list(body.get("messages") or ())
    if messages and isinstance(messages[0], dict) and messages[0].get("role") in ("system", "developer"):
        messages = messages[1:]
    return body | {"messages": [{"role": "system", "content": prompt}, *messages]}


def prepared(gateway: Gateway, lane: Lane, protocol: contract.Protocol, call: Call, request: Request) -> Request:
    """The request with credentials on it."""
    vendor = lane.vendor
    if not lane.base_url and not request.url.startswith(("http", "ws")):
        raise VendorError("bad_request", "This channel has no base URL.")
    exchange = vendor.exchange
    if exchange is not None and not call.secret and (exchange.needed is None or exchange.needed(call)):
        send = lambda asked: transport.send(asked, gateway.route(lane, asked.url, False))  # noqa: E731
        call.secret = gateway.secrets.get(lane.id, call, exchange, send)
    if protocol.framing != "sse" and not request.framing and protocol.framing == "websocket":
        request.framing = "websocket"
    try:
        return vendor.sign(request, call)
    except RecursionError as error:
        raise VendorError("bad_request", "The request is nested too deeply.") from error
    except vendors.TRIPS as error:
        raise VendorError("auth", f"The channel's key is not of the form {vendor.key_label} ({type(error).__name__}).") from error


def exchanged(
    gateway: Gateway, lane: Lane, protocol: contract.Protocol, call: Call, request: Request, client: Any = None
) -> tuple[Reply, Any]:
    """The vendor's last reply and what it says; polls as long as the protocol asks again."""
    deadline = time.monotonic() + (gateway.state.config.relay_timeout or POLL_SECONDS)
    while True:
        reply = transport.send(request, gateway.route(lane, request.url, False), client)
        try:  # what `dated` does, for every answer at less cost
            if reply.status >= 400:
                raise vendors.guarded_fail(protocol, reply, call)
            reply, result = forms.answered(protocol, reply, call)
        except VendorError as error:
            error.date = reply.headers.get("date") or ""
            raise
        if not isinstance(result, Request):
            return reply, result
        if time.monotonic() + result.wait > deadline:
            raise VendorError("timeout", "The vendor's task did not end in time.")
        gevent.sleep(result.wait)
        call.now = gateway.clocks.now(lane.id)  # signatures are good for minutes
        request = prepared(gateway, lane, protocol, call, result)


def _stream(
    gateway: Gateway, ask: Ask, bill: Bill, lane: Lane, call: Call, protocol: contract.Protocol, request: Request, began: float
) -> Served:
    """A streamed answer whose beginning is here: until then a failure may still go to another channel.

    A vendor whose first answer only says where the stream is gets asked again.
    """
    deadline = began + (gateway.state.config.relay_timeout or POLL_SECONDS)
    while isinstance(served := _opened(gateway, ask, bill, lane, call, protocol, request), Request):
        if time.monotonic() + served.wait > deadline:
            raise VendorError("timeout", "The vendor's task did not end in time.")
        gevent.sleep(served.wait)
        request = prepared(gateway, lane, protocol, call, served)
    ask.tried(lane, began, 200)
    gateway.health.succeeded(lane)
    return served


def _opened(
    gateway: Gateway, ask: Ask, bill: Bill, lane: Lane, call: Call, protocol: contract.Protocol, request: Request
) -> Served | Request:
    """The answer to one streaming request, or the request that must follow it."""
    incoming = transport.open_stream(request, gateway.route(lane, request.url, True), ask.client)
    failed = partial(gateway.health.failed, lane, key=call.key)  # a stream may take minutes, and holds what is named here
    try:
        with dated(incoming.headers):
            if incoming.status >= 400:
                reply = Quick(incoming.status, incoming.headers, incoming.read())
                raise vendors.guarded_fail(protocol, reply, call)
            served = answers.begun(ask, bill, protocol, call, incoming, request.framing or protocol.framing, failed)
    except BaseException:
        incoming.close()
        raise
    if isinstance(served, Request):
        incoming.close()
    return served
