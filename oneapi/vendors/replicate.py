"""Replicate: predictions that are waited for, polled or streamed; chat for language models, images for the others."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, replicate_images, reports, shapes
from oneapi.vendors.contract import ModelList, Protocol, Vendor, failure
from oneapi.vendors.replicate_predictions import broken, create, fail, root, sign, state
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# Each owner's models call the same things by other names; "*" is everybody else.
LIMIT = {"openai": "max_completion_tokens", "google": "max_output_tokens", "*": "max_tokens"}
PICTURES = {"openai": "image_input", "google": "images", "*": "image"}
PASSED = (
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed", "min_tokens",
    "prompt_template", "reasoning_effort", "verbosity",
)  # fmt: skip
COLLECTIONS = ("language-models", "text-to-image")  # of models whose kind we know how to ask


def build(call: Call) -> Request:
    body, owner = call.body, call.model.partition("/")[0]
    if asks.tools(body) and asks.choice(body)[0] in ("required", "named"):
        raise VendorError("bad_request", "Models at this vendor call no tools.", param="tool_choice")
    system, turns = asks.conversation(body)
    given: Json = {"prompt": prompt(turns)}
    wants_json, named = asks.json_mode(body)
    told = [asks.system_text(system), asks.json_instruction(named) if wants_json else ""]
    if any(told):
        given["system_prompt"] = "\n\n".join(text for text in told if text)
    if (limit := shapes.max_tokens(body)) is not None:
        given[LIMIT.get(owner, LIMIT["*"])] = limit
    given |= {name: body[name] for name in PASSED if body.get(name) is not None}
    if stop := shapes.stop_list(body):
        given["stop_sequences"] = ",".join(stop)
    return create(call, given | pictures(turns, owner))


def prompt(turns: list[Json]) -> str:
    """One question as it stands; a conversation as a transcript that the model continues."""
    texts = [words(turn) for turn in turns]
    if len(turns) == 1:
        return texts[0]
    said = [f"{turn['role'].capitalize()}: {text}" for turn, text in zip(turns, texts, strict=True)]
    return "\n\n".join([*said, "Assistant:"])


def words(turn: Json) -> str:
    """What was said, and as words which tools were called: predictions know no tools."""
    parts = [part for part in asks.parts(turn.get("content")) if part["type"] != "image_url"]
    if odd := next((part for part in parts if part["type"] not in ("text", "refusal")), None):
        raise asks.unsupported(odd)
    calls = [f"{call['function']['name']}({call['function'].get('arguments') or '{}'})" for call in turn.get("tool_calls") or ()]
    return "\n".join([*(part.get("text") or part.get("refusal") or "" for part in parts), *calls])


def pictures(turns: list[Json], owner: str) -> Json:
    parts = [part for turn in turns for part in asks.parts(turn.get("content"))]
    found, name = [asks.image_url(part) for part in parts if part["type"] == "image_url"], PICTURES.get(owner, PICTURES["*"])
    if not found:
        return {}
    if name != "image":
        return {name: found}
    if len(found) > 1:
        raise VendorError("bad_request", "This model looks at one image at a time.")
    return {name: found[0]}


def parse(reply: Reply, call: Call) -> Json | Request:
    if call.streaming and (url := (reply.json().get("urls") or {}).get("stream")):
        return Request(url, None, {"Accept": "text/event-stream", "Cache-Control": "no-store"}, "GET", framing="sse_text")
    told = state(reply, call)
    if isinstance(told, Request):
        return told
    output, counts = told["output"], reports.numbers(told.get("metrics"))
    if output is None:
        raise VendorError("server", "The prediction succeeded without an output.", status=200)
    listed = output if isinstance(output, list) else [output]
    text = "".join(each if isinstance(each, str) else asks.compact(each) for each in listed)
    used = shapes.usage(counts.get("input_token_count") or 0, counts.get("output_token_count") or 0)
    return shapes.completion(call, {"content": text}, "stop", used, id=f"chatcmpl-{told.get('id') or call.id}")


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """Words as plain text. https://replicate.com/docs/topics/predictions/streaming"""
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    for event in events:
        match event.name:
            case "output":
                if event.data:
                    yield shapes.chunk(call, {"content": event.data})
            case "error":
                raise broken(decoded(event.data).get("detail") or event.data)
            case "done":
                if reason := decoded(event.data or "{}").get("reason"):
                    raise VendorError("server", f"The prediction ended with {reason}.", status=200, code=reason)
                yield shapes.chunk(call, {}, "stop")
                yield shapes.usage_chunk(call, shapes.usage())  # never told: the meter counts
                return
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def decoded(data: Any) -> Json:
    return data if isinstance(data, dict) else json.loads(data)


def models(call: Call) -> Request:
    """The public collections of the two kinds; a model of one's own is known by its name."""
    return Request(f"{root(call)}/v1/collections/{COLLECTIONS[call.memo.get('page', 0)]}", method="GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    if reply.status >= 400:
        raise failure(reply, call, {})
    found = call.memo.setdefault("models", [])
    found += [f"{model['owner']}/{model['name']}" for model in reply.json()["models"]]
    call.memo["page"] = call.memo.get("page", 0) + 1
    return models(call) if call.memo["page"] < len(COLLECTIONS) else list(found)


VENDORS = (
    Vendor(
        46, "replicate", "Replicate", "https://api.replicate.com",
        protocols={
            "chat": Protocol(build, parse, stream, fail=fail),
            "images": Protocol(replicate_images.build, replicate_images.parse, fail=fail),
        },
        sign=sign, key_label="API token", model_list=ModelList(models, names), owned_by="replicate",
        documents="https://replicate.com/docs/reference/http",
    ),
)  # fmt: skip
