"""Anthropic's SDK sends what our adapters send, to its own address and to Vertex AI, and reads our fixtures as our goldens do."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, MessageCreateParams, RawMessageStreamEvent
from pydantic import TypeAdapter

from oneapi import vendors
from oneapi.wire import Call
from oracles import Recorder, recording, regular

pytestmark = pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")  # said of models by name
WIRE = Path(__file__).parent.parent / "wire"
REQUESTS = sorted(path.parent for path in WIRE.glob("anthropic/*/request.json") if not path.parent.name.startswith("error-"))
REPLIES = sorted(
    path.parent
    for path in WIRE.glob("anthropic/*/reply.json")
    if b'"type": "message"' in path.read_bytes() and regular(path.parent)
)
STREAMS = sorted(
    path.parent
    for path in WIRE.glob("anthropic/*stream/reply.sse")
    if path.parent.name != "cut-stream" and regular(path.parent)
)
EMPTY = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


Make = Callable[..., anthropic.Anthropic]


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Make]:
    """Makes clients of the test's recorder, closed when it ends."""
    with ExitStack() as made:

        def make(version: str = "2023-06-01") -> anthropic.Anthropic:
            headers = {"anthropic-version": version}
            return made.enter_context(
                anthropic.Anthropic(
                    api_key="sk-ant-test", base_url=recorder.url, max_retries=0, timeout=30, default_headers=headers
                )
            )

        yield make


def names(cases: list[Path]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize("case", REQUESTS, ids=names(REQUESTS))
def test_the_sdk_sends_our_request(case: Path, client: Make, recorder: Recorder) -> None:
    ours = load(case / "request.json")
    recorder.answers(EMPTY)
    body = dict(ours["body"])
    streaming = body.pop("stream", False)
    gone = ("temperature", "top_p", "top_k")  # from the SDK's newest version, not from the one we speak
    sampling = {name: body.pop(name) for name in gone if name in body}
    asking = client(ours["headers"]["anthropic-version"])
    if streaming:
        recorder.answers(b"", "text/event-stream")
        list(asking.messages.create(**body, stream=True, extra_body=sampling))
    else:
        asking.messages.create(**body, extra_body=sampling)
    assert ours["url"] == load(case / "ask.json").get("base_url", "https://api.anthropic.com") + recorder.last.path
    assert ours["body"] == recorder.last.json()
    assert ours["headers"]["anthropic-version"] == recorder.last.headers["anthropic-version"]


@pytest.mark.parametrize("case", REQUESTS, ids=names(REQUESTS))
def test_our_body_is_of_the_types_the_sdk_declares(case: Path) -> None:
    ours = load(case / "request.json")["body"]
    assert TypeAdapter(MessageCreateParams).validate_python(ours)


def test_the_sdk_lists_models_where_we_do(client: Make, recorder: Recorder) -> None:
    recorder.answers({"data": [], "has_more": False, "first_id": None, "last_id": None})
    list(client().models.list(limit=1000))
    row = vendors.by_slug("anthropic")
    ours = row.model_list.build(Call("chat", {}, "", recorder.url, "k"))
    assert (ours.method, ours.url) == ("GET", recorder.url + recorder.last.path)


@pytest.mark.parametrize("case", REPLIES, ids=names(REPLIES))
def test_the_sdk_reads_the_reply_as_the_golden_says(case: Path) -> None:
    read, golden = Message.model_validate(load(case / "reply.json")), load(case / "golden.json")
    message = golden["choices"][0]["message"]
    texts = "".join(block.text for block in read.content if block.type == "text")
    tools = [(block.id, block.name, block.input) for block in read.content if block.type == "tool_use"]
    assert (message["content"] or "") == texts
    assert [
        (t["id"], t["function"]["name"], json.loads(t["function"]["arguments"])) for t in message.get("tool_calls", ())
    ] == tools
    assert message.get("reasoning_content", "") == "".join(b.thinking for b in read.content if b.type == "thinking")
    assert golden["usage"]["completion_tokens"] == read.usage.output_tokens


@pytest.mark.parametrize("case", STREAMS, ids=names(STREAMS))
def test_the_sdk_reads_the_stream_as_the_golden_says(case: Path, client: Make, recorder: Recorder) -> None:
    golden = load(case / "golden.json")
    if isinstance(golden, dict):  # an error ends it
        return
    recorder.answers((case / "reply.sse").read_bytes(), "text/event-stream")
    with client().messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
        read = stream.get_final_message()
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    assert "".join(d.get("content") or "" for d in deltas) == "".join(b.text for b in read.content if b.type == "text")
    tools: dict[int, str] = {}
    for part in (part for delta in deltas for part in delta.get("tool_calls", ())):
        tools[part["index"]] = tools.get(part["index"], "") + part["function"]["arguments"]
    assert [json.loads(text) for text in tools.values()] == [b.input for b in read.content if b.type == "tool_use"]
    thoughts = [detail for delta in deltas for detail in delta.get("reasoning_details", ())]
    assert "".join(d.get("text", "") for d in thoughts) == "".join(b.thinking for b in read.content if b.type == "thinking")
    assert [d["signature"] for d in thoughts if "signature" in d] == [b.signature for b in read.content if b.type == "thinking"]
    assert golden[-1]["usage"]["completion_tokens"] == read.usage.output_tokens


@pytest.mark.parametrize("case", STREAMS, ids=names(STREAMS))
def test_the_events_of_our_fixtures_are_of_the_types_the_sdk_declares(case: Path) -> None:
    events = [json.loads(line[6:]) for line in (case / "reply.sse").read_text("utf-8").splitlines() if line.startswith("data: ")]
    for event in events:
        if event["type"] not in ("ping", "error"):
            TypeAdapter(RawMessageStreamEvent).validate_python(event)


@pytest.mark.parametrize("region", ["global", "us-east5", "eu"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_claude_on_vertex_is_asked_as_the_sdk_asks(region: str, streaming: bool, recorder: Recorder) -> None:
    body = {"model": "claude-sonnet-4-5@20250929", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    config = {"region": region, "vertex_ai_project_id": "p1", "vertex_ai_adc": '{"type":"service_account"}'}
    row = vendors.by_slug("vertex")
    call = Call("chat", body, body["model"], "", "", streaming, config, secret="ya29.x", vendor=row)
    ours = row.sign(row.protocols["chat"].build(call), call)
    there = anthropic.AnthropicVertex(region=region, project_id="p1", access_token="ya29.x")
    place = str(there.base_url).rstrip("/").removesuffix("/v1")
    there.close()
    recorder.answers(b"" if streaming else EMPTY, "text/event-stream" if streaming else "application/json")
    sent = {k: v for k, v in ours.body.items() if k not in ("stream", "anthropic_version")}
    version = {"anthropic_version": ours.body["anthropic_version"]}
    with anthropic.AnthropicVertex(
        region=region, project_id="p1", access_token="ya29.x", base_url=f"{recorder.url}/v1", max_retries=0, timeout=30
    ) as asking:
        found = asking.messages.create(model=body["model"], stream=streaming, extra_body=version, **sent)
        if streaming:
            list(found)
    assert ours.url == place + recorder.last.path
    assert ours.body == {k: v for k, v in recorder.last.json().items() if v is not False}
    assert ours.headers["Authorization"] == recorder.last.headers["authorization"]
