"""Answers, streams and errors of Anthropic's Messages API, wherever Claude is served. No row lives here.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oneapi.vendors import asks, endings, reports, shapes, thoughts, usages
from oneapi.vendors.contract import failure
from oneapi.wire import Call, Event, Reply, VendorError

Json = dict[str, Any]

# https://platform.claude.com/docs/en/api/errors
KINDS = {
    "invalid_request_error": "bad_request", "authentication_error": "auth", "permission_error": "auth", "billing_error": "quota",
    "not_found_error": "no_model", "request_too_large": "too_long", "rate_limit_error": "rate_limited",
    "timeout_error": "timeout", "api_error": "server", "overloaded_error": "overloaded",
}  # fmt: skip
# An invalid_request_error may mean something better told apart, by its words only.
WORDS = {
    "prompt is too long": "too_long", "exceed context limit": "too_long", "credit balance is too low": "quota",
    "content filtering policy": "content_filter", "organization has been disabled": "auth",
}  # fmt: skip
FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip
REFUSED = "The model refused to answer."


def fail(reply: Reply, call: Call) -> VendorError:
    return _sharpened(failure(reply, call, KINDS))


def fault(error: Mapping[str, Any]) -> VendorError:
    """The VendorError in an error object that came under HTTP 200 or in mid-stream."""
    kind = str(error.get("type") or "")
    return _sharpened(VendorError(KINDS.get(kind, "server"), str(error.get("message") or kind), status=200, type=kind))


def _sharpened(error: VendorError) -> VendorError:
    if error.kind == "bad_request":
        error.kind = next((kind for words, kind in WORDS.items() if words in error.message), error.kind)
    error.code = error.code or error.type
    return error


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("type") == "error":
        raise fault(answer["error"])
    message: Json = {"content": None}
    for block in answer["content"]:
        _take(block, message, call)
    called = "tool_calls" in message
    finish = endings.finish(FINISH, answer.get("stop_reason"), called=called, usable=endings.usable(message))
    if finish == "content_filter":
        message["refusal"] = (answer.get("stop_details") or {}).get("explanation") or REFUSED
    if message["content"] is None and not called:
        message["content"] = ""
    used = usages.anthropic(answer["usage"]) if answer.get("usage") else None
    return shapes.completion(call, message, finish, used, id=_id(answer, call))


def _id(answer: Json, call: Call) -> str:
    return f"chatcmpl-{answer.get('id') or call.id}"


def _take(block: Json, message: Json, call: Call) -> None:
    """Put a block of the answer into OpenAI's message; blocks of the vendor's own tools have no place there."""
    match block:
        case {"type": "text"}:
            message["content"] = (message["content"] or "") + (block.get("text") or "")
            if notes := _annotations(block.get("citations")):
                message.setdefault("annotations", []).extend(notes)
        case {"type": "thinking"}:
            text = block.get("thinking") or ""
            message["reasoning_content"] = message.get("reasoning_content", "") + text
            thoughts.keep(message, text, block.get("signature") or "")
        case {"type": "redacted_thinking", "data": str(data)}:
            thoughts.keep(message, data=data)
        case {"type": "tool_use", "name": name}:
            calls = message.setdefault("tool_calls", [])
            id = block.get("id") or f"call_{call.id}_{len(calls)}"
            calls.append(shapes.tool_call(id, name, asks.compact(block.get("input") or {})))


def _annotations(citations: Any) -> list[Json]:
    """OpenAI knows citations of web pages only."""
    cited = [citation for citation in citations or () if citation.get("url")]
    return [{"type": "url_citation", "url_citation": {"url": c["url"], "title": c.get("title") or ""}} for c in cited]


class _Blocks:
    """The blocks of a streamed answer by the vendor's index: which tool or thought they are, and what a tool was given."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.tools: dict[int, int] = {}
        self.thoughts = thoughts.Streamed()
        self.given: dict[int, str] = {}

    def begin(self, index: int, block: Json) -> Json | None:
        match block:
            case {"type": "tool_use", "name": name}:
                id = block.get("id") or f"call_{self.call.id}_{len(self.tools)}"
                self.tools[index], self.given[index] = len(self.tools), asks.compact(block.get("input") or {})
                return {"tool_calls": [shapes.tool_call(id, name, "", index=self.tools[index])]}
            case {"type": "redacted_thinking", "data": str(data)}:
                return self.thoughts.delta(index, data=data)
            case {"type": "text", "text": str(text)} if text:
                return {"content": text}
            case {"type": "thinking"}:
                return self.thoughts.piece(index, block.get("thinking"), block.get("signature"))
        return None

    def go_on(self, index: int, delta: Json) -> Json | None:
        match delta:
            case {"type": "text_delta", "text": str(text)}:
                return {"content": text}
            case {"type": "input_json_delta", "partial_json": str(text)} if text and index in self.tools:
                self.given[index] = ""
                return {"tool_calls": [{"index": self.tools[index], "function": {"arguments": text}}]}
            case {"type": "thinking_delta" | "signature_delta"}:
                return self.thoughts.piece(index, delta.get("thinking"), delta.get("signature"))
            case {"type": "citations_delta", "citation": dict(citation)}:
                notes = _annotations([citation])
                return {"annotations": notes} if notes else None
        return None

    def end(self, index: int) -> Json | None:
        """A tool that was given nothing piece by piece gets what it was given at once, if only `{}`."""
        if index not in self.tools:
            return self.thoughts.end(index)
        given = self.given.pop(index, "")
        return {"tool_calls": [{"index": self.tools[index], "function": {"arguments": given}}]} if given else None


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    id, blocks = _id({}, call), _Blocks(call)
    told: Json = {}
    stop: Json = {}
    said = False
    for data in shapes.objects(events):
        delta: Json | None = None
        match data:
            case {"type": "message_start"}:
                message = data.get("message") or {}
                id, delta = _id(message, call), {"role": "assistant", "content": ""}
                told = reports.gather(call, told, message.get("usage"), usages.anthropic)
            case {"type": "content_block_start", "content_block": block}:
                delta = blocks.begin(data.get("index") or 0, block)
            case {"type": "content_block_delta", "delta": piece}:
                delta = blocks.go_on(data.get("index") or 0, piece)
            case {"type": "content_block_stop"}:
                delta = blocks.end(data.get("index") or 0)
            case {"type": "message_delta"}:  # its numbers are totals, not additions
                stop |= {k: v for k, v in (data.get("delta") or {}).items() if v is not None}
                told = reports.gather(call, told, data.get("usage"), usages.anthropic)
            case {"type": "error", "error": error}:
                raise fault(error)
            case {"type": "message_stop"}:
                break
        if delta:
            said = said or endings.usable(delta)
            yield shapes.chunk(call, delta, id=id)
    if not stop.get("stop_reason"):
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    finish = endings.finish(FINISH, stop["stop_reason"], called=bool(blocks.tools), usable=said)
    if finish == "content_filter":
        yield shapes.chunk(call, {"refusal": (stop.get("stop_details") or {}).get("explanation") or REFUSED}, id=id)
    yield shapes.chunk(call, {}, finish, id=id)
    yield shapes.usage_chunk(call, usages.anthropic(told), id=id)
