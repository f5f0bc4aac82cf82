"""Ollama's SDK sends what our adapter sends, and reads our recorded answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "ollama"
CHATS = sorted(
    path.parent.name for path in WIRE.glob("*/request.json") if not path.parent.name.startswith(("error", "embed", "completions"))
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[ollama.Client]:
    with ollama.Client(host=recorder.url) as found:
        yield found


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


@pytest.mark.parametrize("case", CHATS)
def test_the_sdk_asks_for_a_chat_as_we_do(case: str, client: ollama.Client, recorder: Recorder) -> None:
    ours = load(case, "request.json")
    recorder.answers({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True})
    list(client.chat(**ours["body"] | {"stream": True}))
    assert (recorder.last.method, recorder.last.path) == (ours["method"], "/api/chat")
    theirs = recorder.last.json() | {"stream": ours["body"]["stream"]}
    for tool in theirs.get("tools") or []:  # the SDK writes out the type that JSON Schema leaves open
        tool["function"]["parameters"].setdefault("type", "object")
    expected = json.loads(json.dumps(ours["body"]))
    for message in expected["messages"]:
        message.pop("tool_call_id", None)  # newer than the SDK
        if not message["content"]:
            del message["content"]  # the SDK leaves out an empty text
    assert {name: value for name, value in theirs.items() if value or value is False} == {
        name: value for name, value in expected.items() if value or value is False
    }


@pytest.mark.parametrize(
    "case", [path.parent.name for path in WIRE.glob("*/reply.ndjson") if path.parent.name.endswith(("m", "g"))]
)
def test_the_sdk_reads_our_streams_as_we_do(case: str, client: ollama.Client, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.ndjson").read_bytes(), "application/x-ndjson")
    parts = list(client.chat("m", [{"role": "user", "content": "x"}], stream=True))
    deltas = [choice["delta"] for piece in load(case, "golden.json") for choice in piece["choices"]]
    assert "".join(part.message.content or "" for part in parts) == "".join(delta.get("content") or "" for delta in deltas)
    assert "".join(part.message.thinking or "" for part in parts) == "".join(
        delta.get("reasoning_content") or "" for delta in deltas
    )
    theirs = [dict(call.function.arguments) for part in parts for call in part.message.tool_calls or ()]
    ours = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls") or ()]
    assert theirs == [json.loads(text) for text in ours if text]


def test_the_sdk_embeds_as_we_do(client: ollama.Client, recorder: Recorder) -> None:
    ours, reply = load("embeddings", "request.json"), load("embeddings", "reply.json")
    recorder.answers(reply)
    told = client.embed(**ours["body"])
    assert (recorder.last.path, recorder.last.json()) == ("/api/embed", ours["body"])
    assert [list(vector) for vector in told.embeddings] == [row["embedding"] for row in load("embeddings", "golden.json")["data"]]


def test_the_sdk_sees_our_errors_as_errors(client: ollama.Client, recorder: Recorder) -> None:
    recorder.answers(load("error-404", "reply.json"), status=404)
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        client.chat("m", [{"role": "user", "content": "x"}])
    assert caught.value.status_code == 404
