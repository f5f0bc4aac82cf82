"""Zhipu (GLM, CogView): OpenAI-like at /api/paas/v4 with its own ranges and words; the old ChatGLM models speak v3."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import asks, balances, fees, openai, pieces, quirks, refusals, reports, shapes
from oneapi.vendors.contract import ModelList, Protocol, Vendor, bearer
from oneapi.vendors.zhipu_v3 import CODES, address, build_v3, parse_v3, sampling, stream_v3, token, troubled
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

FINISH = {"sensitive": "content_filter", "model_context_window_exceeded": "length"}
TEXTS = 64  # to embed at once. https://docs.bigmodel.cn/api-reference/模型-api/文本嵌入
PATHS = {
    "chat": "/chat/completions", "embeddings": "/embeddings", "images": "/images/generations", "rerank": "/rerank",
    "speech": "/audio/speech", "transcriptions": "/audio/transcriptions",
}  # fmt: skip


def old(call: Call) -> bool:
    """ChatGLM's first generation is served by v3 alone."""
    return call.kind == "chat" and call.model.lower().startswith("chatglm")


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
    return sent | sampling(body) | thinking(body) | user(body)


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


fail = refusals.failing(CODES)
BODY = quirks.reshaped(quirks.system_role, quirks.json_in_words, chat_body)
V4 = quirks.adapted(troubled, complete, finish, fees.listed_search, body=BODY)


def build_chat(call: Call) -> Request:
    return build_v3(call) if old(call) else replace(V4.build(call), url=address(call, PATHS["chat"]))


def parse_chat(reply: Reply, call: Call) -> Json | Reply | Request:
    return parse_v3(reply, call) if old(call) else V4.parse(reply, call)


def stream_chat(events: Iterable[Event], call: Call) -> Iterator[Json]:
    assert V4.stream
    return stream_v3(events, call) if old(call) else tidy(V4.stream(events, call), call)


def tidy(chunks: Iterable[Json], call: Call) -> Iterator[Json]:
    """Zhipu names the role in every chunk and puts the usage on the last one; OpenAI has a chunk of its own for each."""
    first = True
    piece: Json = {}
    for piece in chunks:
        if first:
            opening = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            yield {k: v for k, v in piece.items() if k != "usage"} | {"choices": [opening]}
        first = False
        if used := piece.pop("usage", None):
            reports.note(call, used)
        for _, delta in quirks.spoken(piece):
            delta.pop("role", None)
            if delta.get("content") == "":
                del delta["content"]
        yield piece
    if call.reported:
        yield piece | {"choices": [], "usage": call.reported}


# Everything else


def build_embeddings(call: Call) -> Request:
    body = {k: v for k, v in call.body.items() if k not in ("encoding_format", "user")}
    texts = pieces.next_inputs(call, TEXTS)
    return Request(address(call, PATHS["embeddings"]), body | {"input": texts} | user(call.body))


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    answer = reply.json()
    troubled(answer, call, {})
    vectors = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item.get("index") or 0)]
    return pieces.gathered(call, vectors, (answer.get("usage") or {}).get("prompt_tokens") or 0) or build_embeddings(call)


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
    texts = [pieces.ranked_text(item) for item in call.body["documents"]]
    return Request(address(call, PATHS["rerank"]), call.body | {"documents": texts})


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    troubled(answer, call, {})
    usage = answer.get("usage") or {}
    used = shapes.usage(usage.get("prompt_tokens") or usage.get("total_tokens") or 0)
    return pieces.ranking(call, [(r["index"], r["relevance_score"]) for r in answer["results"]], used, answer.get("id") or "")


def build_audio(call: Call) -> Request:
    return replace(openai.build(call), url=address(call, PATHS[call.kind]))


def ask_models(call: Call) -> Request:
    return Request(address(call, "/models"), method="GET")


MODELS = ModelList(ask_models, balances.MODELS.parse)
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
        sign=pieces.at_home(sign), timed=True, refuses_usage=True, model_list=MODELS, owned_by="zhipu", voice="tongtong",
        key_label="API key (id.secret)",
        fields=(Field("auth", str, "key", "Authorization", "The key as it is, or a token signed with it for old deployments.",
                      choices=("key", "jwt")),),
        documents="https://docs.bigmodel.cn/api-reference/模型-api/对话补全",
    ),
)  # fmt: skip
