"""Cohere's SDK sends what our adapter sends, and reads our recorded answers and streams."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cohere
import httpx
import pytest

from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "cohere"
CHATS = sorted(
    path.parent.name for path in WIRE.glob("*/request.json") if not path.parent.name.startswith(("error", "embed", "rerank"))
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[cohere.ClientV2]:
    with httpx.Client() as http:
        yield cohere.ClientV2("co-test", base_url=recorder.url, httpx_client=http)


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


def agree(recorder: Recorder, case: str) -> None:
    """The SDK's last request is ours: place, credentials and body."""
    ours = load(case, "request.json")
    assert ours["url"] == "https://api.cohere.com" + recorder.last.path
    assert recorder.last.headers["authorization"] == ours["headers"]["Authorization"]
    assert recorder.last.json() == ours["body"]


@pytest.mark.parametrize("case", CHATS)
def test_the_sdk_asks_for_a_chat_as_we_do(case: str, client: cohere.ClientV2, recorder: Recorder) -> None:
    body = load(case, "request.json")["body"]
    arguments = {name: value for name, value in body.items() if name != "stream"}
    if body["stream"]:
        recorder.answers(b"", "text/event-stream")
        list(client.chat_stream(**arguments))
    else:
        recorder.answers(load("chat", "reply.json"))
        client.chat(**arguments)
    agree(recorder, case)


@pytest.mark.parametrize("case", ["chat", "tools", "tools-result", "reasoning"])
def test_the_sdk_reads_our_answers_as_we_do(case: str, client: cohere.ClientV2, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"))
    told = client.chat(model="m", messages=[{"role": "user", "content": "x"}])
    ours = load(case, "golden.json")
    said = ours["choices"][0]["message"]
    parts = told.message.content or []
    assert "".join(part.text for part in parts if part.type == "text") == (said["content"] or "")
    assert ("".join(part.thinking for part in parts if part.type == "thinking") or told.message.tool_plan) == said.get(
        "reasoning_content"
    )
    assert [call.id for call in told.message.tool_calls or ()] == [call["id"] for call in said.get("tool_calls", ())]
    assert told.usage.tokens.input_tokens == ours["usage"]["prompt_tokens"]


@pytest.mark.parametrize("case", ["stream", "stream-reasoning", "stream-tools"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, client: cohere.ClientV2, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    told = list(client.chat_stream(model="m", messages=[{"role": "user", "content": "x"}]))
    deltas = [choice["delta"] for piece in load(case, "golden.json") for choice in piece["choices"]]
    contents = [event.delta.message.content for event in told if event.type == "content-delta"]
    assert "".join(content.text or "" for content in contents) == "".join(delta.get("content") or "" for delta in deltas)
    started = [event.delta.message.tool_calls.id for event in told if event.type == "tool-call-start"]
    assert started == [call["id"] for delta in deltas for call in delta.get("tool_calls", ()) if "id" in call]
    last = next(event for event in told if event.type == "message-end")
    assert last.delta.usage.tokens.output_tokens == load(case, "golden.json")[-1]["usage"]["completion_tokens"]


@pytest.mark.parametrize("case", ["embeddings", "embeddings-of-an-image"])
def test_the_sdk_embeds_as_we_do(case: str, client: cohere.ClientV2, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"))
    told = client.v2.embed(**load(case, "request.json")["body"])
    agree(recorder, case)
    assert told.embeddings.float_ == [row["embedding"] for row in load(case, "golden.json")["data"]]


@pytest.mark.parametrize("case", ["rerank", "rerank-documents"])
def test_the_sdk_ranks_as_we_do(case: str, client: cohere.ClientV2, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"))
    told = client.rerank(**load(case, "request.json")["body"])
    agree(recorder, case)
    assert [(row.index, row.relevance_score) for row in told.results] == [
        (row["index"], row["relevance_score"]) for row in load(case, "golden.json")["results"]
    ]
