"""Volcengine's Ark SDK agrees with our adapter in address, headers and body, and reads our fixtures as our goldens do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime._exceptions import ArkAPIStatusError
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions

from oneapi import vendors
from oneapi.wire import Call, File, Reply, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "doubao"
KEY = "ark-key"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
PICTURE = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Ark]:
    with Ark(api_key=KEY, base_url=f"{recorder.url}/api/v3", max_retries=0) as found:
        yield found


def said(case: str) -> bytes:
    return next((WIRE / case).glob("reply.*")).read_bytes()


def golden(case: str) -> Any:
    return json.loads((WIRE / case / "golden.json").read_text())


def ours(recorder: Recorder, kind: str, body: dict[str, Any], *files: File) -> Request:
    row = vendors.by_slug("doubao")
    call = Call(kind, body, body["model"], recorder.url, KEY, bool(body.get("stream")), files=files, vendor=row)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def agree(request: Request, recorder: Recorder) -> None:
    theirs = recorder.last
    assert (request.method, request.url) == (theirs.method, recorder.url + theirs.path)
    assert request.headers["Authorization"] == theirs.headers["authorization"]
    assert request.body == {name: value for name, value in theirs.json().items() if value is not None}


def test_chat_is_asked_as_the_sdk_asks(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("reasoning"))
    same: dict[str, Any] = {
        "model": "doubao-seed-1-6-250615", "messages": MESSAGES, "max_completion_tokens": 9, "temperature": 0.2, "top_p": 0.5,
        "stop": ["END"], "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True, "thinking": {"type": "enabled"},
        "response_format": {"type": "json_object"}, "stream": False,
    }  # fmt: skip
    answer = client.chat.completions.create(**same)
    agree(ours(recorder, "chat", same), recorder)
    told = golden("reasoning")
    assert told["choices"][0]["message"]["reasoning_content"] == answer.choices[0].message.reasoning_content
    assert told["usage"]["completion_tokens_details"]["reasoning_tokens"] == (
        answer.usage.completion_tokens_details.reasoning_tokens
    )


def test_pictures_travel_as_the_sdk_sends_them(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("image_data"))
    content = [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": "What is this?"}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "stream": False}
    client.chat.completions.create(**body)
    agree(ours(recorder, "chat", body), recorder)


def test_tool_results_travel_as_the_sdk_sends_them(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("tools_second_turn"))
    asked = json.loads((WIRE / "tools_second_turn" / "ask.json").read_text())["body"] | {"stream": False}
    client.chat.completions.create(**asked)
    agree(ours(recorder, "chat", asked), recorder)


@pytest.mark.parametrize("case", ["chat_stream", "reasoning_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, client: Ark, recorder: Recorder) -> None:
    recorder.answers(said(case), "text/event-stream")
    asked = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    pieces = list(client.chat.completions.create(**asked))
    agree(ours(recorder, "chat", asked), recorder)
    told = [choice.delta for piece in pieces for choice in piece.choices]
    deltas = [choice["delta"] for chunk in golden(case) for choice in chunk["choices"]]
    for key in ("content", "reasoning_content"):
        assert "".join(d.get(key) or "" for d in deltas) == "".join(getattr(d, key) or "" for d in told)
    theirs = [(tool.index, tool.function.arguments or "") for delta in told for tool in delta.tool_calls or ()]
    assert [(t["index"], t["function"].get("arguments") or "") for d in deltas for t in d.get("tool_calls") or ()] == theirs
    assert golden(case)[-1]["usage"]["total_tokens"] == pieces[-1].usage.total_tokens


def test_embeddings_are_asked_as_the_sdk_asks(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("embeddings"))
    body = {"model": "doubao-embedding-text-240715", "input": ["a", "b"], "encoding_format": "float"}
    answer = client.embeddings.create(**body)
    agree(ours(recorder, "embeddings", body), recorder)
    assert [item["embedding"] for item in golden("embeddings")["data"]] == [item.embedding for item in answer.data]


def test_seeing_embeddings_are_asked_as_the_sdk_asks(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("embeddings_of_pictures"))
    given = [{"type": "text", "text": "a fox"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    body = {"model": "doubao-embedding-vision-250615", "input": given, "encoding_format": "float", "dimensions": 1024}
    answer = client.multimodal_embeddings.create(**body)
    agree(ours(recorder, "embeddings", body), recorder)
    told = golden("embeddings_of_pictures")
    assert told["data"][0]["embedding"] == answer.data.embedding
    assert told["usage"]["prompt_tokens"] == answer.usage["prompt_tokens"]


def test_images_are_asked_as_the_sdk_asks(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("images_several"))
    body = {"model": "doubao-seedream-4-0-250828", "prompt": "a fox", "size": "2048x2048", "response_format": "url", "seed": 7,
            "watermark": False}  # fmt: skip
    options = SequentialImageGenerationOptions(max_images=4)
    answer = client.images.generate(
        **body, sequential_image_generation="auto", sequential_image_generation_options=options
    )
    agree(ours(recorder, "images", body | {"n": 4}), recorder)
    assert len(answer.data) == len(golden("images_several")["data"])


def test_an_edit_is_asked_as_the_sdk_asks(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("image_edit"))
    body = {"model": "doubao-seededit-3-0-i2i-250628", "prompt": "a hat"}
    client.images.generate(**body, image="data:image/png;base64,iVBORw0KGgo=")
    agree(ours(recorder, "image_edits", body, File("image", "a.png", "image/png", b"\x89PNG\r\n\x1a\n")), recorder)


def test_the_sdk_sees_our_errors(client: Ark, recorder: Recorder) -> None:
    recorder.answers(said("error_rate"), status=429)
    with pytest.raises(ArkAPIStatusError) as found:
        client.chat.completions.create(model="m", messages=MESSAGES)
    row = vendors.by_slug("doubao")
    error = row.protocols["chat"].fail(Reply(429, {}, said("error_rate")), Call("chat", {}, "m", "", "", vendor=row))
    assert (found.value.code, error.kind) == (error.code, "rate_limited")
