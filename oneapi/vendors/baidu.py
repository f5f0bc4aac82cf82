"""Baidu Qianfan v1 (ERNIE): key and secret become a token in the query, one tool call at a time, errors under HTTP 200."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from oneapi.fields import Field
from oneapi.vendors import asks, balances, openai, pieces, shapes
from oneapi.vendors.contract import Exchange, Protocol, Vendor, bearer, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
CODES = {
    "1": "server", "2": "overloaded", "3": "no_model", "4": "overloaded", "6": "auth", "13": "auth", "14": "auth", "15": "server",
    "17": "rate_limited", "18": "rate_limited", "19": "rate_limited", "100": "bad_request", "110": "auth", "111": "auth",
    "336000": "server", "336001": "bad_request", "336002": "bad_request", "336003": "bad_request", "336004": "auth",
    "336005": "no_model", "336006": "bad_request", "336007": "too_long", "336100": "overloaded", "336101": "bad_request",
    "336103": "too_long", "336104": "bad_request", "336105": "bad_request", "336200": "server", "336303": "server",
    "336304": "content_filter", "336501": "rate_limited", "336502": "rate_limited", "336503": "rate_limited",
    "336504": "rate_limited", "500000": "server",
}  # fmt: skip
# Models whose last part of the address is not their name in lower case.
ENDPOINTS = {
    "ernie-4.0": "completions_pro", "ernie-bot-4": "completions_pro", "ernie-4.0-8k": "completions_pro",
    "ernie-bot": "completions", "ernie-3.5-8k": "completions", "ernie-bot-turbo": "eb-instant",
    "ernie-lite-8k-0922": "eb-instant", "ernie-bot-8k": "ernie_bot_8k", "ernie-speed": "ernie_speed",
    "ernie-speed-8k": "ernie_speed", "bloomz-7b": "bloomz_7b1", "bge-large-zh": "bge_large_zh", "bge-large-en": "bge_large_en",
    "tao-8k": "tao_8k", "stable-diffusion-xl": "sd_xl", "bce-reranker-base": "bce_reranker_base",
    "bce-reranker-base_v1": "bce_reranker_base",
}  # fmt: skip
SERVICES = {"chat": "chat", "embeddings": "embeddings", "images": "text2image", "rerank": "reranker"}
FINISH = {"normal": "stop", "stop": "stop", "length": "length", "content_filter": "content_filter", "function_call": "tool_calls"}
KEPT = (
    "penalty_score", "disable_search", "enable_citation", "enable_trace", "enable_system_memory", "system_memory_id",
    "user_setting", "top_k",
)  # fmt: skip
WHO = "ERNIE over Qianfan v1"


def address(call: Call) -> str:
    endpoint = ENDPOINTS.get(call.model.lower(), call.model.lower())
    return f"{call.base_url}/rpc/2.0/ai_custom/v1/wenxinworkshop/{SERVICES[call.kind]}/{quote(endpoint, safe='')}"


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


def read(reply: Reply) -> Json:
    answer = reply.json()
    troubled(answer, reply.status)
    return answer


def troubled(piece: Json, status: int = 200) -> None:
    if piece.get("error_code"):
        raise pieces.refusal(CODES, piece["error_code"], piece.get("error_msg"), status)


def fail(reply: Reply, call: Call) -> VendorError:
    try:
        troubled(reply.json(), reply.status)
    except VendorError as error:
        return error
    except (ValueError, AttributeError):
        pass
    return failure(reply, call)


# Chat. https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t


def build_chat(call: Call) -> Request:
    body = call.body
    system, turns = asks.conversation(body)
    wants_json, schema = asks.json_mode(body)
    sent: Json = {"messages": list(alternating(turns))}
    wishes = [asks.system_text(system)] + ([asks.json_instruction(schema)] if schema else [])
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
    usage = piece.get("usage") or {}
    prompt, total = usage.get("prompt_tokens") or 0, usage.get("total_tokens") or 0
    return shapes.usage(prompt, usage.get("completion_tokens") or max(total - prompt, 0))


def finish(piece: Json, called: bool) -> str:
    reason = "length" if piece.get("is_truncated") else FINISH.get(piece.get("finish_reason") or "normal", "stop")
    return "tool_calls" if called and reason == "stop" else reason


def parse_chat(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    message: Json = {"content": answer["result"]}
    if function := answer.get("function_call"):
        named = shapes.tool_call(f"call_{answer['id']}", function["name"], function.get("arguments") or "{}")
        message |= {"content": answer["result"] or None, "tool_calls": [named]}
    return shapes.completion(call, message, finish(answer, bool(function)), used(answer), id=answer["id"])


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    calls, id, last = pieces.ToolCalls(), "", {}
    for last in shapes.objects(events):
        troubled(last)
        if not id:
            id = last["id"]
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        if last["result"]:
            yield shapes.chunk(call, {"content": last["result"]}, id=id)
        if function := last.get("function_call"):
            said = calls.deltas(function["name"], f"call_{id}", function["name"], function.get("arguments") or "{}")
            yield from (shapes.chunk(call, delta, id=id) for delta in said)
        if last.get("is_end"):
            break
    if not last.get("is_end"):
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, finish(last, bool(calls)), id=id)
    yield shapes.usage_chunk(call, used(last), id=id)


# Everything else


def build_embeddings(call: Call) -> Request:
    return Request(address(call), {"input": asks.inputs(call.body)} | user(call.body))


def user(body: Json) -> Json:
    return {"user_id": body["user"]} if body.get("user") else {}


def parse_embeddings(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    vectors = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
    return pieces.embeddings(call, vectors, shapes.usage(answer["usage"]["prompt_tokens"]))


def build_images(call: Call) -> Request:
    """https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Klkqubb9w"""
    body = {k: v for k, v in call.body.items() if k not in ("model", "response_format", "quality", "user")}
    return Request(address(call), body | user(call.body))


def parse_images(reply: Reply, call: Call) -> Json:
    """Baidu has no addresses to give: who insists on one gets a data URL."""
    drawn = [item["b64_image"] for item in read(reply)["data"]]
    if call.body.get("response_format") == "url":
        return {"created": int(call.now), "data": [{"url": f"data:image/png;base64,{image}"} for image in drawn]}
    return {"created": int(call.now), "data": [{"b64_json": image} for image in drawn]}


def build_rerank(call: Call) -> Request:
    return Request(address(call), {k: call.body[k] for k in ("query", "documents", "top_n") if k in call.body})


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    results = [(item["index"], item["relevance_score"]) for item in answer["results"]]
    return pieces.ranking(call, results, shapes.usage(answer["usage"]["prompt_tokens"]), answer["id"])


# Version 2 speaks OpenAI's protocol. https://cloud.baidu.com/doc/qianfan-api/s/3m9b5lqft


def sign_v2(request: Request, call: Call) -> Request:
    if call.config.get("appid"):
        request.headers["appid"] = call.config["appid"]
    return bearer(request, call)


KINDS = ("chat", "embeddings", "images", "image_edits", "rerank")
APPID = Field("appid", str, "", "Application id", "Optional, for version 2: usage is then counted for this application.")
V2 = Vendor(
    15, "baidu", "Baidu Qianfan", "https://qianfan.baidubce.com", dict.fromkeys(KINDS, openai.OPENAI),
    {kind: "/v2" + openai.PATHS[kind].removeprefix("/v1") for kind in KINDS}, sign=sign_v2, fields=(APPID,),
    key_label="API key (bce-v3/ALTAK-…)", model_list=balances.models("/v2/models"), owned_by="baidu",
    documents="https://cloud.baidu.com/doc/qianfan-api/s/3m9b5lqft",
)  # fmt: skip
VENDORS = (
    Vendor(
        15, "baidu", "Baidu Qianfan", "https://aip.baidubce.com",
        {
            "chat": Protocol(build_chat, parse_chat, stream_chat, fail=fail),
            "embeddings": Protocol(build_embeddings, parse_embeddings, fail=fail),
            "images": Protocol(build_images, parse_images, fail=fail),
            "rerank": Protocol(build_rerank, parse_rerank, fail=fail),
        },
        sign=sign, exchange=Exchange(ask_token, read_token), fields=(APPID,), key_label="APIKey|SecretKey",
        key_parts=("ak", "sk"), compatible=V2, prefer_compatible=True, owned_by="baidu",
        documents="https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t",
    ),
)  # fmt: skip
