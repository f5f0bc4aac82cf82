"""Rows: where calls go, what travels, and what stops the start-up."""

from typing import Any

import pytest

from oneapi import vendors
from oneapi.vendors import openai
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

MESSAGES = [{"role": "user", "content": "hi"}]


def call_of(slug: str, kind: str = "chat", **more: Any) -> Call:
    row = vendors.by_slug(slug)
    body = more.pop("body", {"model": "m", "messages": MESSAGES})
    base_url = more.pop("base_url", "") or row.base_url
    return Call(kind, body, "m", base_url, "sk", vendor=row, **more)


def build(slug: str, kind: str = "chat", **more: Any) -> Request:
    call = call_of(slug, kind, **more)
    return vendors.guarded_build(call.vendor.protocols[kind], call)


PLACES = [
    ("openai", "chat", "", "https://api.openai.com/v1/chat/completions"),
    ("openai", "speech", "", "https://api.openai.com/v1/audio/speech"),
    ("openai", "rerank", "https://proxy.example/x/v1", "https://proxy.example/x/v1/rerank"),
    ("openai", "chat", "https://gateway.ai.cloudflare.com/v1/a/g/openai",
     "https://gateway.ai.cloudflare.com/v1/a/g/openai/chat/completions"),
    ("groq", "chat", "https://gateway.ai.cloudflare.com/v1/a/g/groq",
     "https://gateway.ai.cloudflare.com/v1/a/g/groq/chat/completions"),
    ("mistral", "chat", "https://gateway.ai.cloudflare.com/v1/a/g/mistral",
     "https://gateway.ai.cloudflare.com/v1/a/g/mistral/v1/chat/completions"),
    ("custom", "embeddings", "https://host.example", "https://host.example/v1/embeddings"),
    ("openai-compatible", "chat", "https://host.example/api/v1", "https://host.example/api/v1/chat/completions"),
    ("openai-compatible", "images", "https://host.example/v4", "https://host.example/v4/images/generations"),
    ("openrouter", "chat", "", "https://openrouter.ai/api/v1/chat/completions"),
    ("fastgpt", "chat", "", "https://fastgpt.run/api/openapi/v1/chat/completions"),
    ("groq", "transcriptions", "", "https://api.groq.com/openai/v1/audio/transcriptions"),
    ("minimax", "chat", "https://api.minimax.io", "https://api.minimax.io/v1/chat/completions"),
    ("doubao", "images", "", "https://ark.cn-beijing.volces.com/api/v3/images/generations"),
    ("doubao", "chat", "https://ark.example/api/v3", "https://ark.example/api/v3/chat/completions"),
    ("deepseek", "completions", "", "https://api.deepseek.com/beta/completions"),
    ("deepseek", "completions", "https://mirror.example/v1", "https://mirror.example/beta/completions"),
    ("novita", "rerank", "https://mirror.example/v3/openai", "https://mirror.example/openai/v1/rerank"),
    ("xunfei-v2", "chat", "https://mirror.example", "https://mirror.example/v1/chat/completions"),
    ("novita", "embeddings", "", "https://api.novita.ai/v3/openai/embeddings"),
    ("baidu-v2", "rerank", "", "https://qianfan.baidubce.com/v2/rerank"),
    ("ali-bailian", "embeddings", "https://dashscope-intl.aliyuncs.com",
     "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/embeddings"),
    ("ali-bailian", "chat", "https://w.example/compatible-mode/v1", "https://w.example/compatible-mode/v1/chat/completions"),
    ("gemini-openai", "embeddings", "", "https://generativelanguage.googleapis.com/v1beta/openai/embeddings"),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "kind", "base_url", "url"), PLACES, ids=[f"{p[0]}-{p[1]}-{i}" for i, p in enumerate(PLACES)])
def test_a_call_goes_to_the_vendors_place(slug: str, kind: str, base_url: str, url: str) -> None:
    assert build(slug, kind, base_url=base_url).url == url


def test_the_query_travels_only_when_the_client_spoke_openai() -> None:
    assert build("openai", path="/v1/chat/completions", query="a=1").url.endswith("/v1/chat/completions?a=1")
    assert build("openai", path="/v1/messages", query="beta=true").url.endswith("/v1/chat/completions")


def test_a_paths_model_is_filled_in() -> None:
    row = Vendor(900, "x", "X", "https://x.example", paths={"chat": "/models/{model}/chat"})
    call = Call("chat", {}, "a-b", "https://x.example", "k", vendor=vendors.complete(row))
    assert openai.build(call).url == "https://x.example/models/a-b/chat"


def test_an_untouched_body_is_not_copied() -> None:
    body = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    assert build("openai", body=body, streaming=True).body is body
    assert build("openai", "embeddings", body=body).body is body


ASKED_FOR_USAGE = {"include_usage": True}
OPTIONS = [
    ("openai", "chat", {}, {"stream": True, "stream_options": ASKED_FOR_USAGE}),
    ("openai", "chat", {"stream_options": {"include_usage": False, "x": 1}},
     {"stream": True, "stream_options": {"include_usage": True, "x": 1}}),
    ("openai", "chat", {"stream_options": None}, {"stream": True, "stream_options": ASKED_FOR_USAGE}),
    ("openai", "completions", {}, {"stream": True, "stream_options": ASKED_FOR_USAGE}),
    ("openai", "images", {}, {"stream": True}),
    ("mistral", "chat", {"stream_options": ASKED_FOR_USAGE}, {"stream": True}),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "kind", "given", "sent"), OPTIONS)
def test_a_stream_is_asked_for_its_usage_where_the_vendor_knows_how(slug: str, kind: str, given: Any, sent: Any) -> None:
    body = build(slug, kind, body={"model": "m", **given}, streaming=True).body
    assert body == {"model": "m"} | sent


def test_renames_and_refusals_of_a_row_are_applied_to_a_copy() -> None:
    body = {"model": "m", "seed": 1, "user": "u", "max_completion_tokens": 5, "max_tokens": 9, "temperature": 0}
    fitted = vendors.suited(vendors.by_slug("mistral"), body)
    assert fitted == {"model": "m", "random_seed": 1, "max_tokens": 5, "temperature": 0}
    assert "seed" in body
    assert vendors.suited(vendors.by_slug("openai"), body) is body


def test_headers_of_client_and_row_travel() -> None:
    found = build("openrouter", headers={"openai-organization": "org-1"})
    assert found.headers["openai-organization"] == "org-1"
    assert found.headers["X-Title"] == "One API"
    found.headers["X-Other"] = "1"
    assert "X-Other" not in vendors.by_slug("openrouter").headers


OWNERS = {
    1: "openai", 3: "azure", 19: "360", 20: "openrouter", 25: "moonshot", 26: "baichuan", 27: "minimax", 28: "mistralai",
    29: "groq", 31: "lingyiwanwu", 32: "stepfun", 36: "deepseek", 39: "together.ai", 40: "doubao", 41: "novita",
    44: "siliconflow", 45: "xai", 47: "baiduv2", 48: "xunfeiv2", 49: "alibailian", 51: "geminiv2",
}  # fmt: skip


def test_ids_keep_their_owners() -> None:
    assert {id: vendors.by_id(id).owned_by for id in OWNERS} == OWNERS
    assert {2, 4, 5, 6, 7, 8, 9, 10, 12, 13, 22, 50} <= vendors.REGISTRY.keys()


@pytest.mark.parametrize("twin", [Vendor(1, "other", "Other"), Vendor(2, "one", "Other")], ids=["id", "slug"])
def test_two_rows_of_one_id_or_slug_stop_the_start_up(twin: Vendor) -> None:
    with pytest.raises(ValueError, match="have the same"):
        vendors.registry([Vendor(1, "one", "One"), twin])


def test_a_row_without_protocols_speaks_openais() -> None:
    found = vendors.registry([Vendor(1, "one", "One", compatible=Vendor(1, "one-openai", "One"))])[1]
    assert found.protocols == openai.PROTOCOLS
    assert found.compatible is not None and found.compatible.protocols == openai.PROTOCOLS


def tripping(*_: Any) -> Any:
    return {}["missing"]


def test_what_an_adapter_trips_over_is_told_as_an_error() -> None:
    def broken(events: Any, call: Call) -> Any:
        yield {"id": "1"}
        raise OverflowError("too much")

    protocol = Protocol(tripping, tripping, broken, fail=tripping)
    call, reply = call_of("openai"), Reply(200, {}, b"")
    with pytest.raises(VendorError) as built:
        vendors.guarded_build(protocol, call)
    with pytest.raises(VendorError) as parsed:
        vendors.guarded_parse(protocol, reply, call)
    chunks = vendors.guarded_stream(protocol, [], call)
    assert next(chunks) == {"id": "1"}
    with pytest.raises(VendorError) as streamed:
        next(chunks)
    kinds = [found.value.kind for found in (built, parsed, streamed)] + [vendors.guarded_fail(protocol, reply, call).kind]
    assert kinds == ["bad_request", "garbled", "garbled", "garbled"]


def test_a_vendor_that_cannot_stream_says_so() -> None:
    with pytest.raises(VendorError) as caught:
        next(vendors.guarded_stream(Protocol(tripping, tripping), [Event({})], call_of("openai")))
    assert caught.value.kind == "bad_request"


SOUND = Reply(200, {"content-type": "audio/mpeg"}, b"\xff\xfb\x90")
UNSOUND = [
    Reply(200, {"content-type": "audio/mpeg"}, b""),
    Reply(200, {"content-type": "text/html"}, b"<p>"),
    Reply(200, {}, b"\n <!DOCTYPE html>"),
    Reply(200, {"content-type": "application/json"}, b"[]"),
    Reply(200, {"content-type": "application/json"}, b'{"error":{"message":"no","code":429}}'),
]


def test_sound_travels_as_it_is_and_documents_do_not() -> None:
    protocol, call = openai.OPENAI, call_of("openai", "speech")
    assert vendors.guarded_parse(protocol, SOUND, call) is SOUND
    for reply in UNSOUND:
        with pytest.raises(VendorError):
            vendors.guarded_parse(protocol, reply, call)


FAULTS = [
    ({"error": {"message": "m", "code": 429}}, "rate_limited"),
    ({"error": {"message": "m", "code": "402"}}, "quota"),
    ({"error": {"message": "m", "code": 12345}}, "server"),
    ({"error": {"message": "m", "type": "invalid_request_error"}}, "bad_request"),
    ({"error": {"message": "m", "type": "insufficient_quota"}}, "quota"),
    ({"error": {"message": "m", "code": "content_filter"}}, "content_filter"),
    ({"error": "m"}, "server"),
    ({"error": {"code": None, "message": "m"}}, "server"),
]


@pytest.mark.parametrize(("body", "kind"), FAULTS)
def test_an_error_under_http_200_has_its_kind(body: dict[str, Any], kind: str) -> None:
    error = openai.fault(body)
    assert (error.kind, error.message, error.status) == (kind, "m", 200)
