"""Ask a channel something on the administrator's behalf: a test call, its balance, its models. Nobody is charged."""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent

from oneapi import vendors
from oneapi.models.user import Role
from oneapi.relay import answers, engine, framing, transport
from oneapi.relay.ask import Ask
from oneapi.relay.endpoints import ENDPOINTS, Endpoint
from oneapi.relay.gateway import Gateway
from oneapi.state import Caller, Lane, State
from oneapi.wire import Call, File, Reply, Request, VendorError

Json = dict[str, Any]

# What a test of each kind sends; the least that a vendor answers.
WAVE = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 3236, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 3200)
SILENCE = WAVE + bytes(3200)  # a tenth of a second
NOBODY = Caller(0, 0, "", "", 1, -1, True, None, (), "", "default", Role.ROOT, 1)


@dataclass(frozen=True, slots=True)
class Result:
    """How a test went: `message` is the model's reply or the error, `seconds` the whole test's wall time."""

    ok: bool
    message: str
    seconds: float
    model: str
    kind: str = ""
    status: int = 0


def gateways(state: State) -> Gateway:
    """The relay of this process; made by entry.mount, or here for the command line."""
    found = getattr(state, "gateway", None)
    return found if isinstance(found, Gateway) else Gateway(state)


def test(state: State, channel_id: int, *, model: str = "", kind: str = "", stream: bool = False) -> Result:
    """Send the smallest sensible request of a kind that fits the model and the channel."""
    lane = _lane(state, channel_id)
    model = model or lane.config.get("test_model") or _first_model(lane)
    kind = kind or kind_of(model, lane)
    began = time.monotonic()
    try:
        message = _try(gateways(state), lane, model, kind, stream)
    except VendorError as error:
        text = answers.scrubbed(error.message or error.kind, None, lane.keys[0])
        return Result(False, text, time.monotonic() - began, model, error.kind, error.status)
    return Result(True, message, time.monotonic() - began, model)


def _lane(state: State, channel_id: int) -> Lane:
    lane = state.snapshot.lanes.get(channel_id)
    if lane is None:
        raise VendorError("bad_request", f"There is no channel {channel_id}, or its type is unknown here.")
    return lane


def _first_model(lane: Lane) -> str:
    return min(lane.models, default="", key=lambda name: (kind_of(name, lane) != "chat", name))


def kind_of(model: str, lane: Lane) -> str:
    """The kind of call a model is for, by its name; one that the channel's vendor offers."""
    name = model.lower()
    marks = (
        ("rerank", ("rerank",)), ("embeddings", ("embed", "bge-", "m3e", "-e5-", "gte-")), ("moderations", ("moderation",)),
        ("images", ("dall-e", "gpt-image", "wanx", "cogview", "flux", "stable-diffusion", "imagen", "seedream", "step-1x")),
        ("transcriptions", ("whisper", "transcribe", "sensevoice")), ("speech", ("tts", "cosyvoice", "speech")),
    )  # fmt: skip
    offered = lane.vendor.protocols
    guess = next((kind for kind, words in marks if any(word in name for word in words)), "chat")
    return guess if guess in offered else next(iter(offered), "chat")


def body_for(kind: str, model: str, prompt: str, stream: bool) -> Json:
    """The request of a test."""
    bodies: dict[str, Json] = {
        "chat": {"messages": [{"role": "user", "content": prompt}], "stream": stream},
        "completions": {"prompt": prompt, "max_tokens": 16, "stream": stream},
        "embeddings": {"input": "hello"}, "moderations": {"input": "hello"},
        "images": {"prompt": "a small red circle", "n": 1, "size": "1024x1024"},
        "speech": {"input": "hello", "voice": "alloy"}, "transcriptions": {"response_format": "json"},
        "translations": {"response_format": "json"}, "rerank": {"query": "hello", "documents": ["hello", "world"]},
        "edits": {"input": "helo", "instruction": "Fix the spelling."},
    }  # fmt: skip
    return {"model": model} | bodies.get(kind, {"prompt": prompt})


def _try(gateway: Gateway, lane: Lane, model: str, kind: str, stream: bool) -> str:
    protocol = lane.vendor.protocols.get(kind)
    if protocol is None:
        raise VendorError("bad_request", f"This vendor does not offer {kind}.")
    endpoint = next((e for e in ENDPOINTS.values() if e.kind == kind), Endpoint(kind))
    body = body_for(kind, model, gateway.state.config.test_prompt, stream)
    files = (File("file", "silence.wav", "audio/wav", SILENCE),) if kind in ("transcriptions", "translations") else ()
    ask = Ask("probe", NOBODY, endpoint, body, model, 100, stream, path=_path(kind), files=files)
    call = engine.call_for(gateway, ask, lane, lane.serves(model), gateway.health.key(lane))
    request = engine.prepared(gateway, lane, protocol, call, vendors.guarded_build(protocol, call))
    if stream and protocol.stream is not None:
        return _try_stream(gateway, lane, protocol, call, request)
    reply, result = engine.exchanged(gateway, lane, protocol, call, request)
    return _words(reply, result, kind)


def _path(kind: str) -> str:
    return next((path for path, endpoint in ENDPOINTS.items() if endpoint.kind == kind), "")


def _try_stream(gateway: Gateway, lane: Lane, protocol: Any, call: Call, request: Request) -> str:
    incoming = transport.open_stream(request, gateway.route(lane, request.url, True))
    try:
        if incoming.status >= 400:
            raise vendors.guarded_fail(protocol, Reply(incoming.status, incoming.headers, incoming.read()), call)
        chunks = list(vendors.guarded_stream(protocol, framing.events(protocol.framing, incoming), call))
    finally:
        incoming.close()
    return "".join(answers.said_in(chunk) for chunk in chunks)[:2000]


def _words(reply: Reply, result: Any, kind: str) -> str:
    if isinstance(result, dict):
        return answers.said_in(result)[:2000] or str(result.get("text") or "") or f"{kind}: ok"
    return f"{kind}: {len(reply.body)} bytes"


def balance(state: State, channel_id: int) -> tuple[float, str]:
    """(amount, currency) of the channel's account; raises VendorError."""
    lane = _lane(state, channel_id)
    found = lane.vendor.balance
    if found is None:
        raise VendorError("bad_request", "尚未实现 (this vendor does not tell how much is left)")
    return _asked(state, lane, found.build, lambda reply, call: vendors.guarded_balance(lane.vendor, reply, call))


def models(state: State, channel_id: int) -> list[str]:
    """The models that the channel's key can really use; raises VendorError."""
    lane = _lane(state, channel_id)
    found = lane.vendor.model_list
    if found is None:
        raise VendorError("bad_request", "This vendor does not list its models.")
    return _asked(state, lane, found.build, lambda reply, call: vendors.guarded_models(lane.vendor, reply, call))


def _asked(state: State, lane: Lane, build: Callable[[Call], Request], parse: Callable[[Reply, Call], Any]) -> Any:
    gateway = gateways(state)
    ask = Ask("probe", NOBODY, Endpoint("chat"), {}, "", 0)
    call = engine.call_for(gateway, ask, lane, "", gateway.health.key(lane))
    protocol = next(iter(lane.vendor.protocols.values()))
    request = build(call)
    for _ in range(20):
        signed = engine.prepared(gateway, lane, protocol, call, request)
        signed.framing = ""
        result = parse(transport.send(signed, gateway.route(lane, signed.url, False)), call)
        if not isinstance(result, Request):
            return result
        gevent.sleep(result.wait)
        request = result
    raise VendorError("garbled", "The vendor's list does not end.")
