"""Baidu Qianfan v1 (ERNIE): key and secret become a token in the query, one tool call at a time, errors under HTTP 200."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from oneapi.fields import Field
from oneapi.vendors import asks, baidu_v2, endings, pieces, reports, shapes
from oneapi.vendors.baidu_media import PROTOCOLS, address, fail, read, troubled, user
from oneapi.vendors.contract import Exchange, Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

FINISH = {"normal": "stop", "stop": "stop", "length": "length", "content_filter": "content_filter", "function_call": "tool_calls"}
KEPT = (
    "penalty_score", "disable_search", "enable_citation", "enable_trace", "enable_system_memory", "system_memory_id",
    "user_setting", "top_k",
)  # fmt: skip
WHO = "ERNIE over Qianfan v1"


def sign(request: Request, call: Call) -> Request:
    """The token travels in the query; the key and its secret do not travel at all."""
    request.url += "?" + urlencode({"access_token": call.secret})
    return request


def ask_token(call: Call) -> Request:
    """https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Ilkkrb0i5"""
    if not (call.config.get("ak") and call.config.get("sk")):
        raise VendorError("auth", "The channel's key must have the form APIKey|SecretKey.")
    query = {"grant_type": "client_credentials", "client_id": call.config["ak"], "client_secret": call.config["sk"]}
    return Request(f"{call.base_url}/oauth/2.0/token?{urlencode(query)}", {}, {"Accept": "application/json"})


def read_token(reply: Reply, call: Call) -> tuple[str, float]:
    """Baidu names what is wrong with a key by OAuth's words, mostly with status 401."""
    answer: Any = None
    try:
        answer = reply.json()
        return answer["access_token"], float(answer["expires_in"])
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    answer = answer if isinstance(answer, dict) else {}
    kind = "auth" if answer.get("error") else "server"
    message = answer.get("error_description") or answer.get("error") or "The vendor gave no access token."
    raise VendorError(kind, str(message), status=reply.status, code=str(answer.get("error") or ""))


# Chat. https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t


def build_chat(call: Call) -> Request:
    body = call.body
    system, turns = asks.conversation(body)
    wants_json, schema = asks.json_mode(body)
    wishes = [asks.system_text(system)] + ([asks.json_instruction(schema)] if schema else [])
    while turns and turns[0]["role"] == "assistant" and not turns[0].get("tool_calls"):  # the user has to speak first
        wishes.append(f"You began the conversation by saying: {pieces.plain_text(turns[0], WHO)}")
        turns = turns[1:]
    sent: Json = {"messages": list(alternating(turns))}
    if said := "\n\n".join(filter(None, wishes)):
        sent["system"] = said
    sent |= sampling(body) | tools(body) | user(body) | {k: body[k] for k in KEPT if k in body}
    if (limit := shapes.max_tokens(body)) is not None:
        sent["max_output_tokens"] = max(limit, 2)  # the least Baidu takes
    if stop := shapes.stop_list(body):
        sent["stop"] = stop
    if wants_json:
        sent["response_format"] = "json_object"
    if call.streaming:
        sent["stream"] = True
    return Request(address(call), sent, {"Accept": "text/event-stream"} if call.streaming else {})


def sampling(body: Json) -> Json:
    """Temperature is of (0, 1], and the penalty for repetition runs from 1 to 2."""
    found: Json = {}
    if isinstance(warmth := body.get("temperature"), int | float):
        found["temperature"] = min(max(warmth, 0.01), 1)
    if isinstance(body.get("top_p"), int | float):
        found["top_p"] = min(body["top_p"], 1)
    if isinstance(penalty := body.get("frequency_penalty"), int | float):
        found["penalty_score"] = 1 + min(max(penalty, 0), 2) / 2
    return found


def alternating(turns: list[Json]) -> Iterator[Json]:
    """Users and assistants must alternate: neighbours of one role become one message."""
    last: Json = {}
    for message in pieces.one_by_one(turns):
        said = turn(message)
        if last and last.keys() == said.keys() == {"role", "content"} and last["role"] == said["role"]:
            last["content"] += "\n\n" + said["content"]
            continue
        if last:
            yield last
        last = said
    if last:
        yield last


def turn(message: Json) -> Json:
    text = pieces.plain_text(message, WHO)
    if message["role"] == "tool":
        return {"role": "function", "name": message.get("name") or "", "content": text}
    if message.get("tool_calls"):
        function = message["tool_calls"][0]["function"]
        called = {"name": function["name"], "arguments": function.get("arguments") or "{}"}
        return {"role": "assistant", "content": text, "function_call": called}
    return {"role": message["role"], "content": text}


def tools(body: Json) -> Json:
    functions = [tool["function"] for tool in asks.tools(body) if tool.get("type") == "function"]
    if not functions or asks.choice(body)[0] == "none":
        return {}
    nothing: Json = {"type": "object", "properties": {}}
    found: Json = {
        "functions": [
            {"name": f["name"], "description": f.get("description") or f["name"], "parameters": f.get("parameters") or nothing}
            for f in functions
        ]
    }
    if name := pieces.demanded(body):
        found["tool_choice"] = {"type": "function", "function": {"name": name}}
    return found


def used(piece: Json) -> Json:
    usage = reports.numbers(piece.get("usage"))
    prompt, total = usage.get("prompt_tokens") or 0, usage.get("total_tokens") or 0
    return shapes.usage(prompt, usage.get("completion_tokens") or max(total - prompt, 0))


def finish(piece: Json, called: bool, said: bool) -> str:
    reason = "length" if piece.get("is_truncated") else piece.get("finish_reason")
    return endings.finish(FINISH, reason, called=called, usable=called or said)


def parse_chat(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    message: Json = {"content": answer["result"]}
    if function := answer.get("function_call"):
        named = shapes.tool_call(f"call_{answer.get('id') or call.id}", function["name"], function.get("arguments") or "{}")
        message |= {"content": answer["result"] or None, "tool_calls": [named]}
    reason = finish(answer, bool(function), bool(answer["result"]))
    return shapes.completion(call, message, reason, used(answer), id=answer.get("id") or "")


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    calls, id, last, said = pieces.ToolCalls(), "", dict[str, Any](), False
    for last in shapes.objects(events):
        troubled(last)
        if last.get("usage"):
            reports.note(call, used(last))
        if not id:
            id = last.get("id") or f"chatcmpl-{call.id}"
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        if last["result"]:
            said = True
            yield shapes.chunk(call, {"content": last["result"]}, id=id)
        if function := last.get("function_call"):
            made = calls.deltas(function["name"], f"call_{id}", function["name"], function.get("arguments") or "{}")
            yield from (shapes.chunk(call, delta, id=id) for delta in made)
        if last.get("is_end"):
            break
    if not last.get("is_end"):
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, finish(last, bool(calls), said), id=id)
    yield shapes.usage_chunk(call, used(last), id=id)


# Version 2 speaks OpenAI's protocol, for keys of the new form.
FIELDS = (Field("appid", str, "", "Application id", "Optional, for version 2: usage is then counted for this application."),)
V2 = Vendor(
    15, "baidu", "Baidu Qianfan", "https://qianfan.baidubce.com", baidu_v2.PROTOCOLS, baidu_v2.PATHS, sign=baidu_v2.sign,
    fields=FIELDS, key_label=baidu_v2.KEY, model_list=baidu_v2.MODELS, owned_by="baidu",
    documents=baidu_v2.DOCUMENTS,
)  # fmt: skip
VENDORS = (
    Vendor(
        15, "baidu", "Baidu Qianfan", "https://aip.baidubce.com",
        {**PROTOCOLS, "chat": Protocol(build_chat, parse_chat, stream_chat, fail=fail)},
        sign=sign, exchange=Exchange(ask_token, read_token), fields=FIELDS, key_label="APIKey|SecretKey",
        key_parts=("ak", "sk"), compatible=V2, prefer_compatible=True, owned_by="baidu",
        documents="https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t",
    ),
)  # fmt: skip
