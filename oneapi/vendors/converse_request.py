"""The body of Bedrock's Converse, one form for the models of every family. No row lives here.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import re
from typing import Any

from oneapi.vendors import asks, messages_request, shapes
from oneapi.wire import Call, VendorError

Json = dict[str, Any]

NATIVE = (
    "guardrailConfig", "performanceConfig", "requestMetadata", "promptVariables", "additionalModelResponseFieldPaths",
    "outputConfig", "serviceTier",
)  # fmt: skip
# Families that refuse a schema for their output, so that they must be told. Claude decides by version.
# https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
UNSTRUCTURED = ("amazon.", "meta.", "cohere.", "ai21.", "writer.")
DOCUMENTS = {
    "application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt", "text/markdown": "md",
    "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip


def body(call: Call) -> Json:
    asked = call.body
    system, turns = asks.conversation(asked)
    out: Json = {"messages": messages(turns)}
    blocks = [block for message in system for block in _blocks(message.get("content"))]
    tools, forbidden = _tools(asked, turns, "claude" in call.model)
    if forbidden:
        blocks.append({"text": asks.NO_TOOLS})
    wants_json, named = asks.json_mode(asked)
    structured = named and _structured(call.model)
    if wants_json and not structured:
        blocks.append({"text": asks.json_instruction(named)})
    if blocks:
        out["system"] = blocks
    if named and structured:
        schema = {"schema": asks.compact(named["schema"])} | {k: named[k] for k in ("name", "description") if named.get(k)}
        out["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    if tools:
        out["toolConfig"] = tools
    if asked.get("service_tier") in ("default", "flex", "priority", "reserved"):
        out["serviceTier"] = {"type": asked["service_tier"]}
    out |= _inference(asked, call)
    return out | {name: asked[name] for name in NATIVE if name in asked}


def _structured(model: str) -> bool:
    if "claude" in model:
        return messages_request.version(model) >= (4, 5)
    return not any(family in model for family in UNSTRUCTURED)


def _inference(asked: Json, call: Call) -> Json:
    """Limits and sampling, and beyond Converse's own parameters whatever the model's family calls its own."""
    claude = "claude" in call.model
    own = {k: v for k, v in asks.extras(asked).items() if k not in (*NATIVE, "additionalModelRequestFields")}
    own |= asked.get("additionalModelRequestFields") or {}
    limit = shapes.max_tokens(asked)
    config: Json = {"maxTokens": limit} if limit else {}
    if claude:
        own = _claude(own, asked, call, config)
    else:
        own = _thinking(call.model, asked) | own
        names = (("temperature", "temperature"), ("top_p", "topP"))
        config |= {name: asked[key] for key, name in names if asked.get(key) is not None}
        if "nova" in call.model and "top_k" in own:  # Nova takes it in a place of its own
            own["inferenceConfig"] = {"topK": own.pop("top_k")} | own.get("inferenceConfig", {})
    if stop := [text for text in shapes.stop_list(asked) if text]:
        config["stopSequences"] = stop
    return ({"inferenceConfig": config} if config else {}) | ({"additionalModelRequestFields": own} if own else {})


def _claude(own: Json, asked: Json, call: Call, config: Json) -> Json:
    """Claude's own fields under Anthropic's names, and the sampling its version takes, put into `config`."""
    number = messages_request.version(call.model)
    mode, _ = asks.choice(asked)
    if "thinking" not in own and mode not in ("required", "named"):
        own = messages_request.thinking(call.model, asked) | own
    budget = (own.get("thinking") or {}).get("budget_tokens", 0)
    limit = config.get("maxTokens") or messages_request.default_limit(number) * bool(budget)
    if budget and limit <= budget:
        limit += budget
    if limit:
        config["maxTokens"] = limit
    own = messages_request.sampled(own, asked, number)
    config |= {name: own.pop(key) for key, name in (("temperature", "temperature"), ("top_p", "topP")) if key in own}
    if call.headers.get("anthropic-beta"):
        own["anthropic_beta"] = [beta.strip() for beta in call.headers["anthropic-beta"].split(",")]
    if asked.get("parallel_tool_calls") is False and asked.get("tools") and mode in ("", "auto", "required"):
        own["tool_choice"] = {"type": "any" if mode == "required" else "auto", "disable_parallel_tool_use": True}
    return own


def _thinking(model: str, asked: Json) -> Json:
    """How hard to think, for the families that can be told."""
    effort = asks.effort(asked)
    if not effort:
        return {}
    if "nova" in model:
        if effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        level = {"minimal": "low", "low": "low", "medium": "medium"}.get(effort, "high")
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    return {"reasoning_effort": {"none": "low", "minimal": "low"}.get(effort, effort)} if "openai." in model else {}


def _tools(asked: Json, turns: list[Json], claude: bool) -> tuple[Json, bool]:
    """toolConfig, and whether calls must be forbidden by word: a conversation with calls in it must keep its tools."""
    specs = [spec for tool in asks.tools(asked) for spec in _tool(tool)]
    mode, name = asks.choice(asked)
    called = {call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or ()}
    if not specs or mode == "none":
        known = {tool.get("toolSpec", {}).get("name") for tool in specs}
        specs += [_spec({"name": each}) for each in sorted(called - known)]
        return ({"tools": specs}, True) if called else ({}, False)
    out: Json = {"tools": specs}
    parallel = asked.get("parallel_tool_calls") is not False or not claude  # else Anthropic's own tool_choice says it all
    if mode == "named":
        out["toolChoice"] = {"tool": {"name": name}}
    elif mode in ("auto", "required") and parallel:
        out["toolChoice"] = {"any" if mode == "required" else "auto": {}}
    return out, False


def _tool(tool: Json) -> list[Json]:
    if not isinstance(tool.get("function"), dict):
        return [tool]  # the vendor's own: toolSpec, systemTool, cachePoint
    return [_spec(tool["function"]), *_cached(tool)]


def _spec(function: Json) -> Json:
    spec: Json = {"name": function["name"], **({"description": function["description"]} if function.get("description") else {})}
    spec["inputSchema"] = {"json": function.get("parameters") or {"type": "object", "properties": {}}}
    return {"toolSpec": spec | ({"strict": True} if function.get("strict") else {})}


def messages(turns: list[Json]) -> list[Json]:
    """The conversation with consecutive turns of one speaker joined, since speakers must alternate."""
    out: list[Json] = []
    for turn in turns:
        role = "assistant" if turn["role"] == "assistant" else "user"
        write = {"assistant": _said, "tool": _results}.get(turn["role"], _heard)
        blocks = write(turn)
        if out and out[-1]["role"] == role:
            out[-1]["content"] += blocks
        elif blocks:
            out.append({"role": role, "content": blocks})
    return out


def _said(turn: Json) -> list[Json]:
    blocks: list[Json] = []
    for detail in asks.reasoning(turn, messages_request.FORMAT):
        if detail.get("type") == "reasoning.encrypted":
            blocks.append({"reasoningContent": {"redactedContent": detail["data"]}})
        elif detail.get("signature"):
            text = {"text": detail.get("text") or "", "signature": detail["signature"]}
            blocks.append({"reasoningContent": {"reasoningText": text}})
    blocks += _blocks(turn.get("content"))
    for call in turn.get("tool_calls") or ():
        used = {"toolUseId": call["id"], "name": call["function"]["name"], "input": asks.arguments(call)}
        blocks += [{"toolUse": used}, *_cached(call)]
    return blocks


def _results(turn: Json) -> list[Json]:
    content = turn.get("content")
    answer = asks.result(content) if isinstance(content, str) else None
    told = [{"json": answer}] if answer is not None else [{"text": content}] if isinstance(content, str) else _blocks(content)
    result: Json = {"toolUseId": turn["tool_call_id"], "content": told}
    if turn.get("is_error"):
        result["status"] = "error"
    return [{"toolResult": result}, *_cached(turn)]


def _heard(turn: Json) -> list[Json]:
    return _blocks(turn.get("content"))


def _blocks(content: Any) -> list[Json]:
    return [block for part in asks.parts(content) for block in (_block(part), *_cached(part))]


def _cached(part: Json) -> list[Json]:
    """Anthropic's mark on a part is Bedrock's block after it."""
    mark = part.get("cache_control")
    return [{"cachePoint": {"type": "default"} | ({"ttl": mark["ttl"]} if mark.get("ttl") else {})}] if mark else []


def _block(part: Json) -> Json:
    match part.get("type"):
        case "text" | "refusal":
            return {"text": part.get("text") or part.get("refusal")}
        case "image_url":
            return _image(asks.image_url(part))
        case "file":
            return _document(*asks.file(part))
        case "input_audio":
            sound = part["input_audio"]
            return {"audio": {"format": sound.get("format", "wav"), "source": {"bytes": sound["data"]}}}
        case None:
            return part  # the vendor's own: document, video, guardContent
    raise asks.unsupported(part)


def _image(url: str) -> Json:
    if url.startswith("s3://"):
        return {"image": {"format": _format(url.rpartition(".")[2]), "source": {"s3Location": {"uri": url}}}}
    media_type, data = shapes.data_url(url)
    return {"image": {"format": _format(media_type.rpartition("/")[2]), "source": {"bytes": data}}}


def _format(name: str) -> str:
    return {"jpg": "jpeg"}.get(name.lower(), name.lower())


def _document(media_type: str, data: str, name: str) -> Json:
    if media_type.startswith("image/"):
        return {"image": {"format": _format(media_type[6:]), "source": {"bytes": data}}}
    if media_type not in DOCUMENTS:
        raise VendorError("bad_request", f"Bedrock reads no documents of type {media_type}.")
    plain = re.sub(r"\s+", " ", re.sub(r"[^A-Za-z0-9\s()\[\]-]", "-", name.rpartition(".")[0] or name)).strip()
    return {"document": {"format": DOCUMENTS[media_type], "name": plain[:200] or "document", "source": {"bytes": data}}}
