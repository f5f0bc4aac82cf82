"""Ollama's own protocol: chat as NDJSON with thinking, tools and images, embeddings, and the models a server has pulled."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import openai, shapes
from oneapi.vendors.contract import ModelList, Protocol, Vendor, bearer, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# Parameter → Ollama's option. https://docs.ollama.com/modelfile#valid-parameters-and-values
OPTIONS = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p", "seed": "seed", "num_ctx": "num_ctx",
    "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty", "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
}  # fmt: skip
PASSED = ("keep_alive", "think", "logprobs", "top_logprobs")
EFFORT = {"none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max"}
FINISH = {"length": "length"}  # stop, load and unload are all a normal end


def build(call: Call) -> Request:
    """https://docs.ollama.com/api/chat"""
    body = call.body
    out: Json = {"model": call.model, "messages": messages(body["messages"]), "stream": call.streaming}
    out |= {name: body[name] for name in PASSED if body.get(name) is not None}
    if "think" not in out and body.get("reasoning_effort") in EFFORT:
        out["think"] = EFFORT[body["reasoning_effort"]]
    if (form := response_format(body.get("response_format"))) is not None:
        out["format"] = form
    if body.get("tools") and body.get("tool_choice") != "none":  # there is no way to require one
        out["tools"] = body["tools"]
    if found := options(body):
        out["options"] = found
    return Request(call.base_url + "/api/chat", out)


def options(body: Json) -> Json:
    found = {ours: body[theirs] for theirs, ours in OPTIONS.items() if body.get(theirs) is not None}
    if (limit := shapes.max_tokens(body)) is not None:
        found["num_predict"] = limit
    if stop := shapes.stop_list(body):
        found["stop"] = stop
    return found | (body.get("options") or {})


def response_format(wanted: Json | None) -> Any:
    match wanted:
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
    return None


def messages(turns: list[Json]) -> list[Json]:
    names: dict[str, str] = {}  # tool call → function: results are told by the function's name
    return [message(turn, names) for turn in turns]


def message(turn: Json, names: dict[str, str]) -> Json:
    role, content = turn["role"], turn.get("content")
    out: Json = {"role": "system" if role == "developer" else role, "content": shapes.text_of(content)}
    if (
        images := [image(part["image_url"]) for part in content if part.get("type") == "image_url"]
        if isinstance(content, list)
        else []
    ):
        out["images"] = images
    if role == "tool":
        out |= {
            "tool_name": names.get(turn.get("tool_call_id", ""), turn.get("name", "")),
            "tool_call_id": turn.get("tool_call_id", ""),
        }
    if turn.get("reasoning_content"):
        out["thinking"] = turn["reasoning_content"]
    if calls := turn.get("tool_calls"):
        names.update({call["id"]: call["function"]["name"] for call in calls})
        out["tool_calls"] = [{"function": function(call["function"])} for call in calls]
    return out


def image(value: Json | str) -> str:
    """The base64 text alone."""
    return shapes.data_url(value if isinstance(value, str) else value["url"])[1]


def function(called: Json) -> Json:
    """Ollama wants the arguments as an object, not as its text."""
    return {"name": called["name"], "arguments": json.loads(called.get("arguments") or "{}")}


def tool_call(call: Call, made: Json, number: int) -> Json:
    """Older servers give a tool call no id."""
    arguments = json.dumps(made["function"].get("arguments") or {}, ensure_ascii=False, separators=(",", ":"))
    return shapes.tool_call(made.get("id") or f"call_{call.id}_{number}", made["function"]["name"], arguments)


def used(answer: Json) -> Json:
    return shapes.usage(answer.get("prompt_eval_count") or 0, answer.get("eval_count") or 0)


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise broken(answer)
    said = answer["message"]
    calls = [tool_call(call, made, number) for number, made in enumerate(said.get("tool_calls") or ())]
    text: str | None = said.get("content") or ""
    out: Json = {"content": None if calls and not text else text}
    if said.get("thinking"):
        out["reasoning_content"] = said["thinking"]
    if calls:
        out["tool_calls"] = calls
    return shapes.completion(call, out, finish(answer, bool(calls)), used(answer))


def finish(answer: Json, called: bool) -> str:
    return "tool_calls" if called else FINISH.get(answer.get("done_reason") or "", "stop")


def broken(answer: Json) -> VendorError:
    """An error after the headers were sent has no status of its own."""
    return VendorError("server", str(answer["error"]), status=200)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    made = 0
    for data in shapes.objects(events):
        if data.get("error"):
            raise broken(data)
        said = data["message"]
        for name, ours in (("thinking", "reasoning_content"), ("content", "content")):
            if said.get(name):
                yield shapes.chunk(call, {ours: said[name]})
        for called in said.get("tool_calls") or ():
            whole = tool_call(call, called, made)
            yield shapes.chunk(call, {"tool_calls": [shapes.tool_call(whole["id"], whole["function"]["name"], "", index=made)]})
            yield shapes.chunk(call, {"tool_calls": [{"index": made, "function": {"arguments": whole["function"]["arguments"]}}]})
            made += 1
        if data.get("done"):
            yield shapes.chunk(call, {}, finish(data, made > 0))
            yield shapes.usage_chunk(call, used(data))
            return
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def build_embeddings(call: Call) -> Request:
    """https://docs.ollama.com/api/embed"""
    body, given = call.body, call.body["input"]
    if not isinstance(given, str) and not all(isinstance(text, str) for text in given):
        raise VendorError("bad_request", "This vendor embeds texts only: give input as a string or a list of strings.")
    out = {"model": call.model, "input": [given] if isinstance(given, str) else given}
    out |= {name: body[name] for name in ("dimensions", "truncate", "options", "keep_alive") if body.get(name) is not None}
    return Request(call.base_url + "/api/embed", out)


def parse_embeddings(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise broken(answer)
    return shapes.embeddings(call, answer["embeddings"], shapes.usage(answer.get("prompt_eval_count") or 0))


def sign(request: Request, call: Call) -> Request:
    """A server of one's own wants no key; https://ollama.com and most proxies do."""
    return bearer(request, call) if call.key else request


def names(reply: Reply, call: Call) -> list[str]:
    if reply.status >= 400:
        raise failure(reply, call)
    return [model["name"] for model in reply.json()["models"]]


VENDORS = (
    Vendor(
        30, "ollama", "Ollama", "http://localhost:11434",
        protocols={
            "chat": Protocol(build, parse, stream, framing="ndjson"),
            "embeddings": Protocol(build_embeddings, parse_embeddings),
            "completions": openai.OPENAI,
        },
        inline_images=True, sign=sign,
        compatible=Vendor(
            30, "ollama-openai", "Ollama (OpenAI)", "http://localhost:11434", sign=sign, inline_images=True, owned_by="ollama",
            protocols=dict.fromkeys(("chat", "completions", "embeddings"), openai.OPENAI),
            documents="https://docs.ollama.com/api/openai-compatibility",
        ),
        model_list=ModelList(lambda call: Request(call.base_url + "/api/tags", method="GET"), names),
        owned_by="ollama", documents="https://docs.ollama.com/api",
    ),
)  # fmt: skip
