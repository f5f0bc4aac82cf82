"""Mistral's SDK takes our bodies as its own, sends them where we do, and reads our fixtures as our goldens say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mistralai.client import Mistral, errors, models

from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "mistral"
CHATS = sorted(path.parent.name for path in WIRE.glob("chat*/request.json"))
REPLIES = sorted(path.parent.name for path in WIRE.glob("chat*/reply.json"))
STREAMS = sorted(
    path.parent.name for path in WIRE.glob("chat_stream*/reply.sse") if not path.parent.name.endswith(("cut", "broken"))
)
NEW = {"top_k", "logprobs", "service_tier"}  # which the SDK's method has no argument for, though its model of the request has


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Mistral]:
    ours = httpx.AsyncClient()  # one that the SDK made it would close in an event loop of its own, whenever it is collected
    with Mistral(api_key="sk-test", server_url=recorder.url, timeout_ms=9000, async_client=ours) as found:
        yield found


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


def within(ours: Any, theirs: Any) -> bool:
    """Whether theirs says all that ours does: the SDK writes out defaults besides."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(k in theirs and within(v, theirs[k]) for k, v in ours.items())
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(within, ours, theirs))
    return bool(ours == theirs)


@pytest.mark.parametrize("case", CHATS)
def test_our_body_is_a_request_of_the_sdks(case: str) -> None:
    body = load(case, "request.json")["body"]
    known = {field.alias or name for name, field in models.ChatCompletionRequest.model_fields.items()}
    assert set(body) <= known
    read = models.ChatCompletionRequest.model_validate(body)
    assert within(body, json.loads(read.model_dump_json(by_alias=True)))
    for message in read.messages:
        assert not message.model_extra


@pytest.mark.parametrize("case", CHATS)
def test_the_sdk_sends_our_request(case: str, client: Mistral, recorder: Recorder) -> None:
    ours = load(case, "request.json")
    body = {k: v for k, v in ours["body"].items() if k != "stream" and k not in NEW}
    if ours["body"].get("stream"):
        recorder.answers(b"data: [DONE]\n\n", "text/event-stream")
        list(client.chat.stream(**body))
    else:
        recorder.answers(load("chat_cached", "reply.json"))
        client.chat.complete(**body)
    assert (recorder.last.method, "https://api.mistral.ai" + recorder.last.path.partition("#")[0]) == ("POST", ours["url"])
    assert recorder.last.headers["authorization"] == ours["headers"]["Authorization"]
    assert within(body, recorder.last.json())


def said(parts: Any, kind: str) -> str:
    """The text of a message's content, or its thinking."""
    if isinstance(parts, str):
        return parts if kind == "text" else ""
    found = [part for part in parts or () if getattr(part, "type", "") == kind]
    return "".join(part.text if kind == "text" else "".join(text.text for text in part.thinking) for part in found)


@pytest.mark.parametrize("case", REPLIES)
def test_the_sdk_reads_the_reply_as_the_golden_says(case: str, client: Mistral, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"))
    told = client.chat.complete(model="m", messages=[{"role": "user", "content": "x"}])
    theirs, ours = told.choices[0].message, load(case, "golden.json")["choices"][0]["message"]
    assert (ours["content"] or "") == said(theirs.content or "", "text")
    assert ours.get("reasoning_content", "") == said(theirs.content, "thinking")
    assert [call["id"] for call in ours.get("tool_calls") or ()] == [call.id for call in theirs.tool_calls or ()]
    assert load(case, "golden.json")["usage"]["total_tokens"] == told.usage.total_tokens


@pytest.mark.parametrize("case", STREAMS)
def test_the_sdk_reads_the_stream_as_the_golden_says(case: str, client: Mistral, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    told = [event.data for event in client.chat.stream(model="m", messages=[{"role": "user", "content": "x"}])]
    deltas = [choice["delta"] for piece in load(case, "golden.json") for choice in piece["choices"]]
    theirs = [choice.delta for piece in told for choice in piece.choices]
    for name, kind in (("content", "text"), ("reasoning_content", "thinking")):
        assert "".join(d.get(name) or "" for d in deltas) == "".join(said(d.content or "", kind) for d in theirs)
    ids = [call["id"] for delta in deltas for call in delta.get("tool_calls") or ()]
    assert ids == [call.id for delta in theirs for call in delta.tool_calls or ()]


def test_the_sdk_embeds_as_we_do(client: Mistral, recorder: Recorder) -> None:
    ours = load("embeddings", "request.json")
    recorder.answers({"id": "e", "object": "list", "data": [], "model": "m", "usage": {}})
    client.embeddings.create(**{("inputs" if k == "input" else k): v for k, v in ours["body"].items()})
    assert (recorder.last.path, within(ours["body"], recorder.last.json())) == ("/v1/embeddings", True)


def test_the_sdk_speaks_as_we_do(client: Mistral, recorder: Recorder) -> None:
    ours, reply = load("speech", "request.json"), load("speech", "reply.json")
    recorder.answers(reply)
    told = client.audio.speech.complete(**ours["body"])
    assert (recorder.last.path, within(ours["body"], recorder.last.json())) == ("/v1/audio/speech", True)
    assert told.audio_data == reply["audio_data"]


@pytest.mark.parametrize(("case", "status"), [("error_key", 401), ("error_rate", 429), ("error_model", 400)])
def test_the_sdk_sees_the_same_failures(case: str, status: int, client: Mistral, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"), status=status)
    with pytest.raises(errors.SDKError) as caught:
        client.chat.complete(model="m", messages=[{"role": "user", "content": "x"}])
    assert caught.value.status_code == status
    assert load(case, "golden.json")["error"]["message"] in caught.value.body
