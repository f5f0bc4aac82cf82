"""Zhipu's SDK agrees with our adapter in address, headers and body, and reads our fixtures as our goldens do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from zai import ZhipuAiClient

from oneapi import vendors
from oneapi.vendors import zhipu
from oneapi.wire import Call, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "zhipu"
KEY = "exampleid0001.examplesecret0001"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[ZhipuAiClient]:
    with ZhipuAiClient(api_key=KEY, base_url=f"{recorder.url}/api/paas/v4", max_retries=0) as found:
        yield found


def ours(recorder: Recorder, kind: str, body: dict[str, Any]) -> Request:
    row = vendors.by_slug("zhipu")
    call = Call(kind, body, body["model"], recorder.url, KEY, bool(body.get("stream")), vendor=row)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def agree(request: Request, recorder: Recorder) -> None:
    theirs = recorder.last
    assert (request.method, request.url) == (theirs.method, recorder.url + theirs.path)
    assert request.headers["Authorization"] == theirs.headers["authorization"]
    assert request.body == {name: value for name, value in theirs.json().items() if value is not None}


def test_chat_is_asked_as_the_sdk_asks(client: ZhipuAiClient, recorder: Recorder) -> None:
    recorder.answers((WIRE / "chat" / "reply.json").read_bytes())
    same = {"model": "glm-4.6", "messages": MESSAGES, "max_tokens": 9, "temperature": 0, "stop": ["END"], "tools": TOOLS,
            "thinking": {"type": "enabled"}, "response_format": {"type": "json_object"}, "seed": 7}  # fmt: skip
    answer = client.chat.completions.create(**same, user_id="alice01")
    request = ours(recorder, "chat", {**same, "user": "alice01"})
    # The SDK, too, asks for the likeliest word when the temperature is 0.
    agree(request, recorder)
    golden = json.loads((WIRE / "chat" / "golden.json").read_text())
    assert golden["choices"][0]["message"]["reasoning_content"] == answer.choices[0].message.reasoning_content
    assert golden["usage"]["prompt_tokens_details"]["cached_tokens"] == answer.usage.prompt_tokens_details.cached_tokens


def test_embeddings_are_asked_as_the_sdk_asks(client: ZhipuAiClient, recorder: Recorder) -> None:
    recorder.answers((WIRE / "embeddings" / "reply.json").read_bytes())
    client.embeddings.create(model="embedding-3", input=["a", "b"], dimensions=256)
    agree(ours(recorder, "embeddings", {"model": "embedding-3", "input": ["a", "b"], "dimensions": 256}), recorder)


def test_images_are_asked_as_the_sdk_asks(client: ZhipuAiClient, recorder: Recorder) -> None:
    recorder.answers((WIRE / "images" / "reply.json").read_bytes())
    client.images.generations(model="cogview-4", prompt="a fox", size="1024x1024", quality="hd", user_id="alice01")
    body = {"model": "cogview-4", "prompt": "a fox", "size": "1024x1024", "quality": "hd", "user": "alice01"}
    agree(ours(recorder, "images", body), recorder)


def test_speech_is_asked_as_the_sdk_asks(client: ZhipuAiClient, recorder: Recorder) -> None:
    recorder.answers(b"RIFF", "audio/wav")
    body = {"model": "glm-tts", "input": "Hello", "voice": "female", "response_format": "wav"}
    client.audio.speech(**body)
    spelled_out = {"stream": False, "speed": 1.0, "volume": 1.0}  # the SDK sends the vendor's defaults
    agree(ours(recorder, "speech", {**body, **spelled_out}), recorder)


def test_our_token_is_of_the_sdks_form_and_holds(recorder: Recorder) -> None:
    recorder.answers((WIRE / "chat" / "reply.json").read_bytes())
    secret = "a secret of more than thirty-two bytes"
    key = f"exampleid0001.{secret}"
    with ZhipuAiClient(api_key=key, base_url=f"{recorder.url}/api/paas/v4", max_retries=0, disable_token_cache=False) as client:
        client.chat.completions.create(model="glm-4.6", messages=MESSAGES)
    theirs = recorder.last.headers["authorization"].removeprefix("Bearer ")
    found = zhipu.token(key, jwt.decode(theirs, secret, ["HS256"])["timestamp"] / 1000)
    assert jwt.get_unverified_header(found) == jwt.get_unverified_header(theirs)
    claims, their_claims = (jwt.decode(token, secret, ["HS256"]) for token in (found, theirs))
    assert {k: v for k, v in claims.items() if k != "exp"} == {k: v for k, v in their_claims.items() if k != "exp"}


@pytest.mark.parametrize("case", ["chat_stream", "sensitive_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, client: ZhipuAiClient, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    pieces = list(client.chat.completions.create(model="glm-4.6", messages=MESSAGES, stream=True))
    golden = json.loads((WIRE / case / "golden.json").read_text())
    told = [choice.delta for piece in pieces for choice in piece.choices]
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    for key in ("content", "reasoning_content"):
        assert "".join(delta.get(key) or "" for delta in deltas) == "".join(getattr(delta, key) or "" for delta in told)
    tools = [(tool.index, tool.function.arguments) for delta in told for tool in delta.tool_calls or ()]
    assert [(tool["index"], tool["function"]["arguments"]) for delta in deltas for tool in delta.get("tool_calls") or ()] == tools
    assert golden[-1]["usage"]["total_tokens"] == pieces[-1].usage.total_tokens
