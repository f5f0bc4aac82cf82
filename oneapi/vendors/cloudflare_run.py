"""Cloudflare Workers AI's own `run`, which serves models of every kind, and the errors of its envelope. No row lives here.

https://developers.cloudflare.com/api/resources/ai/methods/run/
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from oneapi.vendors import asks, endings, openai, pieces, reports, shapes
from oneapi.vendors.contract import CODE_KINDS, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# https://developers.cloudflare.com/workers-ai/platform/errors/ and, from 7000 on, the API's own
CODES = {
    "3003": "bad_request", "3006": "too_long", "3007": "timeout", "3008": "timeout", "3023": "auth", "3036": "quota",
    "3039": "bad_request", "3040": "overloaded", "3041": "auth", "3042": "no_model", "5004": "bad_request",
    "5005": "bad_request", "5006": "bad_request", "5007": "no_model", "5016": "auth", "5018": "auth", "5019": "bad_request",
    "7000": "no_model", "7003": "auth", "9109": "auth", "10000": "auth", "10001": "auth",
}  # fmt: skip
PASSED = (
    "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "repetition_penalty", "tools",
    "response_format", "raw", "lora",
)  # fmt: skip
TEXTS = 100  # that may be embedded at once
DRAWN = ("prompt", "negative_prompt", "steps", "num_steps", "guidance", "seed", "strength")


def prefix(call: Call) -> str:
    """Where the account's models live: under the API, or behind a gateway whose address is the base URL."""
    if call.base_url.startswith(openai.GATEWAY):
        return call.base_url
    if not (account := call.config.get("user_id")):
        raise VendorError("bad_request", "This channel has no account ID.")
    return f"{call.base_url}/client/v4/accounts/{account}/ai"


def run(call: Call, body: Json) -> Request:
    where = prefix(call)
    return Request(f"{where}/{call.model}" if where.startswith(openai.GATEWAY) else f"{where}/run/{call.model}", body)


def build_text(call: Call) -> Request:
    """Chat with messages or a legacy completion with a prompt."""
    body = call.body
    out: Json = {"messages": [message(turn) for turn in body["messages"]]} if call.kind == "chat" else {"prompt": body["prompt"]}
    out |= {name: body[name] for name in PASSED if body.get(name) is not None}
    if (limit := shapes.max_tokens(body)) is not None:
        out["max_tokens"] = limit
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": schema}}:  # the schema itself, without name and wrapping
            out["response_format"] = {"type": "json_schema", "json_schema": schema}
    return run(call, out | ({"stream": True} if call.streaming else {}))


def message(turn: Json) -> Json:
    """Content must be there, if only empty, and nobody knows developers."""
    role = "system" if turn["role"] == "developer" else turn["role"]
    return turn | {"role": role, "content": "" if turn.get("content") is None else turn["content"]}


def result(reply: Reply) -> Any:
    """What the envelope holds; raises what it says is wrong."""
    answer = reply.json()
    if answer.get("success") is False or answer.get("errors"):
        raise fail_with(answer, reply, "server")
    return answer["result"]


FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls"}


def finish(reason: Any, calls: list[Json], text: bool) -> str:
    return endings.finish(FINISH, reason, called=bool(calls), usable=bool(calls) or text)


RESPONSE = re.compile(r'(?<!\\)"response"\s*:\s*')


def words(told: Json, source: str) -> str:
    """The text of an answer or event. Tokens that look like JSON, such as 1.50 or true, stand there unquoted: as spelled."""
    text = told.get("response")
    if isinstance(text, str):
        return text
    found = RESPONSE.search(source)
    if text is None and (found is None or told.keys() - {"response", "p"}):  # null among other fields is no text
        return ""
    if found is None:
        return asks.compact(text)
    return source[found.end() : json.JSONDecoder().raw_decode(source, found.end())[1]]


def tool_calls(told: Json, call: Call, before: int = 0) -> list[Json]:
    """Their arguments are objects, and most models give no ids."""
    found = []
    for number, made in enumerate(told.get("tool_calls") or (), before):
        function = made.get("function") or made
        given = function.get("arguments")
        text = given if isinstance(given, str) else asks.compact(given or {})
        found.append(shapes.tool_call(made.get("id") or f"call_{call.id}_{number}", function["name"], text or "{}"))
    return found


def parse_text(reply: Reply, call: Call) -> Json:
    told = result(reply)
    if "choices" in told:  # newer models answer in OpenAI's shape inside the envelope
        return openai.check(told, call)
    text = told["response"]
    if isinstance(text, dict | list):  # JSON was asked for
        text = json.dumps(text, ensure_ascii=False)
    else:
        text = words(told, reply.body.decode("utf-8", "replace"))
    if call.kind == "completions":
        said = legacy(call, text, finish(told.get("finish_reason"), [], bool(text)))
        return said | ({"usage": told["usage"]} if told.get("usage") else {})
    calls = tool_calls(told, call)
    message: Json = {"content": text or (None if calls else ""), **({"tool_calls": calls} if calls else {})}
    reason = finish(told.get("finish_reason"), calls, bool(text))
    return shapes.completion(call, message, reason, told.get("usage"))


def legacy(call: Call, text: str, finish_reason: str | None) -> Json:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
    head = {"id": f"cmpl-{call.id}", "object": "text_completion", "created": int(call.now), "model": call.asked or call.model}
    return head | {"choices": [choice]}


def stream_text(events: Iterable[Event], call: Call) -> Iterator[Json]:
    chat, used, reason, said = call.kind == "chat", None, None, False
    calls: list[Json] = []
    events = iter(events)
    first = list(islice(events, 1))
    if any(isinstance(event.data, dict) and "choices" in event.data for event in first):  # newer models stream as OpenAI does
        yield from openai.stream(chain(first, events), call)
        return
    if chat:
        yield shapes.chunk(call, {"role": "assistant", "content": ""})
    for event in chain(first, events):
        data = event.data
        if data == "[DONE]":
            break
        if data.get("errors") or data.get("error"):
            raise fail_with(data, Reply(200, {}, b""), "server")
        if data.get("usage"):
            used = reports.note(call, data["usage"])
        reason, text = data.get("finish_reason") or reason, words(data, getattr(data, "source", ""))
        said = said or bool(text)
        if text:
            yield shapes.chunk(call, {"content": text}) if chat else legacy(call, text, None)
        for made in tool_calls(data, call, len(calls)):
            calls.append(made)
            yield shapes.chunk(call, {"tool_calls": [{"index": len(calls) - 1, **made}]})
    else:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    ended = finish(reason, calls, said)
    yield shapes.chunk(call, {}, ended) if chat else legacy(call, "", ended)
    yield (
        shapes.usage_chunk(call, used or shapes.usage())
        if chat
        else legacy(call, "", None) | {"choices": [], "usage": used or {}}
    )


def build_embeddings(call: Call) -> Request:
    return run(call, {"text": pieces.next_inputs(call, TEXTS)})


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    told = result(reply)
    return pieces.gathered(call, told["data"], (told.get("usage") or {}).get("prompt_tokens") or 0) or build_embeddings(call)


def build_image(call: Call) -> Request:
    """https://developers.cloudflare.com/workers-ai/models/flux-1-schnell/"""
    body = call.body
    if (body.get("n") or 1) != 1:
        raise VendorError("bad_request", "This vendor draws one image at a time: ask with n = 1.")
    out = {name: body[name] for name in DRAWN if body.get(name) is not None}
    width, _, height = str(body.get("size") or "").partition("x")
    if width.isdecimal() and height.isdecimal():
        out |= {"width": int(width), "height": int(height)}
    return run(call, out)


def parse_image(reply: Reply, call: Call) -> Json:
    """Some models answer with the image itself, others with its text in the envelope. There is never an address."""
    data = base64.b64encode(reply.body).decode() if reply.content_type.startswith("image/") else result(reply)["image"]
    return {"created": int(call.now), "data": [{"b64_json": data}]}


def build_rerank(call: Call) -> Request:
    """https://developers.cloudflare.com/workers-ai/models/bge-reranker-base/"""
    texts = [{"text": pieces.ranked_text(item)} for item in call.body["documents"]]
    top = {"top_k": call.body["top_n"]} if call.body.get("top_n") else {}
    return run(call, {"query": call.body["query"], "contexts": texts, **top})


def parse_rerank(reply: Reply, call: Call) -> Json:
    told = result(reply)
    return pieces.ranking(call, ((row["id"], row["score"]) for row in told["response"]), told.get("usage") or shapes.usage())


def fail_with(answer: Any, reply: Reply, otherwise: str = "") -> VendorError:
    """The first of the envelope's errors, or an error in OpenAI's shape."""
    listed = answer.get("errors") if isinstance(answer, dict) else None
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else None
    told = Reply(reply.status, reply.headers, json.dumps({"error": first} if first else answer).encode())
    found = failure(told, Call("chat", {}, "", "", ""), CODE_KINDS | CODES)
    if otherwise and found.code not in CODES:
        found.kind = otherwise
    return found


def fail(reply: Reply, call: Call) -> VendorError:
    try:
        return fail_with(reply.json(), reply)
    except ValueError:
        return failure(reply, call)
