"""Tencent's SDK agrees with our adapter in action, headers, body and signature, and reads our fixtures as our goldens do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.hunyuan.v20230901 import models
from tencentcloud.hunyuan.v20230901.hunyuan_client import HunyuanClient

from oneapi import vendors
from oneapi.vendors import tc3
from oneapi.wire import Call, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "tencent"
ID, SECRET = "AKIDexample0001", "secretexample0001"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


def client(recorder: Recorder, region: str = "") -> HunyuanClient:
    place = urlsplit(recorder.url)
    return HunyuanClient(
        Credential(ID, SECRET), region, ClientProfile(httpProfile=HttpProfile(endpoint=place.netloc, protocol="http"))
    )


def asked(kind: type, body: dict[str, Any]) -> Any:
    found = kind()
    found.from_json_string(json.dumps(body))
    return found


def ours(recorder: Recorder, kind: str, body: dict[str, Any], **config: str) -> Request:
    row = vendors.by_slug("tencent")
    config = {"secret_id": ID, "secret_key": SECRET, **config}
    now = float(recorder.last.headers["x-tc-timestamp"])
    call = Call(kind, body, body["model"], recorder.url, "", bool(body.get("stream")), config, now=now, vendor=row)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def agree(request: Request, recorder: Recorder) -> None:
    theirs = recorder.last
    assert (request.method, request.url) == (theirs.method, recorder.url + theirs.path)
    sent = {name.lower(): value for name, value in request.headers.items()}
    for name in ("x-tc-action", "x-tc-version", "x-tc-timestamp", "x-tc-region", "content-type"):
        assert sent.get(name) == theirs.headers.get(name)
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == theirs.json()


# The SDK's type of request, method, kind of call, what we are asked.
CALLS: list[tuple[type, str, str, dict[str, Any]]] = [
    (models.ChatCompletionsRequest, "ChatCompletions", "chat", {
        "model": "hunyuan-turbos-latest", "temperature": 0.2, "top_p": 0.5, "seed": 7, "stop": ["END"],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "北京?"}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
    }),
    (models.ChatCompletionsRequest, "ChatCompletions", "chat", {
        "model": "hunyuan-vision", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "https://img.example/1.png"}}]}],
    }),
    (models.GetEmbeddingRequest, "GetEmbedding", "embeddings", {"model": "hunyuan-embedding", "input": ["a", "b"]}),
    (models.SubmitHunyuanImageJobRequest, "SubmitHunyuanImageJob", "images", {
        "model": "hunyuan-image", "prompt": "a fox", "n": 2, "size": "768x1024", "seed": 7,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "method", "call", "body"), CALLS, ids=["chat", "picture", "embeddings", "images"])
def test_a_request_that_the_sdk_understands_is_sent_as_the_sdk_sends_it(
    kind: type, method: str, call: str, body: dict[str, Any], recorder: Recorder
) -> None:
    recorder.answers({"Response": {"RequestId": "r"}})
    region = "ap-guangzhou"
    tencent = client(recorder, region)
    tencent.GetEmbedding(asked(models.GetEmbeddingRequest, {"Input": "first, to learn the time"}))
    ask = ours(recorder, call, body, region=region)
    # What we send goes through the SDK's own types: an unknown name would warn, a wrong one would be lost.
    getattr(tencent, method)(asked(kind, json.loads(ask.body or b"")))
    agree(ours(recorder, call, body, region=region), recorder)


def test_our_signature_of_the_sdks_request_is_the_sdks(recorder: Recorder) -> None:
    recorder.answers({"Response": {"RequestId": "r"}})
    client(recorder).GetEmbedding(asked(models.GetEmbeddingRequest, {"InputList": ["a", "北京"]}))
    theirs = recorder.last
    now = int(theirs.headers["x-tc-timestamp"])
    found = tc3.authorization(theirs.headers, theirs.body, ID, SECRET, "hunyuan", now, ("content-type", "host"))
    assert found == theirs.headers["authorization"]


@pytest.mark.parametrize("case", ["chat_stream", "reasoning_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    events = client(recorder).ChatCompletions(asked(models.ChatCompletionsRequest, {"Model": "m", "Stream": True}))
    pieces = [json.loads(event["data"]) for event in events]
    golden = json.loads((WIRE / case / "golden.json").read_text())
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    for ours, theirs in (("content", "Content"), ("reasoning_content", "ReasoningContent")):
        told = "".join(piece["Choices"][0]["Delta"].get(theirs) or "" for piece in pieces)
        assert "".join(delta.get(ours) or "" for delta in deltas) == told
    assert golden[-1]["usage"]["total_tokens"] == pieces[-1]["Usage"]["TotalTokens"]


def test_the_sdk_reads_our_answers_as_we_do(recorder: Recorder) -> None:
    recorder.answers((WIRE / "tools" / "reply.json").read_bytes())
    answer = client(recorder).ChatCompletions(asked(models.ChatCompletionsRequest, {"Model": "m"}))
    golden = json.loads((WIRE / "tools" / "golden.json").read_text())
    told = [(call.Id, call.Function.Name) for call in answer.Choices[0].Message.ToolCalls]
    assert [(call["id"], call["function"]["name"]) for call in golden["choices"][0]["message"]["tool_calls"]] == told
    assert (golden["id"], golden["usage"]["total_tokens"]) == (answer.Id, answer.Usage.TotalTokens)


def test_the_sdk_sees_our_errors(recorder: Recorder) -> None:
    recorder.answers((WIRE / "error_signature" / "reply.json").read_bytes())
    with pytest.raises(TencentCloudSDKException) as found:
        client(recorder).ChatCompletions(asked(models.ChatCompletionsRequest, {"Model": "m"}))
    error = json.loads((WIRE / "error_signature" / "golden.json").read_text())["error"]
    assert (found.value.code, found.value.message) == (error["code"], error["message"])
