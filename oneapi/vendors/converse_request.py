"""The body of Bedrock's Converse, one form for the models of every family. No row lives here.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from typing import Any

from oneapi.vendors import asks, messages_request, shapes, typed
from oneapi.vendors.converse_turns import blocks_of, cached, messages
from oneapi.wire import Call

Json = dict[str, Any]

NATIVE = (
    "guardrailConfig", "performanceConfig", "requestMetadata", "promptVariables", "additionalModelResponseFieldPaths",
    "outputConfig", "serviceTier",
)  # fmt: skip
# Families that refuse a schema for their output, so that they must be told. Claude decides by version.
# https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
UNSTRUCTURED = ("amazon.", "meta.", "cohere.", "ai21.", "writer.")


def body(call: Call) -> Json:
    asked = call.body
    system, turns = asks.conversation(asked)
    out: Json = {"messages": messages(turns)}
    blocks = [block for message in system for block in blocks_of(message.get("content"))]
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
    own |= typed.object_of(asked, "additionalModelRequestFields")
    limit = shapes.max_tokens(asked)
    config: Json = {"maxTokens": limit} if limit else {}
    if claude:
        own = _claude(own, asked, call, config)
    else:
        own = _thinking(call.model, asked) | own
        names = (("temperature", "temperature"), ("top_p", "topP"))
        config |= {name: asked[key] for key, name in names if asked.get(key) is not None}
        if "nova" in call.model and "top_k" in own:  # Nova takes it in a place of its own
            own["inferenceConfig"] = {"topK": own.pop("top_k")} | typed.object_of(own, "inferenceConfig")
    if stop := [text for text in shapes.stop_list(asked) if (text.strip() if claude else text)]:
        config["stopSequences"] = stop
    return ({"inferenceConfig": config} if config else {}) | ({"additionalModelRequestFields": own} if own else {})


def _claude(own: Json, asked: Json, call: Call, config: Json) -> Json:
    """Claude's own fields under Anthropic's names, and the sampling its version takes, put into `config`."""
    number = messages_request.version(call.model)
    mode, _ = asks.choice(asked)
    if "thinking" not in own and mode not in ("required", "named"):
        own = messages_request.thinking(call.model, asked) | own
    if messages_request.thoughtless(number, asked):
        own = messages_request.unthinking(own)
    budget = int(typed.number_of(typed.object_of(own, "thinking"), "budget_tokens", "thinking.") or 0)
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
    return [_spec(tool["function"]), *cached(tool)]


def _spec(function: Json) -> Json:
    spec: Json = {"name": function["name"], **({"description": function["description"]} if function.get("description") else {})}
    spec["inputSchema"] = {"json": function.get("parameters") or {"type": "object", "properties": {}}}
    return {"toolSpec": spec | ({"strict": True} if function.get("strict") else {})}
