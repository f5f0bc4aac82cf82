"""Answers, streams and errors of Bedrock's Converse. No row lives here.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, endings, reports, shapes, thoughts, usages
from oneapi.vendors.contract import failure, status_kind
from oneapi.wire import Call, Event, Reply, VendorError

Json = dict[str, Any]

# https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
KINDS = {
    "AccessDeniedException": "auth", "UnrecognizedClientException": "auth", "InvalidSignatureException": "auth",
    "ExpiredTokenException": "auth", "IncompleteSignatureException": "auth", "MissingAuthenticationTokenException": "auth",
    "InvalidClientTokenId": "auth", "NotAuthorized": "auth", "OptInRequired": "auth", "ThrottlingException": "rate_limited",
    "TooManyRequestsException": "rate_limited", "ServiceQuotaExceededException": "quota", "ResourceNotFoundException": "no_model",
    "ValidationException": "bad_request", "ModelTimeoutException": "timeout", "ModelErrorException": "server",
    "ModelStreamErrorException": "server", "ModelNotReadyException": "overloaded", "ServiceUnavailableException": "overloaded",
    "InternalServerException": "server", "InternalFailure": "server", "ConflictException": "server",
    "RequestEntityTooLargeException": "too_long",
}  # fmt: skip
# What a ValidationException or AccessDeniedException may mean, told apart by words only.
WORDS = {
    "input is too long": "too_long", "too many input tokens": "too_long", "prompt is too long": "too_long",
    "model identifier is invalid": "no_model", "throughput isn": "no_model", "access to the model": "no_model",
    "doesn't support": "no_model", "end of its life": "no_model",
}  # fmt: skip
FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length",
    "model_context_window_exceeded": "length", "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
}  # fmt: skip
ABORTS = ("malformed_model_output", "malformed_tool_use")


def fail(reply: Reply, call: Call) -> VendorError:
    """The class of the error stands in a header, sometimes in the body, with an address after a colon or before a hash."""
    error = failure(reply, call)
    try:
        told = reply.json()
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    name = reply.headers.get("x-amzn-errortype") or str(told.get("__type") or told.get("code") or "")
    if isinstance(told.get("Message"), str):
        error.message = told["Message"]
    name = name.partition(":")[0].rpartition("#")[2]
    error.kind = KINDS.get(name) or status_kind(reply.status)
    return _sharpened(error, name)


def fault(event: Event) -> VendorError:
    """The VendorError in an exception of a stream."""
    name = event.name.removeprefix(":exception:")
    name = name[:1].upper() + name[1:]
    told = event.data if isinstance(event.data, dict) else {}
    message = told.get("originalMessage") or told.get("message") or name or "The vendor's stream failed."
    return _sharpened(VendorError(KINDS.get(name, "server"), str(message), status=200), name)


def _sharpened(error: VendorError, name: str) -> VendorError:
    error.code = error.type = name or error.code
    if name in ("ValidationException", "AccessDeniedException"):
        said = error.message.lower()
        error.kind = next((kind for words, kind in WORDS.items() if words in said), error.kind)
    return error


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    message: Json = {"content": None}
    for block in answer["output"]["message"]["content"]:
        _take(block, message, call)
    called = "tool_calls" in message
    reason = endings.finish(FINISH, answer["stopReason"], called=called, usable=endings.usable(message))
    if message["content"] is None and not called:
        message["content"] = ""
    used = usages.bedrock(answer["usage"], answer.get("serviceTier")) if answer.get("usage") else None
    return shapes.completion(call, message, reason, used)


def _take(block: Json, message: Json, call: Call) -> None:
    match block:
        case {"text": str(text)}:
            message["content"] = (message["content"] or "") + text
        case {"citationsContent": dict(cited)}:
            message["content"] = (message["content"] or "") + "".join(
                piece.get("text") or "" for piece in cited.get("content") or ()
            )
            if notes := _annotations(cited.get("citations") or ()):
                message.setdefault("annotations", []).extend(notes)
        case {"toolUse": {"name": name} as used}:
            calls = message.setdefault("tool_calls", [])
            id = used.get("toolUseId") or f"call_{call.id}_{len(calls)}"
            calls.append(shapes.tool_call(id, name, asks.compact(used.get("input") or {})))
        case {"reasoningContent": {"reasoningText": dict(told)}}:
            text, signature = told.get("text") or "", told.get("signature") or ""
            if text:
                message["reasoning_content"] = message.get("reasoning_content", "") + text
            if signature:
                thoughts.keep(message, text, signature)
        case {"reasoningContent": {"redactedContent": str(data)}}:
            thoughts.keep(message, data=data)
        case {"image": {"format": kind, "source": {"bytes": data}}}:
            message.setdefault("images", []).append(_picture(kind, data))


def _picture(kind: str, data: str) -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def _annotations(citations: Iterable[Json]) -> list[Json]:
    """OpenAI knows citations of web pages only."""
    pages = [((citation.get("location") or {}).get("web") or {}, citation.get("title")) for citation in citations]
    return [
        {"type": "url_citation", "url_citation": {"url": page["url"], "title": title or ""}}
        for page, title in pages
        if page.get("url")
    ]


class _Blocks:
    """The blocks of a streamed answer by the vendor's index, since those of parallel calls may come interleaved."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tools: dict[int, int] = {}
        self.thoughts = thoughts.Streamed()
        self.silent: set[int] = set()  # tools that were given nothing yet
        self.pictures: dict[int, Json] = {}

    def begin(self, index: int, start: Json) -> Json | None:
        match start:
            case {"toolUse": {"name": name} as used}:
                id = used.get("toolUseId") or f"call_{self.call.id}_{len(self.tools)}"
                self.tools[index] = len(self.tools)
                self.silent.add(index)
                return {"tool_calls": [shapes.tool_call(id, name, "", index=self.tools[index])]}
            case {"image": {"format": kind}}:
                self.pictures[index] = {"kind": kind, "data": b""}
            case {"text": _} | {"reasoningContent": _}:  # what a block holds may come with its start
                return self.go_on(index, start)
        return None

    def go_on(self, index: int, delta: Json) -> Json | None:
        match delta:
            case {"text": text}:
                return {"content": text} if text else None
            case {"toolUse": {"input": str(text)}} if text and index in self.tools:
                self.silent.discard(index)
                return {"tool_calls": [{"index": self.tools[index], "function": {"arguments": text}}]}
            case {"image": {"source": {"bytes": data}}} if index in self.pictures:
                self.pictures[index]["data"] += b64decode(data)
            case {"citation": dict(citation)}:
                notes = _annotations([citation])
                return {"annotations": notes} if notes else None
            case {"reasoningContent": {"redactedContent": str(data)}}:
                return self.thoughts.delta(index, data=data)
            case {"reasoningContent": dict() as told}:
                told = told.get("reasoningText") or told
                return self.thoughts.piece(index, told.get("text"), told.get("signature"))
        return None

    def end(self, index: int) -> Json | None:
        if picture := self.pictures.pop(index, None):
            return {"images": [_picture(picture["kind"], b64encode(picture["data"]).decode())]}
        if index not in self.silent:
            return self.thoughts.end(index)
        self.silent.discard(index)
        return {"tool_calls": [{"index": self.tools[index], "function": {"arguments": "{}"}}]}


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    blocks, reason, said = _Blocks(call), "", False
    for event in events:
        if not isinstance(event.data, dict):
            raise VendorError("garbled", "The vendor sent an event that is not a JSON object.")
        delta: Json | None = None
        match event.name, event.data:
            case "messageStart", _:
                delta = {"role": "assistant", "content": ""}
            case "contentBlockStart", {"start": start}:
                delta = blocks.begin(event.data.get("contentBlockIndex") or 0, start)
            case "contentBlockDelta", {"delta": piece}:
                delta = blocks.go_on(event.data.get("contentBlockIndex") or 0, piece)
            case "contentBlockStop", data:
                delta = blocks.end(data.get("contentBlockIndex") or 0)
            case "messageStop", data:
                reason = data.get("stopReason") or reason
            case "metadata", {"usage": dict(told)}:
                reports.note(call, usages.bedrock(told, event.data.get("serviceTier")))
            case str(name), _ if name.startswith(":exception:"):
                raise fault(event)
        if delta:
            said = said or endings.usable(delta)
            yield shapes.chunk(call, delta)
    if not reason:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    if reason in ABORTS:
        raise endings.aborted(reason)
    yield shapes.chunk(call, {}, endings.finish(FINISH, reason, called=bool(blocks.tools), usable=said))
    if call.reported:
        yield shapes.usage_chunk(call, call.reported)
