"""Cohere's v2 API: chat with tools, citations and thinking, embeddings, and rerank."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, cohere_request, cohere_texts, endings, logprobs, openai, reports, shapes
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import ModelList, Protocol, Vendor, failure
from oneapi.vendors.quirks import adapted, at_most, reshaped, system_role
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
BROKEN = {"ERROR": "server", "TIMEOUT": "timeout"}
PASSED = (
    "seed", "logprobs", "documents", "citation_options", "safety_mode", "thinking", "priority", "strict_tools", "k", "p",
)  # fmt: skip
STATUSES = {498: "content_filter"}  # blocked input or output, https://docs.cohere.com/reference/errors


def build(call: Call) -> Request:
    """https://docs.cohere.com/reference/chat"""
    body = call.body
    out: Json = {"model": cohere_texts.model_name(call), "messages": cohere_request.messages(body), "stream": call.streaming}
    out |= {name: body[name] for name in PASSED if body.get(name) is not None} | cohere_request.asked(body)
    if "thinking" not in out and (thought := cohere_request.thinking(body)):
        out["thinking"] = thought
    wants_json, named = asks.json_mode(body)
    if wants_json:
        out["response_format"] = {"type": "json_object"} | ({"json_schema": named["schema"]} if named else {})
    return Request(call.base_url + "/v2/chat", out)


def used(report: Json | None) -> Json:
    """Tokens are what was read and written; billed units leave out what the vendor added itself."""
    report = reports.numbers(report)
    tokens = report.get("tokens") or report.get("billed_units") or {}
    cached = report.get("cached_tokens")
    return shapes.usage(
        int(tokens.get("input_tokens") or 0),
        int(tokens.get("output_tokens") or 0),
        cached=None if cached is None else int(cached),
    )


def finish(reason: Any, called: bool, said: bool, error: str | None = None) -> str:
    if reason in BROKEN:
        raise VendorError(BROKEN[reason], error or f"The vendor stopped with {reason}.", status=200, code=reason)
    return endings.finish(FINISH, reason, called=called, usable=called or said, message=error)


def tokens(told: Json | list[Json] | None) -> list[Json]:
    """Return log probabilities in OpenAI's form. Cohere tells them per piece of text, whose tokens share one entry.

    https://docs.cohere.com/reference/chat#response.body.logprobs
    """
    listed = told if isinstance(told, list) else [told] if told else []
    return [logprobs.token(item.get("text") or "", sum(item["logprobs"])) for item in listed if item.get("logprobs")]


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    said = answer["message"]
    parts = said.get("content") or []
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    thought = "".join(part["thinking"] for part in parts if part["type"] == "thinking") or said.get("tool_plan")
    calls = said.get("tool_calls")
    reason = finish(answer["finish_reason"], bool(calls), bool(text))
    out: Json = {"content": None if calls and not text else text}
    if thought:
        out["reasoning_content"] = thought
    if calls:
        out["tool_calls"] = [tool_call(made, call, number) for number, made in enumerate(calls)]
    if said.get("citations"):
        out["citations"] = said["citations"]
    found = shapes.completion(call, out, reason, used(answer.get("usage")), id=f"chatcmpl-{answer.get('id') or call.id}")
    logprobs.marked(found["choices"][0], tokens(answer.get("logprobs")))
    return found


def tool_call(made: Json, call: Call, number: int) -> Json:
    id = made.get("id") or f"call_{call.id}_{number}"
    return shapes.tool_call(id, made["function"]["name"], made["function"].get("arguments") or "{}")


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """https://docs.cohere.com/docs/streaming"""
    made, silent = -1, False  # tool calls so far; whether the last of them has no arguments yet
    said = False

    def arguments(text: str) -> Json:
        return shapes.chunk(call, {"tool_calls": [{"index": made, "function": {"arguments": text}}]})

    for data in shapes.objects(events):
        if report := (data.get("delta") or {}).get("usage"):
            reports.note(call, used(report))
        match data:
            case {"type": "message-start"}:
                yield shapes.chunk(call, {"role": "assistant", "content": ""})
            case {"type": "content-start" | "content-delta", "delta": {"message": {"content": {"thinking": str(text)}}}} if text:
                yield shapes.chunk(call, {"reasoning_content": text})
            case {"type": "content-start" | "content-delta", "delta": {"message": {"content": {"text": str(text)}}}} if text:
                said, chunk = True, shapes.chunk(call, {"content": text})
                marks = data.get("logprobs")
                logprobs.marked(chunk["choices"][0], tokens(marks | {"text": text} if isinstance(marks, dict) else marks))
                yield chunk
            case {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}}:
                yield shapes.chunk(call, {"reasoning_content": text})
            case {"type": "tool-call-start", "delta": {"message": {"tool_calls": {"function": function} as tool}}}:
                made, silent = made + 1, not function.get("arguments")
                whole = tool_call(tool, call, made)
                yield shapes.chunk(call, {"tool_calls": [shapes.tool_call(whole["id"], function["name"], "", index=made)]})
                if not silent:
                    yield arguments(function["arguments"])
            case {"type": "tool-call-delta", "delta": {"message": {"tool_calls": {"function": {"arguments": str(text)}}}}}:
                silent = silent and not text
                yield arguments(text)
            case {"type": "tool-call-end"} if silent:
                silent = False
                yield arguments("{}")
            case {"type": "citation-start", "delta": {"message": {"citations": citation}}}:
                yield shapes.chunk(call, {"citations": citation if isinstance(citation, list) else [citation]})
            case {"type": "message-end", "delta": {"finish_reason": reason} as delta}:
                yield shapes.chunk(call, {}, finish(reason, made >= 0, said, delta.get("error")))
                yield shapes.usage_chunk(call, used(delta.get("usage")))
                return
            case {"type": str()}:
                pass
            case _:
                raise VendorError("server", str(data.get("message") or "The vendor sent an event without a type."), status=200)
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def fail(reply: Reply, call: Call) -> VendorError:
    error = failure(reply, call)
    error.kind = STATUSES.get(reply.status, error.kind)
    if error.kind == "bad_request" and "too many tokens" in error.message:
        error.kind = "too_long"
    return error


def models(call: Call) -> Request:
    after = f"&page_token={call.memo['after']}" if call.memo.get("after") else ""
    return Request(f"{call.base_url}/v1/models?page_size=1000{after}", method="GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    if reply.status >= 400:
        raise failure(reply, call)
    page, found = reply.json(), call.memo.setdefault("models", [])
    found += [model["name"] for model in page["models"]]
    call.memo["after"] = page.get("next_page_token")
    return models(call) if call.memo["after"] else list(found)


COMPATIBLE = {"chat": "/compatibility/v1/chat/completions", "embeddings": "/compatibility/v1/embeddings"}
# Cohere's bounds are narrower than OpenAI's at either address.
BOUNDS = [at_most(name, 1) for name in ("temperature", "frequency_penalty", "presence_penalty")] + [at_most("top_p", 0.99)]
LIKE_OPENAI = {
    "chat": adapted(body=reshaped(system_role, *BOUNDS), fail=fail),
    "embeddings": batched(Protocol(openai.build, openai.parse, native=True, fail=fail), cohere_texts.TEXTS),
}
EMBED = Protocol(cohere_texts.build_embeddings, cohere_texts.parse_embeddings, fail=fail)
RERANK = Protocol(cohere_texts.build_rerank, cohere_texts.parse_rerank, fail=fail)
VENDORS = (
    Vendor(
        35, "cohere", "Cohere", "https://api.cohere.com",
        protocols={"chat": Protocol(build, parse, stream, fail=fail), "embeddings": EMBED, "rerank": RERANK},
        compatible=Vendor(
            35, "cohere-openai", "Cohere (OpenAI)", "https://api.cohere.com", paths=COMPATIBLE, owned_by="cohere",
            protocols=LIKE_OPENAI | {"rerank": RERANK},
            model_list=ModelList(models, names), documents="https://docs.cohere.com/docs/compatibility-api",
        ),
        model_list=ModelList(models, names), owned_by="cohere", documents="https://docs.cohere.com/reference/chat",
    ),
)  # fmt: skip
