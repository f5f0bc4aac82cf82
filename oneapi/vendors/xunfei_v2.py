"""iFlytek Spark over HTTP: OpenAI's protocol with codes of its own, and much of the shape left out.

The codes and the names of versions are those of the WebSocket, too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from oneapi.vendors import shapes
from oneapi.vendors.contract import Vendor, bearer
from oneapi.vendors.quirks import Json, adapted, reshaped, spoken, system_role, with_default
from oneapi.vendors.refusals import refused_by
from oneapi.wire import Call, Event, Request

# https://www.xfyun.cn/doc/spark/接口说明.html
CODES = {
    "10000": "server", "10001": "server", "10002": "server", "10003": "bad_request", "10004": "bad_request",
    "10005": "bad_request", "10006": "rate_limited",
    "10007": "rate_limited", "10008": "rate_limited", "10009": "server", "10010": "server",
    "10011": "server", "10012": "server", "10013": "content_filter", "10014": "content_filter", "10015": "auth", "10016": "auth",
    "10017": "bad_request", "10018": "server", "10019": "content_filter", "10021": "content_filter", "10022": "server",
    "10110": "overloaded", "10163": "bad_request", "10404": "no_model", "10907": "too_long", "11200": "auth",
    "11201": "rate_limited", "11202": "rate_limited", "11203": "rate_limited",
}  # fmt: skip
# Version → domain and path; the name of a model or the channel's `api_version` leads to the version.
VERSIONS = {
    "v1.1": ("lite", "/v1.1/chat"), "v2.1": ("generalv2", "/v2.1/chat"), "v3.1": ("generalv3", "/v3.1/chat"),
    "v3.1-128k": ("pro-128k", "/chat/pro-128k"), "v3.5": ("generalv3.5", "/v3.5/chat"), "v3.5-32k": ("max-32k", "/chat/max-32k"),
    "v4.0": ("4.0Ultra", "/v4.0/chat"), "x1": ("spark-x", "/v1/x1"), "x2": ("spark-x", "/x2"),
}  # fmt: skip
MODELS = {
    "spark-lite": "v1.1", "lite": "v1.1", "general": "v1.1", "generalv2": "v2.1", "spark-pro": "v3.1", "generalv3": "v3.1",
    "spark-pro-128k": "v3.1-128k", "pro-128k": "v3.1-128k", "spark-max": "v3.5", "generalv3.5": "v3.5",
    "spark-max-32k": "v3.5-32k", "max-32k": "v3.5-32k", "spark-4.0-ultra": "v4.0", "4.0ultra": "v4.0", "x1": "x1",
    "spark-x1": "x1", "spark-x1.5": "x1", "spark-x": "x1", "x2": "x2", "spark-x2": "x2",
}  # fmt: skip
HOST, PREVIEW = "https://spark-api-open.xf-yun.com", "x1-preview"
# Where reasoning models are; all others are under /v1. https://www.xfyun.cn/doc/spark/X1http.html
HTTP_PATHS = {"x1": "/v2", "x2": "/x2"}
PATH = "/chat/completions"


def shape(piece: Json, call: Call, memo: Json) -> None:
    """Spark leaves out what it takes for granted: object, model, finish reasons, and the list around one tool call."""
    chunk = any("delta" in choice for choice in piece.get("choices") or ())
    piece.setdefault("object", "chat.completion.chunk" if chunk else "chat.completion")
    piece.setdefault("model", call.asked or call.model)
    piece.setdefault("id", piece.get("sid") or f"chatcmpl-{call.id}")
    piece.setdefault("created", int(call.now))
    for key in ("code", "message", "sid"):
        piece.pop(key, None)
    for choice, message in spoken(piece):
        if isinstance(message.get("tool_calls"), dict):
            message["tool_calls"] = [message["tool_calls"] | ({"index": 0} if chunk else {})]
        memo["tools"] = memo.get("tools") or bool(message.get("tool_calls"))
        ends = "tool_calls" if memo["tools"] else "stop"
        last = "message" in choice or bool(piece.get("usage"))
        choice["finish_reason"] = choice.get("finish_reason") or (ends if last else None)


CHAT = adapted(
    refused_by(lambda piece: (piece.get("code"), str(piece.get("message") or "")), CODES), shape,
    body=reshaped(system_role, with_default("tool_calls_switch", True, beside="tools")), codes=CODES,
)  # fmt: skip


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """The last chunk is known by its usage; a stream without one ends with `[DONE]` alone."""
    assert CHAT.stream
    ended = called = False
    piece: Json = {}
    for piece in CHAT.stream(events, call):
        for choice, delta in spoken(piece):
            ended, called = ended or bool(choice.get("finish_reason")), called or bool(delta.get("tool_calls"))
        yield piece
    if not ended:
        yield shapes.chunk(call, {}, "tool_calls" if called else "stop", id=piece.get("id") or "")


# Over HTTP a model goes by its domain. https://www.xfyun.cn/doc/spark/HTTP调用文档.html


def build(call: Call) -> Request:
    """The base URL may end in the path of one model, as SDKs want it."""
    name = call.model.lower()
    known = MODELS.get(name)
    model = VERSIONS[known][0] if known and name != "x1" else call.model  # x1 is a name of theirs here
    made = CHAT.build(replace(call, model=model, body=call.body | {"model": model}))
    if call.base_url.endswith(("/v1", "/v2", "/x2")):
        return replace(made, url=call.base_url + PATH)
    host = HOST.replace("-open.", "-open-preview.") if (name, call.base_url) == (PREVIEW, HOST) else call.base_url
    return replace(made, url=host + ("/v2" if name == PREVIEW else HTTP_PATHS.get(known or "", "/v1")) + PATH)


def sign_http(request: Request, call: Call) -> Request:
    """A key of three parts serves HTTP as APIKey:APISecret. https://www.xfyun.cn/doc/spark/X1http.html"""
    key, secret = call.config.get("api_key"), call.config.get("api_secret")
    if not (key and secret):
        return bearer(request, call)
    request.headers["Authorization"] = f"Bearer {key}:{secret}"
    return request


PARTS = ("app_id", "api_secret", "api_key")
DOCUMENTS = "https://www.xfyun.cn/doc/spark/"
COMPATIBLE = Vendor(
    18, "xunfei", "iFlytek Spark", HOST, {"chat": replace(CHAT, build=build, stream=stream)},
    rename={"max_completion_tokens": "max_tokens"}, sign=sign_http, key_parts=PARTS, owned_by="xunfei",
    key_label="HTTP API password, or APPID|APISecret|APIKey",
    documents=DOCUMENTS + "HTTP%E8%B0%83%E7%94%A8%E6%96%87%E6%A1%A3.html",
)  # fmt: skip

VENDORS = (
    Vendor(
        48, "xunfei-v2", "iFlytek Spark v2", HOST, {"chat": replace(CHAT, build=build, stream=stream)},
        rename={"max_completion_tokens": "max_tokens"}, key_label="HTTP API password, or APIKey:APISecret", owned_by="xunfeiv2",
        documents="https://www.xfyun.cn/doc/spark/HTTP%E8%B0%83%E7%94%A8%E6%96%87%E6%A1%A3.html",
    ),
)  # fmt: skip
