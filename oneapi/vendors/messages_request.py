"""The body of Anthropic's Messages API, wherever Claude is served. No row lives here.

https://platform.claude.com/docs/en/api/messages
"""

import re
from typing import Any

from oneapi.vendors import asks, shapes, thoughts, typed
from oneapi.vendors.messages_turns import blocks_of, messages
from oneapi.wire import Call

Json = dict[str, Any]

EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 24576}
UNVERSIONED = (99, 0)  # a Claude without a number is a new one
IMITATOR = (0, 0)
VERSION = re.compile(r"claude-(?:[a-z]+-)*?v?(\d+)(?:[-.:](\d{1,2}))?(?!\d)")


def version(model: str) -> tuple[int, int]:
    """Claude's version; IMITATOR for models of others that speak this API."""
    found = VERSION.search(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return UNVERSIONED if "claude" in model else IMITATOR


def body(call: Call) -> Json:
    """The request without what only some platforms want (`model`, `stream`, `anthropic_version`)."""
    asked, model = call.body, version(call.model)
    system, turns = asks.conversation(asked)
    out: Json = {"max_tokens": shapes.max_tokens(asked) or default_limit(model), "messages": messages(turns)}
    blocks = [block for message in system for block in blocks_of(message.get("content"))]
    wants_json, named = asks.json_mode(asked)
    if wants_json and not (named and model >= (4, 1)):  # imitators may know neither way, so that they get both
        blocks.append({"type": "text", "text": asks.json_instruction(named)})
    if blocks:
        out["system"] = blocks
    if stop := [text for text in shapes.stop_list(asked) if text.strip()]:  # only blanks are refused
        out["stop_sequences"] = stop
    out |= _tools(asked, model) | _account(asked)
    if named and (model >= (4, 1) or model == IMITATOR):
        out["output_config"] = {"format": {"type": "json_schema", "schema": named["schema"]}}
    return _thoughtful(out, asked, call)


def default_limit(model: tuple[int, int]) -> int:
    """The API wants a limit always; these fit every model of the version."""
    return 32000 if model >= (3, 7) else 8192 if model >= (3, 5) else 4096


def thoughtless(model: tuple[int, int], asked: Json) -> bool:
    """Return whether the model would refuse to think in this conversation; the versions that think adaptively never do."""
    return (3, 7) <= model < (4, 6) and thoughts.interrupted(asks.conversation(asked)[1])


def unthinking(fields: Json) -> Json:
    """The fields without a wish to think."""
    return {k: v for k, v in fields.items() if k != "thinking" or v == {"type": "disabled"}}


def _thoughtful(out: Json, asked: Json, call: Call) -> Json:
    """The request with the client's own extras, thinking and sampling, which depend on each other."""
    model, own = version(call.model), asks.extras(asked)
    forced = out.get("tool_choice", {}).get("type") in ("any", "tool")
    thought = {} if "thinking" in own or forced else thinking(call.model, asked)
    if thoughtless(model, asked):
        own, thought = unthinking(own), unthinking(thought)
    wanted = typed.object_of(own, "output_config")
    thought["output_config"] = out.pop("output_config", {}) | thought.pop("output_config", {}) | wanted
    own.pop("output_config", None)
    out |= {k: v for k, v in (thought | own).items() if v != {}}
    chosen = typed.object_of(out, "thinking")
    budget = int(typed.number_of(chosen, "budget_tokens", "thinking.") or 0)
    if chosen.get("type") == "enabled" and out["max_tokens"] <= budget:
        out["max_tokens"] += budget
    return sampled(out, asked, model, call.headers.get("anthropic-version", ""))


def thinking(model: str, asked: Json) -> Json:
    """`thinking` and `output_config` for what the client said about effort; nothing said leaves the model's default.

    https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting lists what each model takes.
    """
    effort, budget, number = asks.effort(asked), asks.budget(asked), version(model)
    if not effort and not budget or number != IMITATOR and number < (3, 7):
        return {}
    if effort == "none":
        return _unthinking(model, number)
    if number >= (4, 6):
        level = EFFORTS.get(effort, "high" if effort else "medium")
        level = "high" if level == "xhigh" and number == (4, 6) else level
        return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": level}}
    return {"thinking": {"type": "enabled", "budget_tokens": max(1024, budget or BUDGETS.get(effort, 8192))}}


def _unthinking(model: str, number: tuple[int, int]) -> Json:
    """As little thinking as the model allows: before 5 it is off unless asked for, and some cannot be without."""
    if number < (5, 0):
        return {}
    if "sonnet" in model and number >= (5, 5):
        return {"thinking": {"type": "between_tools"}}
    if "haiku" in model or number == (5, 0) and ("opus" in model or "sonnet" in model):
        return {"thinking": {"type": "disabled"}}
    return {"output_config": {"effort": "low"}}


def sampled(out: Json, asked: Json, model: tuple[int, int], api: str = "") -> Json:
    """The request with temperature, top_p and top_k as far as the model and the API's version still take them."""
    top_k = out.pop("top_k", None)
    off = (out.get("thinking") or {}).get("type", "disabled") == "disabled"
    if not off or model >= (4, 7) or api >= "2026":
        return out
    temperature, top_p = asked.get("temperature"), asked.get("top_p")
    if temperature is not None:
        out["temperature"] = min(max(temperature, 0), 1)
    if top_p is not None and (temperature is None or model < (4, 1)):  # later models refuse the two together
        out["top_p"] = top_p
    return out if top_k is None else out | {"top_k": top_k}


def _account(asked: Json) -> Json:
    out: Json = {}
    metadata = asked.get("metadata")
    user = (metadata or {}).get("user_id") if isinstance(metadata, dict) else None
    if user := user or asked.get("safety_identifier") or asked.get("user"):
        out["metadata"] = {"user_id": user}
    if tier := asked.get("service_tier"):
        out["service_tier"] = "standard_only" if tier in ("default", "standard_only") else "auto"
    return out


def _tools(asked: Json, model: tuple[int, int]) -> Json:
    tools = [_tool(tool, model) for tool in asks.tools(asked)]
    if not tools:
        return {}
    mode, name = asks.choice(asked)
    kind = {"required": "any", "named": "tool", "none": "none", "auto": "auto"}.get(mode, "")
    wanted: Json = {"type": kind} if kind else {}
    if name:
        wanted["name"] = name
    if asked.get("parallel_tool_calls") is False and kind != "none":
        wanted = {"type": "auto", **wanted, "disable_parallel_tool_use": True}
    return {"tools": tools} | ({"tool_choice": wanted} if wanted else {})


def _tool(tool: Json, model: tuple[int, int]) -> Json:
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool  # one of the vendor's own: web search, computer use
    out: Json = {"name": function["name"]}
    if function.get("description"):
        out["description"] = function["description"]
    out["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
    if function.get("strict") and model >= (4, 1):
        out["strict"] = True
    cached = tool.get("cache_control") or function.get("cache_control")
    return out | ({"cache_control": cached} if cached else {})
