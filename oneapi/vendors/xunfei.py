"""iFlytek Spark over WebSocket: the address is signed, one frame asks, and each frame of the answer is an event."""

import hmac
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode, urlsplit

from oneapi.fields import Field
from oneapi.vendors import asks, pieces, reports, shapes
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.xunfei_v2 import CODES, COMPATIBLE, DOCUMENTS, MODELS, PARTS, VERSIONS
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

KEPT = ("top_k", "presence_penalty", "frequency_penalty", "auditing", "show_ref_label", "thinking", "chat_id")
NO_FUNCTIONS = ("lite", "generalv2", "pro-128k")


def version(call: Call) -> tuple[str, str]:
    """Domain and path: by the model's name, else by what follows its first dash, else by the channel's `api_version`."""
    name = call.model.lower()
    found = MODELS.get(name) or name.partition("-")[2] or str(call.config.get("api_version") or "v1.1").lower()
    return VERSIONS.get(found) or (f"general{found}", f"/{found}/chat")


def sign(request: Request, call: Call) -> Request:
    """https://www.xfyun.cn/doc/spark/general_url_authentication.html"""
    key, secret = call.config.get("api_key"), call.config.get("api_secret")
    if not (key and secret):
        raise VendorError("auth", "The channel's key must have the form APPID|APISecret|APIKey.")
    request.url += "?" + urlencode(credentials(request.url, key, secret, formatdate(call.now, usegmt=True)))
    return request


def credentials(url: str, key: str, secret: str, date: str) -> dict[str, str]:
    place = urlsplit(url)
    text = f"host: {place.netloc}\ndate: {date}\nGET {place.path} HTTP/1.1"
    signature = b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()
    said = f'api_key="{key}", algorithm="hmac-sha256", headers="host date request-line", signature="{signature}"'
    return {"authorization": b64encode(said.encode()).decode(), "date": date, "host": place.netloc}


def build(call: Call) -> Request:
    domain, path = version(call)
    body = call.body
    header: Json = {"app_id": call.config.get("app_id", "")}
    if body.get("user"):
        header["uid"] = str(body["user"])[:32]
    system, turns = asks.conversation(body)
    said = [{"role": "system", "content": text}] if (text := "\n\n".join(wishes(system, body))) else []
    payload: Json = {"message": {"text": [*said, *(turn(message) for message in pieces.one_by_one(turns))]}}
    functions = [tool["function"] for tool in asks.tools(body) if tool.get("type") == "function"]
    if functions and asks.choice(body)[0] != "none" and domain not in NO_FUNCTIONS:
        payload["functions"] = {"text": functions}
    sent = {"header": header, "parameter": {"chat": {"domain": domain} | chat(body, domain)}, "payload": payload}
    address = call.base_url.replace("http", "ws", 1) if call.base_url.startswith("http") else call.base_url
    return Request(address + path, sent, framing="websocket")


def chat(body: Json, domain: str) -> Json:
    """The parameters. Temperature is of (0, 1], but for the reasoning model."""
    found: Json = {}
    if isinstance(warmth := body.get("temperature"), int | float):
        found["temperature"] = warmth if domain == "spark-x" else min(max(warmth, 0.01), 1)
    if (limit := shapes.max_tokens(body)) is not None:
        found["max_tokens"] = limit
    found |= {k: body[k] for k in KEPT if body.get(k) is not None}
    if domain == "spark-x" and (effort := asks.effort(body)) and "thinking" not in body:
        found["thinking"] = {"type": "disabled" if effort in ("none", "minimal") else "enabled"}
    searches = [tool for tool in body.get("tools") or () if tool.get("type") == "web_search"]
    return found | ({"tools": searches} if searches else {})


def wishes(system: list[Json], body: Json) -> Iterator[str]:
    """What the system says, and the wish for JSON, which Spark can be given only in words."""
    if text := asks.system_text(system):
        yield text
    wanted, schema = asks.json_mode(body)
    if wanted:
        yield asks.json_instruction(schema)


def turn(message: Json) -> Json:
    text = pieces.plain_text(message, "Spark")
    if message["role"] == "tool":
        return {"role": "tool", "content": text, "name": message.get("name") or ""}
    if message.get("tool_calls"):
        function = message["tool_calls"][0]["function"]
        called = {"name": function["name"], "arguments": function.get("arguments") or "{}"}
        return {"role": "assistant", "content": text, "function_call": called}
    return {"role": message["role"], "content": text}


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    calls, id, done = pieces.ToolCalls(), "", False
    usage: Json = {}
    for frame in shapes.objects(events):
        header = frame["header"]
        if code := header.get("code"):
            raise pieces.refusal(CODES, code, header.get("message"))
        if not id:
            id = header.get("sid") or f"chatcmpl-{call.id}"
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        payload = frame.get("payload") or {}
        choices = payload.get("choices") or {}
        for told in choices.get("text") or ():
            yield from (shapes.chunk(call, delta, id=id) for delta in deltas(told, calls, id))
        usage = reports.gather(call, usage, reports.numbers(payload.get("usage")).get("text"), used)
        if done := choices.get("status") == 2 or header.get("status") == 2:
            break
    if not done:
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, "tool_calls" if calls else "stop", id=id)
    yield shapes.usage_chunk(call, used(usage), id=id)


def deltas(told: Json, calls: pieces.ToolCalls, id: str) -> Iterator[Json]:
    if told.get("reasoning_content"):
        yield {"reasoning_content": told["reasoning_content"]}
    if told.get("content"):
        yield {"content": told["content"]}
    if function := told.get("function_call"):
        key = (told.get("index", 0), function["name"])
        yield from calls.deltas(key, f"call_{id}_{key[0]}", function["name"], function.get("arguments") or "{}")


def used(usage: Json) -> Json:
    usage = reports.numbers(usage)
    details = usage.get("completion_tokens_details") or {}
    return shapes.usage(
        usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, reasoning=details.get("reasoning_tokens")
    )


def parse(reply: Reply, call: Call) -> Json:
    """The frames of a whole conversation, one after another, as one answer."""
    id, message = "", dict[str, Any](content="")
    found: Json = {}
    for chunk in stream(frames(reply.body), call):
        id, found = chunk["id"], chunk.get("usage") or found
        for choice in chunk["choices"]:
            gather(message, choice["delta"])
    tools = message.get("tool_calls")
    message["content"] = message["content"] or (None if tools else "")
    return shapes.completion(call, message, "tool_calls" if tools else "stop", found, id=id)


def gather(message: Json, delta: Json) -> None:
    for key in ("content", "reasoning_content"):
        if delta.get(key):
            message[key] = message.get(key, "") + delta[key]
    for tool in delta.get("tool_calls") or ():
        if "id" in tool:
            message.setdefault("tool_calls", []).append({k: tool[k] for k in ("id", "type", "function")})
        else:
            message["tool_calls"][tool["index"]]["function"]["arguments"] += tool["function"]["arguments"]


def frames(body: bytes) -> Iterator[Event]:
    """A conversation that was read to its end holds one message a line."""
    return (Event(json.loads(line)) for line in body.split(b"\n") if line.strip())


VENDORS = (
    Vendor(
        18, "xunfei", "iFlytek Spark", "https://spark-api.xf-yun.com", {"chat": Protocol(build, parse, stream, "websocket")},
        sign=sign, timed=True, key_label="APPID|APISecret|APIKey", key_parts=PARTS,
        fields=(Field("api_version", str, "", "Version", "For models with names of your own, such as v3.5 or x1."),),
        compatible=COMPATIBLE, prefer_compatible=True, owned_by="xunfei", documents=DOCUMENTS + "Web.html",
    ),
)  # fmt: skip
