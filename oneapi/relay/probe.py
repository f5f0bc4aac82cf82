"""Ask a channel something on the administrator's behalf: a test call, its balance, its models. Nobody is charged."""

import struct
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent

from oneapi import vendors
from oneapi.models.user import Role
from oneapi.relay import delivered, engine, faults, framing, transport
from oneapi.relay.ask import Ask
from oneapi.relay.clocks import dated
from oneapi.relay.endpoints import ENDPOINTS, Endpoint
from oneapi.relay.gateway import Gateway
from oneapi.state import Caller, Lane, State
from oneapi.wire import Call, File, Reply, Request, VendorError

Json = dict[str, Any]

# What a test of each kind sends; the least that a vendor answers.
WAVE = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 3236, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 3200)
SILENCE = WAVE + bytes(3200)  # a tenth of a second
DOT = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mP4z8BAEmIY1TCqYfhqAACQ+f8B8u7oVwAAAABJRU5ErkJggg=="
)  # sixteen red pixels square
PAGES = 50  # that a list of models may have
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
        text = faults.scrubbed(error.message or error.kind, None, lane.keys[0])
        return Result(False, text, time.monotonic() - began, model, error.kind, error.status)
    return Result(True, message, time.monotonic() - began, model)


def _lane(state: State, channel_id: int) -> Lane:
    lane = state.snapshot.lanes.get(channel_id)
    if lane is None:
        raise VendorError("bad_request", f"There is no channel {channel_id}, or its type is unknown here.")
    return lane


def _first_model(lane: Lane) -> str:
    return min(lane.models, default="", key=lambda name: (kind_of(name, lane) != "chat", name))


# What a model is for by parts of its name; the first that fits counts.
MARKS = (
    ("rerank", ("rerank",)), ("embeddings", ("embed", "bge-", "m3e", "-e5-", "gte-", "tao-8k")), ("moderations", ("moderation",)),
    ("image_edits", ("image-edit", "seededit")),
    ("images", ("dall-e", "gpt-image", "qwen-image", "image-01", "wanx", "wan2.", "cogview", "flux", "stable-diffusion", "imagen",
                "seedream", "step-1x", "step-2x", "kolors", "irag", "flash-image", "pro-image", "nova-canvas", "titan-image",
                "stable-image", "sd3", "sdxl", "recraft", "ideogram", "grok-2-image")),
    ("transcriptions", ("whisper", "transcribe", "sensevoice", "-asr")), ("speech", ("tts", "cosyvoice", "speech")),
)  # fmt: skip


def kind_of(model: str, lane: Lane) -> str:
    """The kind of call a model is for, by its name; one that the channel's vendor offers."""
    name = model.lower()
    offered = lane.vendor.protocols
    guess = next((kind for kind, words in MARKS if any(word in name for word in words)), "chat")
    return guess if guess in offered else "chat" if "chat" in offered else next(iter(offered), "chat")


def body_for(kind: str, model: str, prompt: str, stream: bool, voice: str = "alloy") -> Json:
    """The request of a test."""
    bodies: dict[str, Json] = {
        "chat": {"messages": [{"role": "user", "content": prompt}], "stream": stream},
        "completions": {"prompt": prompt, "max_tokens": 16, "stream": stream},
        "embeddings": {"input": "hello"}, "moderations": {"input": "hello"},
        "images": {"prompt": "a small red circle", "n": 1, "size": "1024x1024"}, "image_edits": {"prompt": "make it blue"},
        "image_variations": {"n": 1}, "speech": {"input": "hello", "voice": voice.replace("{model}", model)},
        "transcriptions": {"response_format": "json"},
        "translations": {"response_format": "json"}, "rerank": {"query": "hello", "documents": ["hello", "world"]},
        "edits": {"input": "helo", "instruction": "Fix the spelling."},
    }  # fmt: skip
    return {"model": model} | bodies.get(kind, {"prompt": prompt})


def _try(gateway: Gateway, lane: Lane, model: str, kind: str, stream: bool) -> str:
    protocol = lane.vendor.protocols.get(kind)
    if protocol is None:
        raise VendorError("bad_request", f"This vendor does not offer {kind}.")
    endpoint = next((e for e in ENDPOINTS.values() if e.kind == kind), Endpoint(kind))
    body = body_for(kind, model, gateway.state.config.test_prompt, stream, lane.vendor.voice)
    ask = Ask("probe", NOBODY, endpoint, body, model, 100, stream, path=_path(kind), files=files_for(kind))
    key = gateway.health.key(lane)

    def attempt() -> str:
        call = engine.call_for(gateway, ask, lane, lane.serves(model), key)
        request = engine.prepared(gateway, lane, protocol, call, vendors.guarded_build(protocol, call))
        if stream and protocol.stream is not None:
            return _try_stream(gateway, lane, protocol, call, request)
        reply, result = engine.exchanged(gateway, lane, protocol, call, request)
        return _words(reply, result, kind)

    return engine.once_more(gateway, lane, key, attempt)


def files_for(kind: str) -> tuple[File, ...]:
    """What a test uploads."""
    if kind in ("transcriptions", "translations"):
        return (File("file", "silence.wav", "audio/wav", SILENCE),)
    return (File("image", "dot.png", "image/png", DOT),) if kind in ("image_edits", "image_variations") else ()


def _path(kind: str) -> str:
    return next((path for path, endpoint in ENDPOINTS.items() if endpoint.kind == kind), "")


def _try_stream(gateway: Gateway, lane: Lane, protocol: Any, call: Call, request: Request) -> str:
    """The words of a stream. A first answer that only says where the stream is, or what to send next, is followed."""
    while True:
        incoming = transport.open_stream(request, gateway.route(lane, request.url, True))
        try:
            with dated(incoming.headers):
                if incoming.status >= 400:
                    raise vendors.guarded_fail(protocol, Reply(incoming.status, incoming.headers, incoming.read()), call)
                frame = request.framing or protocol.framing
                if frame != "sse" or not (incoming.headers.get("content-type") or "").startswith("application/json"):
                    chunks = list(vendors.guarded_stream(protocol, framing.events(frame, incoming), call))
                    return "".join(delivered.text_of(chunk) for chunk in chunks)[:2000]
                reply = Reply(incoming.status, incoming.headers, incoming.read())
                result = vendors.guarded_parse(protocol, reply, call)
        finally:
            incoming.close()
        if not isinstance(result, Request):
            return _words(reply, result, call.kind)
        gevent.sleep(result.wait)
        request = engine.prepared(gateway, lane, protocol, call, result)


def _words(reply: Reply, result: Any, kind: str) -> str:
    if isinstance(result, dict):
        return delivered.text_of(result)[:2000] or str(result.get("text") or "") or f"{kind}: ok"
    return f"{kind}: {len(reply.body)} bytes"


def balance(state: State, channel_id: int) -> tuple[float, str]:
    """(amount, currency) of the channel's account; raises VendorError."""
    lane = _lane(state, channel_id)
    found = lane.vendor.balance
    if found is None:
        raise VendorError("bad_request", "尚未实现 (this vendor does not tell how much is left)")
    return _asked(state, lane, found.build, lambda reply, call: vendors.guarded_balance(lane.vendor, reply, call))


def models(state: State, channel_id: int, *, lane: Lane | None = None) -> list[str]:
    """The models that the channel's key can really use; raises VendorError. `lane` is a channel that is not stored yet."""
    lane = lane or _lane(state, channel_id)
    found = lane.vendor.model_list
    if found is None:
        raise VendorError("bad_request", "This vendor does not list its models.")
    return _asked(state, lane, found.build, lambda reply, call: vendors.guarded_models(lane.vendor, reply, call))


def _asked(state: State, lane: Lane, build: Callable[[Call], Request], parse: Callable[[Reply, Call], Any]) -> Any:
    gateway = gateways(state)
    ask, key = Ask("probe", NOBODY, Endpoint("chat"), {}, "", 0), gateway.health.key(lane)
    protocol = next(iter(lane.vendor.protocols.values()))

    def attempt() -> Any:
        call = engine.call_for(gateway, ask, lane, "", key)
        request = build(call)
        for _ in range(PAGES):
            signed = engine.prepared(gateway, lane, protocol, call, request)
            signed.framing = ""
            reply = transport.send(signed, gateway.route(lane, signed.url, False))
            with dated(reply.headers):
                result = parse(reply, call)
            if not isinstance(result, Request):
                return result
            gevent.sleep(result.wait)
            request = result
        raise VendorError("garbled", "The vendor's list does not end.")

    return engine.once_more(gateway, lane, key, attempt)
