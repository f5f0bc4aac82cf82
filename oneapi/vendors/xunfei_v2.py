"""iFlytek Spark over HTTP: OpenAI's protocol with codes of its own, and much of the shape left out."""

from oneapi.vendors.contract import Vendor
from oneapi.vendors.quirks import Json, adapted, refused_by, reshaped, spoken, system_role, with_default
from oneapi.wire import Call, Request

# https://www.xfyun.cn/doc/spark/HTTP调用文档.html
CODES = {
    "10007": "rate_limited", "10013": "content_filter", "10014": "content_filter", "10019": "content_filter",
    "10907": "too_long", "11200": "auth", "11201": "rate_limited", "11202": "rate_limited", "11203": "rate_limited",
    "10163": "bad_request", "10404": "no_model", "10003": "bad_request", "10004": "bad_request", "10005": "bad_request",
}  # fmt: skip


def place(request: Request, call: Call) -> Request:
    """The reasoning models are served under /v2. https://www.xfyun.cn/doc/spark/X1http.html"""
    if call.model.lower() in ("x1", "spark-x", "spark-x1"):
        request.url = request.url.replace("/v1/chat/", "/v2/chat/")
    return request


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
        choice["finish_reason"] = choice.get("finish_reason") or (ends if piece.get("usage") else None)


CHAT = adapted(
    refused_by(lambda piece: (piece.get("code"), str(piece.get("message") or "")), CODES), shape,
    body=reshaped(system_role, with_default("tool_calls_switch", True, beside="tools")), place=place,
)  # fmt: skip

VENDORS = (
    Vendor(
        48, "xunfei-v2", "iFlytek Spark v2", "https://spark-api-open.xf-yun.com", {"chat": CHAT},
        rename={"max_completion_tokens": "max_tokens"}, key_label="HTTP API password, or APIKey:APISecret", owned_by="xunfeiv2",
        documents="https://www.xfyun.cn/doc/spark/HTTP%E8%B0%83%E7%94%A8%E6%96%87%E6%A1%A3.html",
    ),
)  # fmt: skip
