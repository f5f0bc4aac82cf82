"""What a client asks, in the words of Cohere's v2 chat. No row lives here.

https://docs.cohere.com/reference/chat
"""

from typing import Any

from oneapi.vendors import asks, pieces, shapes, typed

Json = dict[str, Any]

CHOICES = {"required": "REQUIRED", "none": "NONE"}
BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192}  # tokens of thinking; the higher efforts have no limit


def thinking(body: Json) -> Json:
    effort, budget = asks.effort(body), asks.budget(body)
    if effort == "none":
        return {"type": "disabled"}
    tokens = BUDGETS.get(effort) if budget is None else budget
    return {"type": "enabled"} | ({"token_budget": tokens} if tokens else {}) if effort or budget else {}


def asked(body: Json) -> Json:
    """Sampling, limits and tools."""
    return _sampling(body) | _tools(body)


def _sampling(body: Json) -> Json:
    """Numbers under Cohere's names and within its narrower bounds."""
    found: Json = {}
    for name, ours, low, high in (
        ("temperature", "temperature", 0, 1), ("top_p", "p", 0.01, 0.99), ("top_k", "k", 0, 500),
        ("frequency_penalty", "frequency_penalty", 0, 1), ("presence_penalty", "presence_penalty", 0, 1),
    ):  # fmt: skip
        if (value := typed.number_of(body, name)) is not None:
            found[ours] = min(max(value, low), high)
    if (limit := shapes.max_tokens(body)) is not None:
        found["max_tokens"] = limit
    if stop := shapes.stop_list(body):
        found["stop_sequences"] = stop
    return found


def _tools(body: Json) -> Json:
    """Tools and the choice among them; the choice of one is a list that holds only that one."""
    offered, (mode, name) = asks.tools(body), asks.choice(body)
    if name:
        offered, mode = [tool for tool in offered if tool["function"]["name"] == name], "required"
    if not offered:
        return {}
    out: Json = {"tools": [{"type": "function", "function": _bare(tool["function"])} for tool in offered]}
    if any(tool["function"].get("strict") for tool in offered):
        out["strict_tools"] = True
    return out | ({"tool_choice": CHOICES[mode]} if mode in CHOICES else {})


def _bare(function: Json) -> Json:
    return {name: value for name, value in function.items() if name != "strict"}


def messages(body: Json) -> list[Json]:
    return [_message(turn) for turn in asks.modern(body["messages"])]


def _message(turn: Json) -> Json:
    role, content = turn["role"], turn.get("content")
    if role in ("system", "developer"):
        return {"role": "system", "content": pieces.plain_text(turn, "A system prompt for this vendor")}
    if role == "tool":
        return {
            "role": "tool",
            "tool_call_id": turn["tool_call_id"],
            "content": pieces.plain_text(turn, "A tool's result for this vendor"),
        }
    if role == "user":
        return {"role": "user", "content": content if isinstance(content, str) else [_part(part) for part in content or ()]}
    text, thought, calls = shapes.text_of(content), turn.get("reasoning_content"), turn.get("tool_calls")
    if calls:
        made = [{key: call[key] for key in ("id", "type", "function") if key in call} for call in calls]
        return {
            "role": "assistant",
            "tool_calls": made,
            **({"tool_plan": thought} if thought else {}),
            **({"content": text} if text else {}),
        }
    if thought:
        return {"role": "assistant", "content": [{"type": "thinking", "thinking": thought}, {"type": "text", "text": text}]}
    return {"role": "assistant", "content": text}


def _part(part: Json) -> Json:
    if part.get("type") not in ("text", "image_url"):
        raise asks.unsupported(part)
    return part
