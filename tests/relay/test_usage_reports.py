"""Usage reports of one answer are merged class by class, and those that came before a stream broke are charged."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import pytest
from asks import events
from fake_vendor import FakeVendor, Say, chat, sse
from frames import aws

pytestmark = pytest.mark.usefixtures("books")

ASKED = "gpt-4o-mini"
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def event(data: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def used(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion} | more


@dataclass
class Stream:
    """A provider's stream: a fuller report comes in `pieces[early]` at the latest, one that says nothing comes later."""

    type: int
    pieces: tuple[bytes, ...]
    early: int  # the piece with the first report
    prompt: int
    completion: int
    cached: int = 0
    key: str = "sk-vendor"
    config: dict[str, Any] = field(default_factory=dict)
    kind: str = "text/event-stream"
    model: str = ""  # the provider's name for it, where that decides on the protocol


def openai_like(type: int, **more: Any) -> Stream:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    pieces = sse(
        head | {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}], "usage": used(1000, 500)},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": used(0, 0)},
    )
    return Stream(type, pieces, 0, 1000, 500, **more)


CLAUDE: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "usage": {
        "input_tokens": 1000, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 0, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
        "input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 20}},
    {"type": "message_stop"},
]  # fmt: skip


def candidate(text: str, reason: str = "") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}]}, **({"finishReason": reason} if reason else {})}]}


def qwen(text: str, reason: str, usage: dict[str, int]) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return {"output": {"choices": [choice]}, "usage": usage, "request_id": "q"}


def hunyuan(text: str, reason: str, prompt: int, completion: int) -> dict[str, Any]:
    choice = {"Index": 0, "Delta": {"Role": "assistant", "Content": text}, "FinishReason": reason}
    return {"Id": "t", "Choices": [choice], "Usage": {"PromptTokens": prompt, "CompletionTokens": completion}}


STREAMS = {
    "OpenAI": openai_like(1),
    "DeepSeek": openai_like(36),
    "Zhipu": openai_like(16),
    "OpenRouter": openai_like(20),
    "xAI": openai_like(45),
    "Anthropic": Stream(14, tuple(event(one, one["type"]) for one in CLAUDE), 0, 1500, 20, 500),
    "Claude at Bedrock": Stream(
        33, tuple(aws("chunk", {"bytes": b64encode(json.dumps(one).encode()).decode()}) for one in CLAUDE), 0, 1500, 20, 500,
        "AKIDEXAMPLE|secret|us-east-1", {"api": "invoke"}, "application/vnd.amazon.eventstream", "anthropic.claude-sonnet-4-5",
    ),
    "Converse": Stream(33, (
        aws("messageStart", {"role": "assistant"}),
        aws("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
        aws("metadata", {"usage": {"inputTokens": 1000, "cacheReadInputTokens": 500, "outputTokens": 20}}),
        aws("metadata", {"usage": {"inputTokens": 0, "outputTokens": 0}}),
        aws("messageStop", {"stopReason": "end_turn"}),
    ), 2, 1500, 20, 500, "AKIDEXAMPLE|secret|us-east-1", {}, "application/vnd.amazon.eventstream"),
    "Gemini": Stream(24, (
        event(candidate("Hello") | {"usageMetadata": {
            "promptTokenCount": 1000, "cachedContentTokenCount": 500, "candidatesTokenCount": 500,
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 500}]}}),
        event(candidate("", "STOP") | {"usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 0}}),
    ), 0, 1000, 500, 500),
    "DashScope": Stream(17, (
        event(qwen("Hello", "null", {"input_tokens": 1000, "output_tokens": 500})),
        event(qwen("", "stop", {"input_tokens": 0, "output_tokens": 0})),
    ), 0, 1000, 500, config={"protocol": "native"}),
    "Tencent": Stream(23, (
        event(hunyuan("Hello", "", 1000, 500)), event(hunyuan("", "stop", 0, 0)),
    ), 0, 1000, 500, key="1250000000|AKIDexample0001|secret", config={"protocol": "native"}),
    "Cloudflare": Stream(37, (
        event({"response": "Hello", "usage": used(1000, 500)}), event({"response": "", "usage": used(0, 0)}),
        b"data: [DONE]\n\n",
    ), 0, 1000, 500, config={"protocol": "native", "user_id": "a"}),
    "Coze": Stream(34, (
        event({"id": "a", "usage": {"input_count": 1000, "output_count": 500}}, "conversation.chat.in_progress"),
        event({"type": "answer", "id": "1", "content": "Hello"}, "conversation.message.delta"),
        event({"id": "a", "usage": {"input_count": 0, "output_count": 0}}, "conversation.chat.completed"),
    ), 0, 1000, 500),
    "Ollama": Stream(30, (
        b'{"message":{"role":"assistant","content":"Hello"},"prompt_eval_count":1000,"eval_count":500,"done":false}\n',
        b'{"message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"prompt_eval_count":0,"eval_count":0}\n',
    ), 0, 1000, 500, config={"protocol": "native"}, kind="application/x-ndjson"),
}  # fmt: skip
EVERY = pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)


def serve(case: Stream, vendor: FakeVendor, channel: Any, pieces: tuple[bytes, ...]) -> None:
    mapping = json.dumps({ASKED: case.model}) if case.model else None
    channel(type=case.type, key=case.key, config=json.dumps(case.config), model_mapping=mapping)
    vendor.says(pieces, content_type=case.kind, pause=0.02)


@EVERY
def test_a_later_report_that_says_less_does_not_replace_a_fuller_one(
    case: Stream, say: Any, vendor: FakeVendor, channel: Any, detail: Any
) -> None:
    serve(case, vendor, channel, case.pieces)
    chunks = events(say(**WITH_USAGE).text)
    assert chunks[-1] == "[DONE]"
    report = {"prompt": case.prompt, "completion": case.completion}
    assert detail()["usage"] == report | ({"cached": case.cached} if case.cached else {})
    if case.type == 1:
        return  # a stream that passes untouched keeps the provider's bytes
    shown = [chunk["usage"] for chunk in chunks[:-1] if chunk.get("usage")][-1]
    assert (shown["prompt_tokens"], shown["completion_tokens"]) == (case.prompt, case.completion)
    assert (shown.get("prompt_tokens_details") or {}).get("cached_tokens", 0) == case.cached


@EVERY
def test_usage_reported_before_a_stream_breaks_is_charged(
    case: Stream, say: Any, vendor: FakeVendor, channel: Any, detail: Any
) -> None:
    serve(case, vendor, channel, case.pieces[: max(case.early, 1) + 1 - (case.early == 0 and b"Hello" in case.pieces[0])])
    found = events(say(stream=True).text)
    assert found[-1]["error"]["code"] == "stream_broken"
    if case.type != 1:  # a stream that passes untouched keeps the provider's bytes
        assert not any(chunk.get("usage") for chunk in found)
    told = detail()
    assert told["end"] == "vendor_broke"
    assert (told["usage"]["prompt"], told["usage"].get("cached", 0)) == (case.prompt, case.cached)
    assert told["usage"]["completion"] >= 1


@EVERY
def test_usage_reported_before_the_client_leaves_is_charged(
    case: Stream, say: Any, vendor: FakeVendor, channel: Any, detail: Any, client: Any, alice: Any
) -> None:
    serve(case, vendor, channel, case.pieces)
    body = {"model": ASKED, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = client.post("/v1/chat/completions", json=body, headers=alice.headers, buffered=False)
    for piece in answer.iter_encoded():
        if b"Hello" in piece:
            break
    answer.close()
    told = detail()
    assert told["end"] == "client_left"
    if case.early == 2:  # Converse reports at the end only
        assert told["usage"]["estimated"]
    else:
        assert (told["usage"]["prompt"], told["usage"].get("cached", 0)) == (case.prompt, case.cached)


def test_what_was_delivered_is_charged_where_a_report_covers_less(
    say: Any, vendor: FakeVendor, channel: Any, detail: Any
) -> None:
    channel(type=14)
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "one two three four five"}}
    vendor.says((event(CLAUDE[0]), event(text)))
    assert say(stream=True).text
    assert detail()["usage"] == {"prompt": 1500, "completion": 5, "cached": 500, "estimated": True}


def test_a_final_report_is_charged_though_our_count_is_larger(say: Any, vendor: FakeVendor, channel: Any, detail: Any) -> None:
    channel(type=36)
    chunk = {"choices": [{"index": 0, "delta": {"content": "one two three four"}, "finish_reason": "stop"}], "usage": used(7, 2)}
    vendor.says(Say(pieces=sse(chunk, {"error": {"message": "late"}}), content_type="text/event-stream"))
    assert say(stream=True).text
    assert detail()["usage"] == {"prompt": 7, "completion": 2}


@pytest.mark.parametrize(
    ("reports", "prompt", "completion"),
    [
        ([used(10, 5), {"prompt_tokens": 10}], 10, 5),
        ([used(10, 5), {"prompt_tokens": -1, "completion_tokens": None}], 10, 5),
        ([used(10, 5), used(10, 10**12)], 10, 5),
        ([{"prompt_tokens": 10}, {"completion_tokens": 5}], 10, 5),
        ([used(10, 1), used(10, 5), used(10, 3)], 10, 5),
        ([used(10, 5), {}], 10, 5),
        ([used(10, 5), None], 10, 5),
        ([used(10, 5), "none"], 10, 5),
        ([used(0, 0), used(10, 5)], 10, 5),
    ],
)
@pytest.mark.parametrize("type", [1, 36], ids=["untouched", "converted"])
def test_each_class_keeps_its_larger_figure(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, type: int, reports: list[Any], prompt: int, completion: int
) -> None:
    channel(type=type)
    words = [{"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": report} for report in reports]
    vendor.says(sse(*words, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    assert say(stream=True).text.endswith("data: [DONE]\n\n")
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (prompt, completion)


def test_usage_in_a_choice_is_merged_with_the_answers_own(say: Any, vendor: FakeVendor, channel: Any, logged: Any) -> None:
    channel()
    answer = chat("Hi", usage=used(0, 0))
    answer["choices"][0]["usage"] = used(1000, 500)
    vendor.says(answer)
    say()
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (1000, 500)
