"""OpenAI-shaped answers, chunks and usage, as every protocol with its own wire format writes them."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import reports
from oneapi.wire import Call, Event, VendorError

Json = dict[str, Any]


def usage(
    prompt: int = 0, completion: int = 0, *, cached: int | None = None, cache_write: int | None = None,
    cache_write_1h: int | None = None, reasoning: int | None = None, total: int | None = None,
) -> Json:  # fmt: skip
    """OpenAI's usage object. `prompt` includes cached and cache-write tokens, `completion` includes reasoning.

    `cache_write_1h` is the part of `cache_write` that is kept for an hour: OpenAI's details of written tokens, with the time
    in the name.
    """
    report: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
    }
    details: Json = {k: v for k, v in (("cached_tokens", cached), ("cache_write_tokens", cache_write)) if v is not None}
    if cache_write_1h:
        details["cache_write_tokens_details"] = {"ttl_5m_tokens": (cache_write or 0) - cache_write_1h,
                                                 "ttl_1h_tokens": cache_write_1h}  # fmt: skip
    if details:
        report["prompt_tokens_details"] = details
    if reasoning is not None:
        report["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return report


def completion(call: Call, message: Json, finish_reason: str, used: Json | None, *, id: str = "", **more: Any) -> Json:
    """A whole chat.completion with one choice; `message` gets the assistant's role."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish_reason}
    answer = {
        "id": id or f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": int(call.now),
        "model": call.asked or call.model,
    }
    return answer | {"choices": [choice], **({"usage": used} if used else {}), **more}


def chunk(
    call: Call, delta: Json, finish_reason: str | None = None, *, used: Json | None = None, id: str = "", **more: Any
) -> Json:
    """One chat.completion.chunk with one choice; `used` travels on it for the meter, and the dialect decides who sees it."""
    piece = {
        "id": id or f"chatcmpl-{call.id}",
        "object": "chat.completion.chunk",
        "created": int(call.now),
        "model": call.asked or call.model,
    }
    piece |= {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}], **more}
    return piece if used is None else piece | {"usage": used}


def usage_chunk(call: Call, used: Json, *, id: str = "") -> Json:
    """The last chunk of a stream: no choices, only usage, merged with what was reported before."""
    return chunk(call, {}, used=reports.note(call, used), id=id) | {"choices": []}


def tool_call(id: str, name: str, arguments: str, *, index: int | None = None) -> Json:
    """A whole tool call, or with `index` the first delta of one (then `arguments` may be "")."""
    call: Json = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return call if index is None else {"index": index, **call}


def embeddings(call: Call, vectors: Iterable[Any], used: Json) -> Json:
    """OpenAI's list of embeddings; a vector is a list of floats or a base64 text of little-endian float32."""
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": call.asked or call.model, "usage": used}


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part.get("text") or "" for part in parts if isinstance(part, dict) and part.get("type") in ("text", "input_text")
    )


def data_url(url: str) -> tuple[str, str]:
    """Media type and base64 text of a data URL; raises VendorError("bad_request") when it is none."""
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma or not head.endswith(";base64"):
        raise VendorError(
            "bad_request", "image_url.url must be an http(s) address or a data URL of the form data:<type>;base64,<data>."
        )
    media_type = head[5:-7].partition(";")[0].lower() or "application/octet-stream"
    return {"image/jpg": "image/jpeg"}.get(media_type, media_type), data  # the first is no type, but clients write it


def objects(events: Iterable[Event]) -> Iterator[Json]:
    """The JSON objects of a stream in order; an `[DONE]` ends it, other text is garbled."""
    for event in events:
        if event.data == "[DONE]":
            return
        if not isinstance(event.data, dict):
            raise VendorError("garbled", "The vendor sent an event that is not a JSON object.")
        yield event.data


def max_tokens(body: Json) -> int | None:
    """The limit on the answer's tokens; `max_completion_tokens` wins over the older `max_tokens`."""
    limit = body.get("max_completion_tokens")
    return body.get("max_tokens") if limit is None else limit


def stop_list(body: Json) -> list[str]:
    """OpenAI's `stop`, which may be one string, as a list."""
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else list(stop or [])
