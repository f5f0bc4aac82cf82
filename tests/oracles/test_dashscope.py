"""DashScope's SDK agrees with our native adapter in address, headers and body, and reads our fixtures as our goldens do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashscope
import pytest

from oneapi import vendors
from oneapi.wire import Call, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "dashscope"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
HEADERS = ("authorization", "x-dashscope-sse", "x-dashscope-async", "x-dashscope-plugin", "x-dashscope-workspace")
ANSWER = {"request_id": "d", "output": {"choices": []}, "usage": {}}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        found.answers(ANSWER)
        yield found


def ours(recorder: Recorder, kind: str, body: dict[str, Any], config: dict[str, str] | None = None) -> Request:
    row = vendors.by_slug("dashscope")
    call = Call(kind, body, body["model"], recorder.url, "sk-test", bool(body.get("stream")), config or {}, vendor=row)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def agree(request: Request, recorder: Recorder) -> None:
    theirs = recorder.last
    assert (request.method, request.url) == (theirs.method, recorder.url + theirs.path)
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert {name: sent.get(name) for name in HEADERS} == {name: theirs.headers.get(name) for name in HEADERS}
    body = theirs.json()
    assert isinstance(request.body, dict)
    assert (request.body["model"], request.body["input"]) == (body["model"], body["input"])
    assert request.body.get("parameters", {}) == body.get("parameters", {})


def test_chat_is_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    options = {
        "temperature": 0.2, "top_p": 0.5, "max_tokens": 9, "seed": 7, "stop": ["END"], "tools": TOOLS, "enable_thinking": True,
        "response_format": {"type": "json_object"}, "parallel_tool_calls": True, "presence_penalty": 0.5,
    }  # fmt: skip
    dashscope.Generation.call(
        "qwen-plus", messages=MESSAGES, api_key="sk-test", base_address=recorder.url + "/api/v1", result_format="message",
        plugins='{"p":{}}', workspace="ws-1", enable_search=True, **options,
    )  # fmt: skip
    config = {"plugin": '{"p":{}}', "workspace": "ws-1"}
    agree(ours(recorder, "chat", {"model": "qwen-plus-internet", "messages": MESSAGES, **options}, config), recorder)


def test_pictures_are_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    parts = [{"image": "https://img.example/1.png"}, {"text": "What is this?"}]
    dashscope.MultiModalConversation.call(
        "qwen-vl-max", messages=[{"role": "user", "content": parts}], api_key="sk-test", base_address=recorder.url + "/api/v1",
        result_format="message", max_tokens=9,
    )  # fmt: skip
    content = [{"type": "image_url", "image_url": {"url": parts[0]["image"]}}, {"type": "text", "text": parts[1]["text"]}]
    body = {"model": "qwen-vl-max", "messages": [{"role": "user", "content": content}], "max_tokens": 9}
    agree(ours(recorder, "chat", body), recorder)


def test_embeddings_are_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers({"request_id": "d", "output": {"embeddings": []}, "usage": {"total_tokens": 1}})
    dashscope.TextEmbedding.call(
        "text-embedding-v4", ["a", "b"], api_key="sk-test", base_address=recorder.url + "/api/v1", dimension=256
    )
    agree(ours(recorder, "embeddings", {"model": "text-embedding-v4", "input": ["a", "b"], "dimensions": 256}), recorder)


def test_rankings_are_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers({"request_id": "d", "output": {"results": []}, "usage": {"total_tokens": 1}})
    dashscope.TextReRank.call("gte-rerank-v2", "q", ["a", "b"], top_n=1, api_key="sk-test", base_address=recorder.url + "/api/v1")
    agree(ours(recorder, "rerank", {"model": "gte-rerank-v2", "query": "q", "documents": ["a", "b"], "top_n": 1}), recorder)


def test_an_image_is_ordered_and_fetched_as_the_sdk_does(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.answers({"request_id": "d", "output": {"task_id": "t1", "task_status": "PENDING"}})
    monkeypatch.setattr(dashscope, "base_http_api_url", recorder.url + "/api/v1")  # the SDK's own setting
    dashscope.ImageSynthesis.async_call("wanx-v1", "a fox", n=1, size="1024*1024", api_key="sk-test")
    agree(ours(recorder, "images", {"model": "wanx-v1", "prompt": "a fox", "n": 1, "size": "1024x1024"}), recorder)
    dashscope.ImageSynthesis.fetch("t1", api_key="sk-test")
    assert (recorder.last.method, recorder.last.path) == ("GET", "/api/v1/tasks/t1")


@pytest.mark.parametrize("case", ["chat_stream", "thinking_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    pieces = list(
        dashscope.Generation.call(
            "qwen-plus", messages=MESSAGES, api_key="sk-test", base_address=recorder.url + "/api/v1", stream=True,
            incremental_output=True, result_format="message",
        )
    )  # fmt: skip
    assert recorder.last.headers["x-dashscope-sse"] == "enable"
    golden = json.loads((WIRE / case / "golden.json").read_text())
    told = [choice["message"] for piece in pieces for choice in piece.output.choices]
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    for key in ("content", "reasoning_content"):
        assert "".join(d.get(key) or "" for d in deltas) == "".join(m.get(key) or "" for m in told)
    arguments: dict[int, str] = {}
    for tool in (tool for message in told for tool in message.get("tool_calls") or ()):
        arguments[tool["index"]] = arguments.get(tool["index"], "") + tool["function"]["arguments"]
    ours: dict[int, str] = {}
    for tool in (tool for delta in deltas for tool in delta.get("tool_calls") or ()):
        ours[tool["index"]] = ours.get(tool["index"], "") + tool["function"]["arguments"]
    assert ours == arguments
    assert golden[-1]["usage"]["completion_tokens"] == pieces[-1].usage.output_tokens


def test_the_sdk_sees_the_error_in_our_stream(recorder: Recorder) -> None:
    recorder.answers((WIRE / "error_in_stream" / "reply.sse").read_bytes(), "text/event-stream")
    (piece,) = dashscope.Generation.call(
        "qwen-plus", messages=MESSAGES, api_key="sk-test", base_address=recorder.url + "/api/v1", stream=True,
        result_format="message",
    )  # fmt: skip
    error = json.loads((WIRE / "error_in_stream" / "golden.json").read_text())["error"]
    assert (piece.code, piece.message) == (error["code"], error["message"])
