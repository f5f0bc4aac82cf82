"""OpenAI's own protocol: the pass-through for every kind of call, which compatible vendors share."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from oneapi.vendors import errors
from oneapi.vendors.contract import CODE_KINDS, Protocol, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "edits": "/v1/edits",
    "embeddings": "/v1/embeddings",
    "moderations": "/v1/moderations",
    "images": "/v1/images/generations",
    "image_edits": "/v1/images/edits",
    "image_variations": "/v1/images/variations",
    "speech": "/v1/audio/speech",
    "transcriptions": "/v1/audio/transcriptions",
    "translations": "/v1/audio/translations",
    "rerank": "/v1/rerank",
}
# The list an answer of this kind must have; the other kinds are only required to be objects.
LISTS = {
    "chat": "choices", "completions": "choices", "edits": "choices", "embeddings": "data", "moderations": "results",
    "images": "data", "image_edits": "data", "image_variations": "data", "rerank": "results",
}  # fmt: skip
CHOICES = ("chat", "completions", "edits")
PLAIN = ("text", "srt", "vtt")  # response_format of transcriptions that is not JSON
# Types of errors inside HTTP 200 whose kind only a status could tell.
TYPE_STATUS = {"invalid_request_error": 400, "not_found_error": 404, "BadRequestError": 400, "NotFoundError": 404}

# Providers of Cloudflare's AI Gateway whose address there has no /v1 of its own.
# https://developers.cloudflare.com/ai-gateway/usage/providers/
GATEWAY = "https://gateway.ai.cloudflare.com/"
GATEWAY_BARE = ("/openai", "/compat", "/groq", "/deepseek")


@lru_cache(maxsize=4096)
def address(base: str, path: str, strip_v1: bool = False) -> str:
    """Base URL and path joined, however much of the path the base URL already holds: `/v1` never comes twice."""
    if path.startswith("/v1/") and (strip_v1 or (base.startswith(GATEWAY) and base.endswith(GATEWAY_BARE))):
        return base + path[3:]
    parts = path.split("/")
    heads = ("/".join(parts[:size]) for size in range(len(parts) - 1, 1, -1))
    return base + path[len(next((head for head in heads if base.endswith(head)), "")) :]


def url(call: Call) -> str:
    """Where a call goes: the row's path or OpenAI's, and the client's query when the client spoke OpenAI's dialect."""
    vendor, path = call.vendor, PATHS[call.kind]
    query = call.query if call.query and call.path == path else ""
    strip_v1 = False
    if vendor is not None:
        strip_v1 = vendor.strip_v1
        path = vendor.paths.get(call.kind, path)
        if "{model}" in path:
            path = path.replace("{model}", call.model)
    found = address(call.base_url, path, strip_v1)
    return f"{found}?{query}" if query else found


def body_of(call: Call, *, refuses_usage: bool = False) -> Json:
    """The client's body itself, or a shallow copy when the stream has to be asked for its usage."""
    body = call.body
    refuses = refuses_usage or (call.vendor is not None and call.vendor.refuses_usage)
    if refuses and "stream_options" in body:
        body = {k: v for k, v in body.items() if k != "stream_options"}
    if not call.streaming:
        return body
    options = body.get("stream_options")
    if call.kind in ("chat", "completions") and not refuses and not (options and options.get("include_usage")):
        return body | {"stream": True, "stream_options": {**(options or {}), "include_usage": True}}
    return body if body.get("stream") else body | {"stream": True}


def form_of(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A body as the fields of a form; a list becomes one field per item."""
    return tuple((name, _text(item)) for name, value in body.items() for item in (value if isinstance(value, list) else [value]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def build(call: Call) -> Request:
    return request_to(url(call), call, body_of(call))


def request_to(url: str, call: Call, body: Json) -> Request:
    """The request that carries this body, as a form when there are files."""
    headers = dict(call.headers)
    if call.vendor is not None and call.vendor.headers:
        headers.update(call.vendor.headers)
    if call.streaming:
        headers["Accept"] = "text/event-stream"
    if call.files:
        return Request(url, headers=headers, files=call.files, form=form_of(body))
    return Request(url, body, headers)


def fault(body: Json, codes: Mapping[str, str] = CODE_KINDS) -> VendorError:
    """The VendorError in an object that came under HTTP 200; a numeric code there is the status that was meant."""
    error = body.get("error")
    error = error if isinstance(error, dict) else body
    code = str(error.get("code") or "")
    status = int(code) if code.isdecimal() and 400 <= int(code) < 600 else TYPE_STATUS.get(str(error.get("type")), 500)
    found = failure(Reply(status, {}, json.dumps(body).encode()), Call("chat", {}, "", "", ""), codes)
    found.status = 200
    return found


def parse(reply: Reply, call: Call) -> Json | Reply:
    if call.kind == "speech" or (call.kind in ("transcriptions", "translations") and call.body.get("response_format") in PLAIN):
        return _untouched(reply)
    return check(reply.json(), call)


def check(answer: Any, call: Call) -> Json:
    """The answer if its outer shape is right, under the name the client asked for; raises VendorError otherwise."""
    if not isinstance(answer, dict):
        raise VendorError("garbled", "The vendor's answer is not a JSON object.", status=200)
    if found := errors.found_in(answer) if call.kind in CHOICES else answer.get("error") and answer:
        raise fault(found)
    key = LISTS.get(call.kind)
    if key and not isinstance(answer.get(key), list):
        raise VendorError("garbled", f"The vendor's answer has no list of {key}.", status=200)
    choices = answer["choices"] if call.kind in CHOICES else ()
    if call.kind in CHOICES and not choices:
        raise VendorError("garbled", "The vendor's answer has no choice, or one that is not an object.", status=200)
    for choice in choices:
        if not isinstance(choice, dict):
            raise VendorError("garbled", "The vendor's answer has no choice, or one that is not an object.", status=200)
        if call.kind != "chat":
            continue
        if not isinstance(choice.get("message"), dict):
            raise VendorError("garbled", "The vendor's answer has a choice without a message.", status=200)
        choice["message"].setdefault("role", "assistant")
    if call.asked and call.asked != call.model and "model" in answer:
        answer["model"] = call.asked
    return answer


def _untouched(reply: Reply) -> Reply:
    """Sound or plain text, unless a document came in its place."""
    if not reply.body:
        raise VendorError("garbled", "The vendor's answer is empty.", status=reply.status)
    if reply.content_type == "text/html" or reply.body[:15].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise VendorError("garbled", "The vendor answered with a web page.", status=reply.status)
    if reply.content_type == "application/json" or reply.body[:1] == b"{":
        answer = reply.json()
        if not isinstance(answer, dict) or answer.get("error"):
            raise fault(answer if isinstance(answer, dict) else {"message": "The vendor's answer is not what was asked for."})
    return reply


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """Chunks as they come; chunks that say nothing (Azure's first) are left out, errors raise, a cut stream is garbled."""
    rename = call.asked if call.asked != call.model else ""
    chat = call.kind in ("chat", "completions")
    finished, begun, ended = False, set[Any](), set[Any]()  # of the stream; choices by number
    for event in events:
        data = event.data
        if data == "[DONE]":
            finished = True
            break
        if not isinstance(data, dict):
            raise VendorError("garbled", "The vendor sent an event that is not a JSON object.")
        found = errors.found_in(data) if chat else data.get("error") and data
        if found or event.name == "error":
            raise fault(found or data)
        choices = data.get("choices")
        if chat and not choices and not data.get("usage"):
            continue
        for choice in choices or ():
            (begun if choice.get("finish_reason") in errors.UNFINISHED else ended).add(choice.get("index", 0))
            if call.kind == "chat" and not isinstance(choice.get("delta"), dict):
                choice["delta"] = dict(choice.get("delta") or {})
        if chat:
            finished = bool(ended) and begun <= ended
        else:  # audio and images end with an event of their own
            finished = str(data.get("type")).endswith((".done", ".completed"))
        if rename and "model" in data:
            data["model"] = rename
        yield data
    if not finished:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")


OPENAI = Protocol(build, parse, stream, native=True)
PROTOCOLS: Mapping[str, Protocol] = dict.fromkeys(PATHS, OPENAI)
