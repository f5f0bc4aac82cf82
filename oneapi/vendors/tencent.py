"""Tencent Hunyuan by its cloud API: signed requests to one address, names in capitals, errors under HTTP 200.

It has no limit on tokens and no JSON mode: these parameters go nowhere.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import asks, balances, openai, pieces, shapes, tc3
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# https://cloud.tencent.com/document/api/1729/101832, and of streams: /1729/101838
CODES = {
    "AuthFailure": "auth", "UnauthorizedOperation": "auth", "FailedOperation.UserUnAuthError": "auth",
    "FailedOperation.ServiceNotActivated": "auth", "FailedOperation.PartnerAccountUnSupport": "auth",
    "RequestLimitExceeded": "rate_limited", "LimitExceeded": "rate_limited", "FailedOperation.SetPayModeExceed": "quota",
    "FailedOperation.EngineServerLimitExceeded": "overloaded", "FailedOperation.EngineRequestTimeout": "timeout",
    "FailedOperation.FreeResourcePackExhausted": "quota", "FailedOperation.ResourcePackExhausted": "quota",
    "FailedOperation.ServiceStop": "quota", "FailedOperation.ServiceStopArrears": "quota", "ResourceInsufficient": "quota",
    "ResourceUnavailable.InArrears": "quota", "ResourceUnavailable.LowBalance": "quota", "ResourceUnavailable": "server",
    "FailedOperation.ImageDecodeFailed": "bad_request", "FailedOperation.ImageDownloadError": "bad_request",
    "FailedOperation": "server", "InternalError": "server", "InvalidParameter": "bad_request", "MissingParameter": "bad_request",
    "InvalidParameterValue": "bad_request", "InvalidParameterValue.Model": "no_model", "ResourceNotFound": "no_model",
    "UnknownParameter": "bad_request", "UnsupportedOperation": "bad_request", "OperationDenied": "content_filter",
    "InvalidAction": "no_model", "UnsupportedRegion": "bad_request", "InvalidRequest": "bad_request",
    "4000": "server", "4001": "timeout",
}  # fmt: skip
FINISH = {"stop": "stop", "tool_calls": "tool_calls", "sensitive": "content_filter", "length": "length"}
EXTRAS = {
    "enable_enhancement": "EnableEnhancement", "force_search_enhancement": "ForceSearchEnhancement", "search_info": "SearchInfo",
    "citation": "Citation", "enable_speed_search": "EnableSpeedSearch", "enable_deep_search": "EnableDeepSearch",
    "stream_moderation": "StreamModeration", "enable_thinking": "EnableThinking", "temperature": "Temperature", "top_p": "TopP",
    "seed": "Seed",
}  # fmt: skip
IMAGE_NAMES = {
    "n": "Num", "negative_prompt": "NegativePrompt", "seed": "Seed", "style": "Style", "revise": "Revise", "logo_add": "LogoAdd",
}  # fmt: skip
IMAGE_REGION = "ap-guangzhou"  # the only one that draws
IMAGE_SECONDS = 3
IMAGE_POLLS = 80  # the signature is good for five minutes


def sign(request: Request, call: Call) -> Request:
    id, secret = call.config.get("secret_id"), call.config.get("secret_key")
    if not (id and secret):
        raise VendorError("auth", "The channel's key must have the form AppId|SecretId|SecretKey.")
    return tc3.signed(request, id, secret, "hunyuan", call.now)


def acting(call: Call, action: str, body: Json, region: str = "") -> Request:
    headers = {"X-TC-Action": action, "X-TC-Version": "2023-09-01"}
    if region := call.config.get("region") or region:
        headers["X-TC-Region"] = region
    return Request(call.base_url + "/", body, headers)


def read(reply: Reply) -> Json:
    answer = reply.json()
    troubled(answer)
    return answer["Response"]


def troubled(piece: Json) -> None:
    """Errors come as Response.Error, or as ErrorMsg in the midst of a stream."""
    match piece:
        case {"Response": {"Error": {"Code": code, **rest}}}:
            raise pieces.refusal(CODES, code, rest.get("Message"))
        case {"ErrorMsg": {"Code": code, **rest}} | {"Response": {"ErrorMsg": {"Code": code, **rest}}}:
            raise pieces.refusal(CODES, code, rest.get("Msg"))


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
    if text := asks.system_text(system):
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
    said = {
        "Name": function["name"],
        "Parameters": asks.compact(parameters),
        "Description": function.get("description") or "",
    }
    return {"Type": "function", "Function": said}


def used(usage: Json) -> Json:
    cached = (usage.get("PromptTokensDetails") or {}).get("CachedTokens")
    prompt, completion = usage.get("PromptTokens", 0), usage.get("CompletionTokens", 0)
    return shapes.usage(prompt, completion, cached=None if cached is None else int(cached))


def finish(reason: str, called: bool) -> str:
    found = FINISH.get(reason, "stop")
    return "tool_calls" if called and found == "stop" else found


def parse_chat(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    choice = answer["Choices"][0]
    told, message = choice["Message"], {"content": choice["Message"].get("Content") or None}
    if told.get("ReasoningContent"):
        message["reasoning_content"] = told["ReasoningContent"]
    if told.get("ToolCalls"):
        message["tool_calls"] = [
            shapes.tool_call(tool["Id"], tool["Function"]["Name"], tool["Function"].get("Arguments") or "{}")
            for tool in told["ToolCalls"]
        ]
    elif message["content"] is None:
        message["content"] = ""
    reason = finish(choice.get("FinishReason") or "", bool(told.get("ToolCalls")))
    return shapes.completion(call, message, reason, used(answer["Usage"]), id=answer["Id"])


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    calls, id, reason = pieces.ToolCalls(), "", ""
    usage: Json = {}
    for piece in shapes.objects(events):
        troubled(piece)
        if not id:
            id = piece["Id"]
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        usage = piece.get("Usage") or usage
        for choice in piece.get("Choices") or ():
            yield from (shapes.chunk(call, delta, id=id) for delta in deltas(choice.get("Delta") or {}, calls, id))
            reason = choice.get("FinishReason") or reason
    if not reason:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, finish(reason, bool(calls)), id=id)
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


# Embeddings and pictures


def build_embeddings(call: Call) -> Request:
    return acting(call, "GetEmbedding", {"InputList": asks.inputs(call.body)})


def parse_embeddings(reply: Reply, call: Call) -> Json:
    """The vectors come in the order of the texts; Index says 0 of each."""
    answer = read(reply)
    used = shapes.usage(answer["Usage"].get("PromptTokens") or answer["Usage"]["TotalTokens"])
    return pieces.embeddings(call, [item["Embedding"] for item in answer["Data"]], used)


def build_images(call: Call) -> Request:
    """https://cloud.tencent.com/document/api/1729/105969"""
    body = call.body
    sent: Json = {"Prompt": body["prompt"]}
    if body.get("size") not in (None, "auto"):
        sent["Resolution"] = body["size"].replace("x", ":")
    sent |= {name: body[k] for k, name in IMAGE_NAMES.items() if k in body}
    return acting(call, "SubmitHunyuanImageJob", sent, IMAGE_REGION)


def parse_images(reply: Reply, call: Call) -> Json | Request:
    if pieces.downloading(call):
        return pieces.downloaded(reply, call)
    answer = read(reply)
    if "JobId" in answer:
        call.memo["job"] = answer["JobId"]
    match str(answer.get("JobStatusCode", "1")):
        case "5":
            return pieces.pictures(call, answer["ResultImage"])
        case "4":
            raise pieces.refusal(CODES, answer.get("JobErrorCode"), answer.get("JobErrorMsg"))
    call.memo["polls"] = call.memo.get("polls", 0) + 1
    if call.memo["polls"] > IMAGE_POLLS:
        raise VendorError("timeout", "The picture took too long.")
    request = acting(call, "QueryHunyuanImageJob", {"JobId": call.memo["job"]}, IMAGE_REGION)
    request.wait = IMAGE_SECONDS
    return request


# https://cloud.tencent.com/document/product/1729/111007
COMPATIBLE = Vendor(
    23, "tencent", "Tencent Hunyuan", "https://api.hunyuan.cloud.tencent.com",
    dict.fromkeys(("chat", "embeddings"), openai.OPENAI), key_label="API key", model_list=balances.MODELS, owned_by="tencent",
    documents="https://cloud.tencent.com/document/product/1729/111007",
)  # fmt: skip
VENDORS = (
    Vendor(
        23, "tencent", "Tencent Hunyuan", "https://hunyuan.tencentcloudapi.com",
        {
            "chat": Protocol(build_chat, parse_chat, stream_chat),
            "embeddings": Protocol(build_embeddings, parse_embeddings),
            "images": Protocol(build_images, parse_images),
        },
        sign=pieces.at_home(sign), key_label="AppId|SecretId|SecretKey", key_parts=("app_id", "secret_id", "secret_key"),
        fields=(Field("region", str, "", "Region", "Optional, such as ap-guangzhou; pictures are only drawn there."),),
        compatible=COMPATIBLE, prefer_compatible=True, owned_by="tencent",
        documents="https://cloud.tencent.com/document/api/1729/105701",
    ),
)  # fmt: skip
