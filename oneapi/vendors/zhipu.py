"""Zhipu (GLM, CogView): OpenAI-like at /api/paas/v4 with its own ranges and words; the old ChatGLM models speak v3."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import asks, openai, pieces, quirks, shapes
from oneapi.vendors.contract import CODE_KINDS, Protocol, Vendor, bearer, failure
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
FINISH = {"sensitive": "content_filter", "model_context_window_exceeded": "length"}
TOKEN_SECONDS = 86400
PATHS = {
    "chat": "/chat/completions", "embeddings": "/embeddings", "images": "/images/generations", "rerank": "/rerank",
    "speech": "/audio/speech", "transcriptions": "/audio/transcriptions",
}  # fmt: skip


def address(call: Call, path: str, version: str = "v4") -> str:
    """The base URL may name the host only, end in /api (as at api.z.ai) or in /v4 as SDKs want it."""
    base = call.base_url
    if base.endswith("/v4"):
        return base.removesuffix("v4") + version + path
    return base + ("" if base.endswith("/api") else "/api") + f"/paas/{version}{path}"


def old(call: Call) -> bool:
    """ChatGLM's first generation is served by v3 alone."""
    return call.kind == "chat" and call.model.lower().startswith("chatglm")


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


def sign(request: Request, call: Call) -> Request:
    if old(call) or call.config.get("auth") == "jwt":
        request.headers["Authorization"] = token(call.key, call.now)
        return request
    return bearer(request, call)


# Version 4. https://docs.bigmodel.cn/api-reference/模型-api/对话补全


def chat_body(body: Json, call: Call) -> Json:
    sent = {k: v for k, v in body.items() if k not in ("max_completion_tokens", "user", "stream_options")}
    if limit := shapes.max_tokens(body):
        sent["max_tokens"] = limit
    if "stop" in body:
        sent["stop"] = shapes.stop_list(body)
    if asks.choice(body)[0] == "none":
        sent = {k: v for k, v in sent.items() if k not in ("tools", "tool_choice")}
    if (schema := asks.json_mode(body)[1]) is not None:
        sent["response_format"] = {"type": "json_object"}
        sent["messages"] = [{"role": "system", "content": asks.json_instruction(schema)}, *body["messages"]]
    return sent | sampling(body) | thinking(body) | user(body)


def sampling(body: Json) -> Json:
    """Temperature is of (0, 1] there; 0 means to take the likeliest word, which is asked for in another way."""
    found: Json = {}
    if isinstance(body.get("top_p"), int | float):
        found["top_p"] = min(max(body["top_p"], 0.01), 1)
    if isinstance(warmth := body.get("temperature"), int | float):
        found |= {"temperature": min(warmth, 1)} if warmth > 0 else {"temperature": 0.01, "do_sample": False}
    return found


def thinking(body: Json) -> Json:
    effort = asks.effort(body)
    if not effort or "thinking" in body:
        return {}
    return {"thinking": {"type": "disabled" if effort in ("none", "minimal") else "enabled"}}


def user(body: Json) -> Json:
    """Names of users must have 6 to 128 characters; others would fail the whole request."""
    name = body.get("user")
    return {"user_id": name} if isinstance(name, str) and 6 <= len(name) <= 128 else {}


def finish(piece: Json, call: Call, memo: Json) -> None:
    """Finish reasons in OpenAI's words. A chunk that ends in a network error is an error."""
    for choice, _ in quirks.spoken(piece):
        reason = choice.get("finish_reason")
        if reason == "network_error":
            raise VendorError("server", "The vendor's model broke off.", status=200, code=reason)
        choice["finish_reason"] = FINISH.get(reason or "", reason) or None
    piece["model"] = call.asked or call.model


def complete(piece: Json, call: Call, memo: Json) -> None:
    """What OpenAI's clients expect and Zhipu leaves out."""
    chunk = any("delta" in choice for choice in piece.get("choices") or ())
    piece.setdefault("object", "chat.completion.chunk" if chunk else "chat.completion")
    piece.setdefault("created", int(call.now))


def troubled(piece: Json, call: Call, memo: Json) -> None:
    if isinstance(error := piece.get("error"), dict):
        raise pieces.refusal(CODES, error.get("code"), error.get("message"))
    if piece.get("success") is False:
        raise pieces.refusal(CODES, piece.get("code"), piece.get("msg"))


fail = partial(failure, codes=CODE_KINDS | CODES)
V4 = quirks.adapted(troubled, complete, finish, quirks.tool_finish, body=quirks.reshaped(quirks.system_role, chat_body))


def build_chat(call: Call) -> Request:
    return build_v3(call) if old(call) else replace(V4.build(call), url=address(call, PATHS["chat"]))


def parse_chat(reply: Reply, call: Call) -> Json | Reply | Request:
    return parse_v3(reply, call) if old(call) else V4.parse(reply, call)


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    assert V4.stream
    return stream_v3(events, call) if old(call) else tidy(V4.stream(events, call))


def tidy(chunks: Iterable[Json]) -> Iterator[Json]:
    """Zhipu names the role in every chunk and puts the usage on the last one; OpenAI has a chunk of its own for each."""
    first, usage = True, None
    piece: Json = {}
    for piece in chunks:
        if first:
            opening = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            yield {k: v for k, v in piece.items() if k != "usage"} | {"choices": [opening]}
        first, usage = False, piece.pop("usage", None) or usage
        for _, delta in quirks.spoken(piece):
            delta.pop("role", None)
            if delta.get("content") == "":
                del delta["content"]
        yield piece
    if usage:
        yield piece | {"choices": [], "usage": usage}


# Version 3


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
    content = data["choices"][-1]["content"].strip()
    if len(content) > 1 and content[0] == content[-1] == '"':
        content = content[1:-1].replace('\\"', '"').replace("\\n", "\n")
    return shapes.completion(call, {"content": content}, "stop", used_v3(data["usage"]), id=data["task_id"])


def used_v3(usage: Json) -> Json:
    return shapes.usage(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


def stream_v3(events: Iterable[Event], call: Call) -> Iterator[Json]:
    name, joined, used = "", False, None
    for event in events:
        if isinstance(event.data, dict):  # a refusal comes as plain JSON
            troubled(event.data, call, {})
        field, _, value = str(event.data).partition(":")
        if field == "event":
            if not name:
                yield shapes.chunk(call, {"role": "assistant", "content": ""})
            name, joined = value.strip(), False
        elif field == "data" and name in ("error", "interrupted"):
            raise VendorError("content_filter" if name == "interrupted" else "server", value, status=200, code=name)
        elif field == "data" and (value or joined):
            yield shapes.chunk(call, {"content": ("\n" if joined else "") + value})
        elif field == "meta":
            used = used_v3(json.loads(value)["usage"])
        joined = joined or field == "data"
    if name != "finish":
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    yield shapes.chunk(call, {}, "stop")
    if used:
        yield shapes.usage_chunk(call, used)


# Everything else


def build_embeddings(call: Call) -> Request:
    body = {k: v for k, v in call.body.items() if k not in ("encoding_format", "user")}
    return Request(address(call, PATHS["embeddings"]), body | {"input": asks.inputs(call.body)} | user(call.body))


def parse_embeddings(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    troubled(answer, call, {})
    vectors = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
    return pieces.embeddings(call, vectors, shapes.usage(answer["usage"]["prompt_tokens"]))


def build_images(call: Call) -> Request:
    body = {k: v for k, v in call.body.items() if k not in ("n", "response_format", "style", "user")}
    return Request(address(call, PATHS["images"]), body | user(call.body))


def parse_images(reply: Reply, call: Call) -> Json | Request:
    if pieces.downloading(call):
        return pieces.downloaded(reply, call)
    answer = reply.json()
    troubled(answer, call, {})
    return pieces.pictures(call, [item["url"] for item in answer["data"]])


def build_rerank(call: Call) -> Request:
    return Request(address(call, PATHS["rerank"]), dict(call.body))


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    troubled(answer, call, {})
    used = shapes.usage(answer["usage"].get("prompt_tokens") or answer["usage"]["total_tokens"])
    return pieces.ranking(call, [(r["index"], r["relevance_score"]) for r in answer["results"]], used, answer.get("id", ""))


def build_audio(call: Call) -> Request:
    return replace(openai.build(call), url=address(call, PATHS[call.kind]))


AUDIO = Protocol(build_audio, openai.parse, fail=fail)
VENDORS = (
    Vendor(
        16, "zhipu", "Zhipu GLM", "https://open.bigmodel.cn",
        {
            "chat": Protocol(build_chat, parse_chat, stream_chat, fail=fail),
            "embeddings": Protocol(build_embeddings, parse_embeddings, fail=fail),
            "images": Protocol(build_images, parse_images, fail=fail),
            "rerank": Protocol(build_rerank, parse_rerank, fail=fail),
            "speech": AUDIO, "transcriptions": AUDIO,
        },
        sign=pieces.at_home(sign), refuses_usage=True, owned_by="zhipu", key_label="API key (id.secret)",
        fields=(Field("auth", str, "key", "Authorization", "The key as it is, or a token signed with it for old deployments.",
                      choices=("key", "jwt")),),
        documents="https://docs.bigmodel.cn/api-reference/模型-api/对话补全",
    ),
)  # fmt: skip
