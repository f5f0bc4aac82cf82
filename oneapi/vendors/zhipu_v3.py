"""Zhipu's version 3, which the old ChatGLM models speak, and what both versions share: addresses, tokens, codes, ranges."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import pieces, quirks, reports, shapes
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

# https://docs.bigmodel.cn/cn/api/api-code and https://docs.z.ai/api-reference/api-code
CODES = {
    "500": "server", "1000": "auth", "1001": "auth", "1002": "auth", "1003": "auth", "1004": "auth", "1100": "auth",
    "1110": "auth", "1111": "auth", "1112": "auth", "1113": "quota", "1120": "server", "1121": "auth", "1200": "server",
    "1210": "bad_request", "1211": "no_model", "1212": "bad_request", "1213": "bad_request", "1214": "bad_request",
    "1215": "bad_request", "1220": "auth", "1221": "no_model", "1222": "no_model", "1230": "server", "1231": "bad_request",
    "1234": "server", "1261": "too_long", "1300": "content_filter", "1301": "content_filter", "1302": "rate_limited",
    "1303": "rate_limited", "1304": "rate_limited", "1305": "overloaded", "1308": "rate_limited", "1309": "quota",
    "1310": "rate_limited", "1311": "no_model", "1312": "overloaded", "1313": "rate_limited",
}  # fmt: skip
TOKEN_SECONDS = 86400


def address(call: Call, path: str, version: str = "v4") -> str:
    """The base URL may name the host only, end in /api (as at api.z.ai) or in /v4 as SDKs want it."""
    base = call.base_url
    if base.endswith("/v4"):
        return base.removesuffix("v4") + version + path
    return base + ("" if base.endswith("/api") else "/api") + f"/paas/{version}{path}"


def token(key: str, now: float) -> str:
    """The JWT that stands for an `id.secret` key. https://docs.bigmodel.cn/cn/guide/start/quick-start"""
    id, _, secret = key.partition(".")
    moment = int(now * 1000)
    head = {"alg": "HS256", "sign_type": "SIGN", "typ": "JWT"}
    claims = {"api_key": id, "exp": moment + TOKEN_SECONDS * 1000, "timestamp": moment}
    signed = ".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return f"{signed}.{_base64(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def sampling(body: Json) -> Json:
    """Temperature is of (0, 1] there; 0 means to take the likeliest word, which is asked for in another way."""
    found: Json = {}
    if isinstance(body.get("top_p"), int | float):
        found["top_p"] = min(max(body["top_p"], 0.01), 1)
    if isinstance(warmth := body.get("temperature"), int | float):
        found |= {"temperature": min(warmth, 1)} if warmth > 0 else {"temperature": 0.01, "do_sample": False}
    return found


def troubled(piece: Json, call: Call, memo: Json) -> None:
    if (error := piece.get("error")) and isinstance(error, dict):
        raise pieces.refusal(CODES, error.get("code"), error.get("message"))
    if piece.get("success") is False and piece.get("code") is not None:
        raise pieces.refusal(CODES, piece.get("code"), piece.get("msg") or piece.get("message"))


def build_v3(call: Call) -> Request:
    """The stream's last line is `meta:`, which is none of SSE's, so that it is read line by line."""
    messages = quirks.system_role(call.body, call)["messages"]
    if any(m["role"] not in ("system", "user", "assistant") for m in messages):
        raise VendorError("bad_request", "ChatGLM knows no tools.", param="messages")
    prompt = [{"role": m["role"], "content": pieces.plain_text(m, "ChatGLM")} for m in messages]
    body = {"prompt": prompt, **{k: v for k, v in sampling(call.body).items() if k != "do_sample"}, "incremental": True}
    if not call.streaming:
        return Request(address(call, f"/model-api/{call.model}/invoke", "v3"), body)
    url = address(call, f"/model-api/{call.model}/sse-invoke", "v3")
    return Request(url, body, {"Accept": "text/event-stream"}, framing="ndjson")


def parse_v3(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    troubled(answer, call, {})
    data = answer["data"]
    content = unquoted(data["choices"][-1]["content"])
    return shapes.completion(call, {"content": content}, "stop", used_v3(data.get("usage")), id=data.get("task_id") or "")


def unquoted(text: str) -> str:
    """The words of a whole answer, which come as the JSON of a string; a text that is not JSON is taken as it is."""
    try:
        found = json.loads(text, strict=False) if text.strip().startswith('"') else text
    except ValueError:
        return text
    return found if isinstance(found, str) else text


def used_v3(usage: Json | None) -> Json:
    usage = reports.numbers(usage)
    return shapes.usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)


def stream_v3(events: Iterable[Event], call: Call) -> Iterator[Json]:
    name, joined, used = "", False, None
    for event in events:
        if isinstance(event.data, dict):  # a refusal comes as plain JSON
            troubled(event.data, call, {})
        field, _, value = str(event.data).partition(":")
        value = value.removeprefix(" ")  # one blank after the colon belongs to server-sent events, more are the model's
        if field == "event":
            if not name:
                yield shapes.chunk(call, {"role": "assistant", "content": ""})
            name, joined = value.strip(), False
        elif field == "data" and name in ("error", "interrupted"):
            raise VendorError("content_filter" if name == "interrupted" else "server", value, status=200, code=name)
        elif field == "data" and (value or joined):
            yield shapes.chunk(call, {"content": ("\n" if joined else "") + value})
        elif field == "meta":
            used = reports.note(call, used_v3(json.loads(value).get("usage")))
        joined = joined or field == "data"
    if name != "finish":
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, "stop")
    if used:
        yield shapes.usage_chunk(call, used)
