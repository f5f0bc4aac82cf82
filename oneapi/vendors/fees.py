"""Calls of providers' own tools and service tiers, under whichever names responses report them. Pure."""

from collections.abc import Iterator
from typing import Any

from oneapi.catalog.fees import STANDARD
from oneapi.wire import Call

Json = dict[str, Any]

MOST_CALLS = 10_000  # of one request; a larger number is an error of the provider
# Objects that count calls by kind. Anthropic and OpenRouter: server_tool_use; xAI: the second and third; OpenAI's Responses and
# Doubao: tool_usage; Mistral: connectors; DashScope: plugins.
COUNTERS = (
    "server_tool_use", "server_side_tool_usage_details", "server_side_tool_usage", "tool_usage", "connectors", "plugins",
)  # fmt: skip
# Numbers beside the totals. Perplexity: the first; xAI: the second.
NUMBERS = {"num_search_queries": "web_search", "num_sources_used": "search_sources"}
FEES = frozenset((*COUNTERS, *NUMBERS))
ENDINGS = ("_requests", "_calls")
INSIDE = ("num_requests", "count", "requests", "calls")  # where a kind has an object of its own
KINDS = {"search": "web_search", "google_search": "web_search", "web": "web_search", "live_search": "web_search"}


def tools(report: Json, flags: list[str]) -> tuple[tuple[str, int], ...]:
    """Return how often each kind of tool was called; what cannot be believed is flagged and not counted."""
    if FEES.isdisjoint(report):
        return ()
    found: dict[str, int] = {}
    for name in COUNTERS:
        counted = report.get(name)
        for key, value in counted.items() if isinstance(counted, dict) else ():
            _take(found, _kind(str(key)), _inside(value), flags)
    for name, kind in NUMBERS.items():
        if kind not in found:
            _take(found, kind, report.get(name), flags)
    return tuple(found.items())


def _take(found: dict[str, int], kind: str, value: Any, flags: list[str]) -> None:
    if not value:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_CALLS:
        flags.append(f"calls of {kind[:30]} were {str(value)[:30]}")
        return
    found[kind] = max(found.get(kind, 0), int(value))


def _inside(value: Any) -> Any:
    return next((value[name] for name in INSIDE if value.get(name)), 0) if isinstance(value, dict) else value


def _kind(name: str) -> str:
    kind = name.lower().removeprefix("server_side_tool_")[:40]
    for ending in ENDINGS:
        kind = kind.removesuffix(ending)
    return KINDS.get(kind, kind)


def tier(report: Json) -> str:
    """Return the service tier that was used; "" for the standard one."""
    found = report.get("service_tier")
    if report.get("speed") == "fast":
        return "fast"
    return found[:40] if isinstance(found, str) and found not in STANDARD else ""


def add(used: Json, kind: str, calls: int) -> None:
    """Note calls in a usage object of OpenAI's shape, the way OpenRouter and Anthropic count them."""
    if calls:
        used["server_tool_use"] = {**(used.get("server_tool_use") or {}), f"{kind}_requests": calls}


def tiered(used: Json, found: Any) -> Json:
    """Return a usage object with the service tier that stands elsewhere in the response, unless it is the standard one."""
    return used | {"service_tier": found} if isinstance(found, str) and found not in STANDARD else used


# Responses that report calls elsewhere than in their usage: what is found there is put into it. Each is one of quirks' mends.


def builtin_search(piece: Json, call: Call, memo: Json) -> None:
    """A search is a tool call named $web_search. https://platform.kimi.ai/docs/pricing/tools"""
    found = memo.setdefault("searches", set())
    for message in _messages(piece):
        for tool in message.get("tool_calls") or ():
            if isinstance(tool, dict) and (tool.get("function") or {}).get("name") == "$web_search":
                found.add(tool.get("id") or tool.get("index") or 0)
    _count(piece, {"web_search": len(found)})


def listed_search(piece: Json, call: Call, memo: Json) -> None:
    """A search leaves a list of results beside the choices. https://docs.bigmodel.cn/cn/guide/tools/web-search"""
    memo["searched"] = memo.get("searched") or bool(piece.get("web_search"))
    _count(piece, {"web_search": int(memo["searched"])})


def executed(piece: Json, call: Call, memo: Json) -> None:
    """Tools that ran are listed in the message. https://console.groq.com/docs/compound"""
    ran = memo.setdefault("ran", {})
    for message in _messages(piece):
        for number, tool in enumerate(message.get("executed_tools") or ()):
            ran[tool.get("index", number)] = _kind(str(tool.get("type")))
    kinds = list(ran.values())
    _count(piece, {kind: kinds.count(kind) for kind in kinds})


def _messages(piece: Json) -> Iterator[Json]:
    for choice in piece.get("choices") or ():
        yield choice.get("message") or choice.get("delta") or {}


def _count(piece: Json, calls: dict[str, int]) -> None:
    if isinstance(used := piece.get("usage"), dict):
        for kind, number in calls.items():
            add(used, kind, number)
