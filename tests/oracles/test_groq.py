"""Groq's SDK takes our bodies as its own, sends them where we do, and reads our fixtures as our goldens say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import groq
import pytest
from groq.types.chat.completion_create_params import CompletionCreateParams

from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "groq"
CHATS = sorted(path.parent.name for path in WIRE.glob("chat*/request.json"))
REPLIES = sorted(path.parent.name for path in WIRE.glob("chat*/reply.json"))
STREAMS = sorted(
    path.parent.name for path in WIRE.glob("chat_stream*/reply.sse") if not path.parent.name.endswith(("cut", "error"))
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[groq.Groq]:
    with groq.Groq(api_key="sk-test", base_url=recorder.url, max_retries=0, timeout=30) as found:
        yield found


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


@pytest.mark.parametrize("case", CHATS)
def test_the_sdk_sends_our_request(case: str, client: groq.Groq, recorder: Recorder) -> None:
    ours = load(case, "request.json")
    body = dict(ours["body"])
    streaming = body.pop("stream", False)
    asked = body.pop("stream_options", None)  # which the API knows and the SDK does not yet
    assert set(body) <= set(CompletionCreateParams.__annotations__)
    more = {"extra_body": {"stream_options": asked}} if asked else {}
    recorder.answers(
        b"data: [DONE]\n\n" if streaming else load("chat", "reply.json"), "text/event-stream" if streaming else "application/json"
    )
    told = client.chat.completions.create(**body, **more, **({"stream": True} if streaming else {}))
    if streaming:
        list(told)
    assert ours["url"] == "https://api.groq.com" + recorder.last.path
    assert recorder.last.headers["authorization"] == ours["headers"]["Authorization"]
    assert recorder.last.json() == ours["body"]


@pytest.mark.parametrize("case", REPLIES)
def test_the_sdk_reads_the_reply_as_the_golden_says(case: str, client: groq.Groq, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"))
    told = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    theirs, golden = told.choices[0].message, load(case, "golden.json")
    ours = golden["choices"][0]["message"]
    assert (ours["content"], ours.get("reasoning_content")) == (theirs.content, theirs.reasoning)
    assert [call["id"] for call in ours.get("tool_calls") or ()] == [call.id for call in theirs.tool_calls or ()]
    assert golden["usage"]["total_tokens"] == told.usage.total_tokens


@pytest.mark.parametrize("case", STREAMS)
def test_the_sdk_reads_the_stream_as_the_golden_says(case: str, client: groq.Groq, recorder: Recorder) -> None:
    recorder.answers((WIRE / case / "reply.sse").read_bytes(), "text/event-stream")
    told = list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True))
    deltas = [choice["delta"] for piece in load(case, "golden.json") for choice in piece["choices"]]
    theirs = [choice.delta for piece in told for choice in piece.choices]
    for ours, name in (("content", "content"), ("reasoning_content", "reasoning")):
        assert "".join(d.get(ours) or "" for d in deltas) == "".join(getattr(d, name) or "" for d in theirs)
    said = ["".join(call["function"]["arguments"] for d in deltas for call in d.get("tool_calls") or ())]
    assert said == ["".join(call.function.arguments or "" for d in theirs for call in d.tool_calls or ())]


@pytest.mark.parametrize(
    ("case", "kind"),
    [("error_key", groq.AuthenticationError), ("error_rate", groq.RateLimitError), ("error_no_model", groq.NotFoundError)],
)
def test_the_sdk_sees_the_same_failures(case: str, kind: type[Exception], client: groq.Groq, recorder: Recorder) -> None:
    recorder.answers(load(case, "reply.json"), status=load(case, "meta.json")["status"])
    with pytest.raises(kind, match=load(case, "golden.json")["error"]["message"][:20]):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
