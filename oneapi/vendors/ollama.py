"""Ollama's own protocol: chat as NDJSON with thinking, tools and images, embeddings, and the models a server has pulled."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, endings, logprobs, openai, pieces, quirks, reports, shapes, typed
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
FINISH = {"stop": "stop", "length": "length"}  # load and unload answer a request that asked nothing of the model


def build(call: Call) -> Request:
    """https://docs.ollama.com/api/chat"""
    body = call.body
    out: Json = {"model": call.model, "messages": messages(body["messages"]), "stream": call.streaming}
    out |= {name: body[name] for name in PASSED if body.get(name) is not None}
    if "think" not in out and (effort := asks.effort(body)) in EFFORT:
        out["think"] = EFFORT[effort]
    wants_json, named = asks.json_mode(body)
    if wants_json:
        out["format"] = named["schema"] if named else "json"
    if offered := tools(body):
        out["tools"] = offered
    if found := options(body):
        out["options"] = found
    return Request(call.base_url + "/api/chat", out)


def tools(body: Json) -> list[Json]:
    """There is no way to require a call: who wants one tool is offered only that one, who wants none is offered none."""
    mode, name = asks.choice(body)
    offered = [] if mode == "none" else asks.tools(body)
    return [tool for tool in offered if tool["function"]["name"] == name] if name else offered


def options(body: Json) -> Json:
    found = {ours: body[theirs] for theirs, ours in OPTIONS.items() if body.get(theirs) is not None}
    if (limit := shapes.max_tokens(body)) is not None:
        found["num_predict"] = limit
    if stop := shapes.stop_list(body):
        found["stop"] = stop
    return found | typed.object_of(body, "options")


def messages(turns: list[Json]) -> list[Json]:
    names: dict[str, str] = {}  # tool call → function: results are told by the function's name
    return [message(turn, names) for turn in asks.modern(turns)]


def message(turn: Json, names: dict[str, str]) -> Json:
    role, parts = turn["role"], asks.parts(turn.get("content"))
    text = "\n".join(words(part) for part in parts if part["type"] != "image_url")
    out: Json = {"role": "system" if role == "developer" else role, "content": text}
    if images := [asks.data_url(asks.image_url(part))[1] for part in parts if part["type"] == "image_url"]:
        out["images"] = images  # the base64 texts alone
    if role == "tool":
        id = turn.get("tool_call_id", "")
        out |= {"tool_name": names.get(id, turn.get("name", "")), "tool_call_id": id}
    if turn.get("reasoning_content"):
        out["thinking"] = turn["reasoning_content"]
    if calls := turn.get("tool_calls"):
        names.update({call["id"]: call["function"]["name"] for call in calls})
        out["tool_calls"] = [{"function": {"name": c["function"]["name"], "arguments": asks.arguments(c)}} for c in calls]
    return out


def words(part: Json) -> str:
    if part["type"] not in ("text", "refusal"):
        raise asks.unsupported(part)
    return str(part.get("text") or part.get("refusal"))


def tool_call(call: Call, made: Json, number: int) -> Json:
    """Older servers give a tool call no id."""
    given = made["function"].get("arguments")
    arguments = given if isinstance(given, str) and given else asks.compact(given or {})
    return shapes.tool_call(made.get("id") or f"call_{call.id}_{number}", made["function"]["name"], arguments)


def tokens(told: list[Json] | None) -> list[Json]:
    """Return log probabilities in OpenAI's form; the server leaves out bytes of tokens without text."""

    def entry(each: Json) -> Json:
        found = logprobs.alternative(each.get("token") or "", each.get("logprob"))
        return found | ({"bytes": each["bytes"]} if each.get("bytes") else {})

    return [entry(each) | {"top_logprobs": [entry(other) for other in each.get("top_logprobs") or ()]} for each in told or ()]


def used(answer: Json) -> Json:
    answer = reports.numbers(answer)
    return shapes.usage(answer.get("prompt_eval_count") or 0, answer.get("eval_count") or 0)


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise broken(answer)
    said = answer.get("message")
    if not isinstance(said, dict):
        raise VendorError("garbled", "The provider's answer has no message.", status=reply.status)
    calls = [tool_call(call, made, number) for number, made in enumerate(said.get("tool_calls") or ())]
    text: str | None = said.get("content") or ""
    out: Json = {"content": None if calls and not text else text}
    if said.get("thinking"):
        out["reasoning_content"] = said["thinking"]
    if calls:
        out["tool_calls"] = calls
    reason = endings.finish(FINISH, answer.get("done_reason"), called=bool(calls), usable=endings.usable(out))
    found = shapes.completion(call, out, reason, used(answer))
    logprobs.marked(found["choices"][0], tokens(answer.get("logprobs")))
    return found


def broken(answer: Json) -> VendorError:
    """An error after the headers were sent has no status of its own."""
    return VendorError("server", str(answer["error"]), status=200)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    made, spoken = 0, False
    for data in shapes.objects(events):
        if data.get("error"):
            raise broken(data)
        if data.get("prompt_eval_count"):
            reports.note(call, used(data))
        said, marks = data.get("message") or {}, tokens(data.get("logprobs"))
        if said.get("thinking"):
            yield shapes.chunk(call, {"reasoning_content": said["thinking"]})
        if said.get("content") or marks:
            spoken = True
            chunk = shapes.chunk(call, {"content": said.get("content") or ""})
            logprobs.marked(chunk["choices"][0], marks)
            yield chunk
        for called in said.get("tool_calls") or ():
            whole = tool_call(call, called, made)
            yield shapes.chunk(call, {"tool_calls": [shapes.tool_call(whole["id"], whole["function"]["name"], "", index=made)]})
            yield shapes.chunk(call, {"tool_calls": [{"index": made, "function": {"arguments": whole["function"]["arguments"]}}]})
            made += 1
        if data.get("done"):
            reason = endings.finish(FINISH, data.get("done_reason"), called=made > 0, usable=made > 0 or spoken)
            yield shapes.chunk(call, {}, reason)
            yield shapes.usage_chunk(call, used(data))
            return
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def build_embeddings(call: Call) -> Request:
    """https://docs.ollama.com/api/embed"""
    body = call.body
    out = {"model": call.model, "input": asks.inputs(body)}
    out |= {name: body[name] for name in ("dimensions", "truncate", "options", "keep_alive") if body.get(name) is not None}
    return Request(call.base_url + "/api/embed", out)


def parse_embeddings(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise broken(answer)
    return pieces.embeddings(call, answer["embeddings"], shapes.usage(answer.get("prompt_eval_count") or 0))


def sign(request: Request, call: Call) -> Request:
    """A server of one's own wants no key; https://ollama.com and most proxies do."""
    return bearer(request, call) if call.key else request


def names(reply: Reply, call: Call) -> list[str]:
    if reply.status >= 400:
        raise failure(reply, call)
    return [model["name"] for model in reply.json()["models"]]


PULLED = ModelList(lambda call: Request(call.base_url + "/api/tags", method="GET"), names)
# Ollama drops the messages of a role that it does not know, without a word.
LIKE_OPENAI = quirks.adapted(quirks.reasoning_name, body=quirks.reshaped(quirks.system_role, quirks.said_content))
VENDORS = (
    Vendor(
        30, "ollama", "Ollama", "http://localhost:11434",
        protocols={
            "chat": Protocol(build, parse, stream, framing="ndjson"),
            "embeddings": Protocol(build_embeddings, parse_embeddings),
            "completions": openai.OPENAI,
        },
        inline_images=True, sign=sign, self_hosted="models",
        compatible=Vendor(
            30, "ollama-openai", "Ollama (OpenAI)", "http://localhost:11434", sign=sign, inline_images=True, owned_by="ollama",
            protocols={
                "chat": LIKE_OPENAI, **dict.fromkeys(("completions", "embeddings"), openai.OPENAI),
            },
            model_list=PULLED, documents="https://docs.ollama.com/api/openai-compatibility",
        ),
        model_list=PULLED,
        owned_by="ollama", documents="https://docs.ollama.com/api",
    ),
)  # fmt: skip
