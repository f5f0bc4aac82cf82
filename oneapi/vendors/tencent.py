"""Tencent Hunyuan by its cloud API: signed requests to one address, names in capitals, errors under HTTP 200.

A limit on tokens goes nowhere; JSON is asked for in words."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import asks, balances, endings, pieces, reports, shapes, tc3
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.quirks import adapted, system_role
from oneapi.vendors.tencent_media import CODES, PROTOCOLS, TEXTS, acting, read, troubled
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

FINISH = {"stop": "stop", "tool_calls": "tool_calls", "sensitive": "content_filter", "length": "length"}
EXTRAS = {
    "enable_enhancement": "EnableEnhancement", "force_search_enhancement": "ForceSearchEnhancement", "search_info": "SearchInfo",
    "citation": "Citation", "enable_speed_search": "EnableSpeedSearch", "enable_deep_search": "EnableDeepSearch",
    "stream_moderation": "StreamModeration", "enable_thinking": "EnableThinking", "temperature": "Temperature", "top_p": "TopP",
    "seed": "Seed",
}  # fmt: skip


def sign(request: Request, call: Call) -> Request:
    id, secret = call.config.get("secret_id"), call.config.get("secret_key")
    if not (id and secret):
        raise VendorError("auth", "The channel's key must have the form AppId|SecretId|SecretKey.")
    return tc3.signed(request, id, secret, "hunyuan", call.now)


# Chat. https://cloud.tencent.com/document/api/1729/105701


def build_chat(call: Call) -> Request:
    body = call.body
    sent: Json = {"Model": call.model, "Messages": conversation(body), "Stream": call.streaming}
    sent |= {name: body[k] for k, name in EXTRAS.items() if body.get(k) is not None} | tools(body)
    if stop := shapes.stop_list(body):
        sent["Stop"] = stop
    if asks.effort(body) in ("none", "minimal"):
        sent.setdefault("EnableThinking", False)
    return acting(call, "ChatCompletions", sent)


def conversation(body: Json) -> list[Json]:
    """One system message in front; then users and assistants by turns, so that neighbours of one role become one."""
    found: list[Json] = []
    system, turns = asks.conversation(body)
    wanted, schema = asks.json_mode(body)
    if text := "\n\n".join(filter(None, (asks.system_text(system), asks.json_instruction(schema) if wanted else ""))):
        found.append({"Role": "system", "Content": text})
    for message in turns:
        said = turn(message)
        if found and found[-1]["Role"] == said["Role"] and said["Role"] in ("user", "assistant"):
            _join(found[-1], said)
        else:
            found.append(said)
    return found


def turn(message: Json) -> Json:
    said: Json = {"Role": message["role"], **content(message.get("content"))}
    if message["role"] == "tool":
        said["ToolCallId"] = message["tool_call_id"]
    if message.get("tool_calls"):
        said["ToolCalls"] = [
            {"Id": tool["id"], "Type": "function", "Function": {"Name": f["name"], "Arguments": f.get("arguments") or "{}"}}
            for tool in message["tool_calls"]
            for f in (tool["function"],)
        ]
    return said


def content(parts: Any) -> Json:
    """Content is text, Contents are parts. Empty text is refused there, so that it is left out."""
    if not isinstance(parts, list) or all(part.get("type") in ("text", "refusal") for part in parts):
        text = shapes.text_of(parts)
        return {"Content": text} if text else {}
    return {"Contents": [_part(part) for part in parts]}


def _part(part: Json) -> Json:
    match part:
        case {"type": "text", "text": text}:
            return {"Type": "text", "Text": text}
        case {"type": "image_url", "image_url": {"url": url}}:
            return {"Type": "image_url", "ImageUrl": {"Url": url}}
        case {"type": "video_url", "video_url": {"url": url}}:
            return {"Type": "video_url", "VideoUrl": {"Url": url}}
    raise asks.unsupported(part)


def _join(first: Json, more: Json) -> None:
    if "Contents" in first or "Contents" in more:
        first["Contents"] = _contents(first) + _contents(more)
        first.pop("Content", None)
    elif "Content" in more:
        first["Content"] = "\n\n".join(filter(None, (first.get("Content"), more["Content"])))
    if "ToolCalls" in more:
        first["ToolCalls"] = [*first.get("ToolCalls", ()), *more["ToolCalls"]]


def _contents(said: Json) -> list[Json]:
    return said.get("Contents") or ([{"Type": "text", "Text": said["Content"]}] if "Content" in said else [])


def tools(body: Json) -> Json:
    """ToolChoice is none, auto or custom; the last one forces the tool given as CustomTool."""
    found = {tool["function"]["name"]: _tool(tool["function"]) for tool in asks.tools(body) if tool.get("type") == "function"}
    if not found:
        return {}
    sent: Json = {"Tools": list(found.values())}
    if (name := pieces.demanded(body)) in found:
        return sent | {"ToolChoice": "custom", "CustomTool": found[name]}
    mode = asks.choice(body)[0]
    return sent | ({"ToolChoice": mode} if mode in ("none", "auto") else {})


def _tool(function: Json) -> Json:
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    about = {"Parameters": asks.compact(parameters), "Description": function.get("description") or ""}
    return {"Type": "function", "Function": {"Name": function["name"], **about}}


def used(usage: Json) -> Json:
    usage = reports.numbers(usage)
    cached = (usage.get("PromptTokensDetails") or {}).get("CachedTokens")
    prompt, completion = usage.get("PromptTokens") or 0, usage.get("CompletionTokens") or 0
    return shapes.usage(prompt, completion, cached=None if cached is None else int(cached))


def parse_chat(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    choice = answer["Choices"][0]
    told, message = choice["Message"], {"content": choice["Message"].get("Content") or None}
    if told.get("ReasoningContent"):
        message["reasoning_content"] = told["ReasoningContent"]
    if told.get("ToolCalls"):
        message["tool_calls"] = [
            shapes.tool_call(tool.get("Id") or f"call_{call.id}_{at}", f["Name"], f.get("Arguments") or "{}")
            for at, tool in enumerate(told["ToolCalls"])
            for f in (tool["Function"],)
        ]
    elif message["content"] is None:
        message["content"] = ""
    called, usable = bool(told.get("ToolCalls")), endings.usable(message)
    reason = endings.finish(FINISH, choice.get("FinishReason"), called=called, usable=usable)
    return shapes.completion(call, message, reason, used(answer.get("Usage") or {}), id=answer.get("Id") or "")


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    calls, id, reason, said = pieces.ToolCalls(), "", "", False
    usage: Json = {}
    for piece in shapes.objects(events):
        troubled(piece)
        if not id:
            id = piece.get("Id") or f"chatcmpl-{call.id}"
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        usage = reports.gather(call, usage, piece.get("Usage"), used)
        for choice in piece.get("Choices") or ():
            for delta in deltas(choice.get("Delta") or {}, calls, id):
                said = said or endings.usable(delta)
                yield shapes.chunk(call, delta, id=id)
            reason = choice.get("FinishReason") or reason
    if not reason:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, endings.finish(FINISH, reason, called=bool(calls), usable=said), id=id)
    yield shapes.usage_chunk(call, used(usage), id=id)


def deltas(told: Json, calls: pieces.ToolCalls, id: str) -> Iterator[Json]:
    """Pieces of one tool call belong together by Id, says Tencent; where that is empty, by Index."""
    if told.get("ReasoningContent"):
        yield {"reasoning_content": told["ReasoningContent"]}
    if told.get("Content"):
        yield {"content": told["Content"]}
    for tool in told.get("ToolCalls") or ():
        function, key = tool.get("Function") or {}, tool.get("Id") or tool.get("Index")
        named = tool.get("Id") or f"call_{id}_{key}"
        yield from calls.deltas(key, named, function.get("Name") or "", function.get("Arguments") or "")


# https://cloud.tencent.com/document/product/1729/111007
COMPATIBLE = Vendor(
    23, "tencent", "Tencent Hunyuan", "https://api.hunyuan.cloud.tencent.com",
    {"chat": adapted(body=system_role, codes=CODES), "embeddings": batched(adapted(codes=CODES), TEXTS)}, key_label="API key",
    model_list=balances.MODELS, owned_by="tencent", documents="https://cloud.tencent.com/document/product/1729/111007",
)  # fmt: skip
VENDORS = (
    Vendor(
        23, "tencent", "Tencent Hunyuan", "https://hunyuan.tencentcloudapi.com",
        {**PROTOCOLS, "chat": Protocol(build_chat, parse_chat, stream_chat)},
        sign=pieces.at_home(sign), timed=True,
        key_label="AppId|SecretId|SecretKey", key_parts=("app_id", "secret_id", "secret_key"),
        fields=(Field("region", str, "", "Region", "Optional, such as ap-guangzhou; pictures are only drawn there."),),
        compatible=COMPATIBLE, prefer_compatible=True, owned_by="tencent",
        documents="https://cloud.tencent.com/document/api/1729/105701",
    ),
)  # fmt: skip
