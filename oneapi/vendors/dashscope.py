"""Alibaba DashScope's native chat: one service for text and one for everything that sees or hears.

Pictures, embeddings, rankings and sound are in dashscope_media, the OpenAI-compatible mode in dashscope_openai.
"""

from collections.abc import Iterable, Iterator
from re import compile
from typing import Any

from oneapi.vendors import asks, endings, pieces, reports, shapes
from oneapi.vendors import dashscope_media as media
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.dashscope_media import address, fail, troubled
from oneapi.vendors.dashscope_openai import COMPATIBLE, FIELDS, MODELS, searching, too_thoughtful
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

TEXT = "/services/aigc/text-generation/generation"
# Since Qwen3.5 every model is served by the multimodal service. https://help.aliyun.com/en/model-studio/qwen-api-via-dashscope
SEEING = compile(r"-vl|qvq|-ocr|-audio|omni|qwen3\.[5-9]|qwen[4-9]|gui-")
KEPT = (
    "temperature", "top_p", "top_k", "presence_penalty", "repetition_penalty", "seed", "n", "logprobs", "top_logprobs",
    "response_format", "parallel_tool_calls", "enable_thinking", "thinking_budget", "preserve_thinking", "enable_search",
    "search_options", "enable_code_interpreter", "vl_high_resolution_images", "ocr_options", "translation_options",
    "skill", "max_input_tokens",
)  # fmt: skip
FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


def build(call: Call) -> Request:
    body = call.body
    model, search = searching(call)
    system, turns = asks.conversation(body)
    parts = [p for m in turns if isinstance(m.get("content"), list) for p in m["content"]]
    sees = bool(SEEING.search(model.lower())) or any(part.get("type") not in ("text", "refusal") for part in parts)
    parameters: Json = {"result_format": "message", **{k: body[k] for k in KEPT if body.get(k) is not None}, **tools(body)}
    if (limit := shapes.max_tokens(body)) is not None:
        parameters["max_tokens"] = limit
    if stop := shapes.stop_list(body):
        parameters["stop"] = stop
    if (effort := asks.effort(body)) and "enable_thinking" not in body:
        parameters["enable_thinking"] = effort not in ("none", "minimal")
    elif too_thoughtful(model, call) and "enable_thinking" not in body:
        parameters["enable_thinking"] = False
    if search:
        parameters["enable_search"] = True
    if call.streaming:
        parameters["incremental_output"] = True
    messages = [turn(message, sees, bool(body.get("preserve_thinking"))) for message in (*system, *turns)]
    request = Request(
        address(call, media.MULTIMODAL if sees else TEXT),
        {"model": model, "input": {"messages": messages}, "parameters": parameters},
        media.headers(call),
    )
    if call.streaming:
        request.headers |= {"Accept": "text/event-stream", "X-DashScope-SSE": "enable"}
    return request


def turn(message: Json, sees: bool, thoughts: bool) -> Json:
    role = "system" if message["role"] == "developer" else message["role"]
    content = message.get("content")
    if sees:
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        said: Json = {"role": role, "content": [_part(part) for part in parts]}
    else:
        said = {"role": role, "content": shapes.text_of(content)}
    if message.get("tool_calls"):
        said["tool_calls"] = message["tool_calls"]
    if thoughts and message.get("reasoning_content"):
        said["reasoning_content"] = message["reasoning_content"]
    return said | {k: message[k] for k in ("tool_call_id", "name", "partial") if k in message}


def _part(part: Json) -> Json:
    limits: Json = {k: part[k] for k in ("min_pixels", "max_pixels", "fps") if k in part}
    match part:
        case {"type": "text", "text": text}:
            return {"text": text}
        case {"type": "image_url", "image_url": {"url": url}}:
            return {"image": url, **limits}
        case {"type": "input_audio", "input_audio": {"data": data, **more}}:
            whole = data.startswith(("http", "data:"))
            return {"audio": data if whole else f"data:audio/{more.get('format', 'wav')};base64,{data}"}
        case {"type": "video_url", "video_url": {"url": url}}:
            return {"video": url, **limits}
        case {"type": "video", "video": frames}:
            return {"video": frames, **limits}
    raise asks.unsupported(part)


def tools(body: Json) -> Json:
    """A call can be demanded only by name."""
    found: Json = {"tools": asks.tools(body)}
    if not found["tools"]:
        return {}
    if name := pieces.demanded(body):
        return found | {"tool_choice": {"type": "function", "function": {"name": name}}}
    mode = asks.choice(body)[0]
    return found | ({"tool_choice": mode} if mode in ("auto", "none") else {})


def used(usage: Json) -> Json:
    """DashScope counts in OpenAI's two manners at once, and not every model tells the details."""
    usage = reports.numbers(usage)
    before = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    after = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
    written = before.get("cache_creation_input_tokens")
    long = (before.get("cache_creation") or {}).get("ephemeral_1h_input_tokens")
    found = shapes.usage(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        cached=before.get("cached_tokens"),
        cache_write=written or None,
        cache_write_1h=min(long or 0, written or 0) or None,
        reasoning=after.get("reasoning_tokens"),
    )
    return found | {"plugins": usage["plugins"]} if usage.get("plugins") else found


def text(content: Any) -> str:
    """Content is text, or a list of parts of the multimodal service."""
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or ())


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    troubled(answer, reply.status)
    output = answer["output"]
    choices = output.get("choices") or [{"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}]
    told = [_choice(choice, number, call) for number, choice in enumerate(choices)]
    found = shapes.completion(call, {}, "stop", used(answer.get("usage") or {}), id=answer.get("request_id") or "")
    return found | {"choices": told}


def _choice(choice: Json, number: int, call: Call) -> Json:
    told = choice["message"]
    message: Json = {"role": "assistant", "content": text(told.get("content"))}
    if told.get("reasoning_content"):
        message["reasoning_content"] = told["reasoning_content"]
    if calls := told.get("tool_calls"):
        named = [
            (tool.get("id") or f"call_{call.id}_{at}", tool["function"]["name"], tool["function"].get("arguments") or "{}")
            for at, tool in enumerate(calls)
        ]
        message |= {"content": message["content"] or None, "tool_calls": [shapes.tool_call(*tool) for tool in named]}
    reason = endings.finish(FINISH, choice.get("finish_reason"), called=bool(calls), usable=endings.usable(message))
    return {"index": number, "message": message, "logprobs": choice.get("logprobs"), "finish_reason": reason}


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    id, calls = "", pieces.ToolCalls()
    usage: Json = {}
    reasons: dict[int, str] = {}
    said: set[int] = set()  # numbers of the choices that hold something usable
    for event in events:
        piece = event.data
        if event.name == "error":
            raise pieces.refusal(media.CODES, piece.get("code"), piece.get("message"))
        troubled(piece)
        if not id:
            id = piece.get("request_id") or f"chatcmpl-{call.id}"
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        usage = reports.gather(call, usage, piece.get("usage"), used)
        for number, choice in enumerate(piece["output"].get("choices") or ()):
            at = choice.get("index", number)
            reasons.setdefault(at, "")
            marks = choice.get("logprobs")
            told = list(deltas(choice.get("message") or {}, calls, f"call_{id}"))
            for delta in told or ([{}] if marks else []):
                said |= {at} if endings.usable(delta) else set()
                yield _at(at, shapes.chunk(call, delta, id=id), marks)
                marks = None
            if choice.get("finish_reason") not in (None, "", "null"):
                reasons[at] = choice["finish_reason"]
    if not reasons or "" in reasons.values():
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    for at, reason in reasons.items():
        ended = endings.finish(FINISH, reason, called=bool(calls), usable=at in said)
        yield _at(at, shapes.chunk(call, {}, ended, id=id))
    yield shapes.usage_chunk(call, used(usage), id=id)


def _at(number: int, chunk: Json, logprobs: Json | None = None) -> Json:
    """The chunk as one of choice `number`, when several answers were asked for."""
    chunk["choices"][0] |= {"index": number, "logprobs": logprobs}
    return chunk


def deltas(told: Json, calls: pieces.ToolCalls, name: str) -> Iterator[Json]:
    if told.get("reasoning_content"):
        yield {"reasoning_content": told["reasoning_content"]}
    if said := text(told.get("content")):
        yield {"content": said}
    for tool in told.get("tool_calls") or ():
        function = tool.get("function") or {}
        key = tool.get("index", tool.get("id") or None)
        id = tool.get("id") or f"{name}_{key}"
        yield from calls.deltas(key, id, function.get("name") or "", function.get("arguments") or "")


VENDORS = (
    Vendor(
        17, "dashscope", "Alibaba DashScope", "https://dashscope.aliyuncs.com",
        {**media.PROTOCOLS, "chat": Protocol(build, parse, stream, fail=fail)}, sign=pieces.at_home(), fields=FIELDS,
        compatible=COMPATIBLE, prefer_compatible=True, model_list=MODELS, owned_by="ali", voice="Cherry",
        documents="https://help.aliyun.com/en/model-studio/qwen-api-via-dashscope",
    ),
)  # fmt: skip
