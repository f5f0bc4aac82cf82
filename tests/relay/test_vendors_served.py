"""Wire cases through the whole gateway: a client asks, FakeVendor plays the vendor's recorded answers, the golden comes out."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from asks import events
from fake_vendor import FakeVendor, Say
from test_wire import WIRE, load, replies, row_of

from oneapi import vendors

pytestmark = pytest.mark.usefixtures("books")

ASKED = "gpt-4o-mini"
ELSEWHERE = re.compile(rb"https://(stream\.replicate\.com|replicate\.delivery)")  # where answers point
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "aws": "application/vnd.amazon.eventstream"}
# Of every protocol a whole answer and a stream with tools, and whatever takes more than one question.
CASES = [
    "anthropic/tools", "anthropic/tools-stream", "anthropic/thinking-stream", "anthropic/images-and-documents",
    "azure/chat_stream_tools", "azure/classic",
    "bedrock/tools", "bedrock/tools-stream", "bedrock/embeddings-titan", "bedrock/rerank", "bedrock/invoke-claude-tools-stream",
    "bedrock-compatible/stream-reasoning",
    "cloudflare/native-stream-tools", "cloudflare/image", "cloudflare/rerank",
    "cohere/tools", "cohere/stream-tools", "cohere/embeddings-many", "cohere/rerank", "cohere-openai/stream",
    "deepl/chat-own-address",
    "gemini/tools", "gemini/tools-late-stop-stream", "gemini/embeddings-many", "gemini/image-output", "gemini/imagen",
    "gemini-openai/chat_stream_reasoning",
    "groq/chat_stream_reasoning", "mistral/chat_stream_tools", "mistral/speech", "ollama/tools-stream",
    "ollama/embeddings-base64",
    "openrouter/chat_reasoning_details", "palm/tools",
    "replicate/chat-polled", "replicate/stream", "replicate/image-base64",
    "together/images", "vertex/gemini-express", "xai/chat_stream",
    "ai360/tools_stream", "ali-bailian/tools_stream", "ali-bailian/images", "aiproxy-library/stream", "baichuan/tools_stream",
    "baidu-v2/tools_stream", "baidu-v2/filtered", "coze/stream-image-data-url", "coze/document", "coze/stream-tools",
    "coze/image-data-url", "coze/speech", "dashscope/tools_stream", "dashscope/thinking_stream", "dashscope/rerank",
    "deepseek/reasoning_stream", "deepseek/completions", "doubao/tools_stream", "doubao/images_several",
    "doubao/embeddings_of_pictures", "fastgpt/stream", "fastgpt/chat_stream_detail", "lingyiwanwu/tools_stream",
    "minimax/chat_stream_cumulative", "minimax/speech", "minimax/images", "moonshot/usage_in_choice", "novita/rerank",
    "siliconflow/images", "siliconflow/rerank", "stepfun/reasoning_stream", "tencent/tools_stream", "tencent/picture",
    "tencent/embeddings_base64", "dashscope/embeddings_many", "zhipu/rerank_of_objects",
    "xunfei-v2/tools_stream", "xunfei-v2/reasoning_stream", "zhipu/tools_stream",
    "zhipu/v3_stream", "anthropic/id-missing-stream", "anthropic/usage-missing", "anthropic/two-message-deltas-stream",
    "bedrock/usage-missing", "bedrock/index-missing-stream", "cloudflare/tokens-like-json-stream", "cohere/logprobs-stream",
    "gemini/logprobs-stream", "gemini/code-execution-stream", "ollama/logprobs-stream",
    "ollama/stream-last-frame-without-message", "zhipu/v3_blanks_stream", "zhipu/v3_text_in_json",
]  # fmt: skip


def served_at(address: str, url: str) -> str:
    """A vendor's address at FakeVendor's host, with the path it has."""
    _, _, rest = address.partition("//")
    _, slash, path = rest.partition("/")
    return url + slash + path


def told(name: str, data: bytes) -> Any:
    """What the client got, without what differs from call to call."""
    found = [json.loads(line[6:]) for line in data.split(b"\n\n") if line.startswith(b"data: {")] if name else json.loads(data)
    return plain(found)


def plain(value: Any) -> Any:
    """Without ids of ours, times, and the name that the client used."""
    if isinstance(value, list):
        return [plain(item) for item in value if item.get("choices") != []] if all(isinstance(i, dict) for i in value) else value
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if k not in ("created", "model", "usage")}
    if str(kept.get("id", "")).partition("-")[0] in ("chatcmpl", "cmpl", "rerank") or str(kept.get("id")).startswith("call_"):
        del kept["id"]
    return {k: plain(v) for k, v in kept.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_case_comes_through_the_gateway(name: str, say: Any, vendor: FakeVendor, channel: Callable[..., int]) -> None:
    case = WIRE / name
    ask, row = load(case / "ask.json"), row_of(name.partition("/")[0])
    config = dict(ask.get("config", {}))
    if row is not vendors.by_id(row.id):
        config["protocol"] = "openai"
    channel(
        type=row.id, key=ask.get("key") or "unused", config=json.dumps(config), models=ASKED,
        model_mapping=json.dumps({ASKED: ask["body"]["model"]}),
        base_url=served_at(ask.get("base_url") or row.base_url or "https://x", vendor.url).rstrip("/"),
    )  # fmt: skip
    for framed, reply in replies(case):
        body = ELSEWHERE.sub(vendor.url.encode(), reply.body)
        kind = TYPES.get(framed) or reply.headers["content-type"]
        vendor.says(Say(body, status=reply.status, content_type=kind))
    answer = say(ask.get("path", "/v1/chat/completions"), **ask["body"] | {"model": ASKED})
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Oneapi-Request-Id"]
    golden = load(case / "golden.json")
    if "reply" in golden:
        assert answer.text == golden["reply"]["body"]
        return
    asked_at = [one.path for one in vendor.asked]
    wanted = [load(path)["url"] for path in sorted(case.glob("request*.json"))]
    assert len(asked_at) == len(wanted)
    streaming = isinstance(golden, list)
    assert told("stream" if streaming else "", answer.data) == plain(golden)


def test_an_error_in_the_middle_is_told_in_the_vendors_words(say: Any, vendor: FakeVendor, channel: Callable[..., int]) -> None:
    case = WIRE / "anthropic" / "error-in-stream"
    channel(type=14, models=ASKED, model_mapping=json.dumps({ASKED: "claude-sonnet-4-5"}))
    vendor.says(Say((case / "reply.sse").read_bytes(), content_type=TYPES["sse"]))
    error = load(case / "golden.json")["error"]
    last = events(say(stream=True).text)[-1]["error"]
    assert (last["message"], last["type"], last["code"]) == (error["message"], error["type"], error["code"])


def test_who_cannot_stream_is_heard_as_a_stream(say: Any, vendor: FakeVendor, channel: Callable[..., int]) -> None:
    channel(type=38, models=ASKED, model_mapping=json.dumps({ASKED: "deepl-zh"}))
    vendor.says({"translations": [{"detected_source_language": "EN", "text": "\u4f60\u597d"}]})
    *chunks, last = events(say(stream=True).text)
    said = [(choice["delta"], choice["finish_reason"]) for chunk in chunks for choice in chunk["choices"]]
    assert said == [({"role": "assistant", "content": ""}, None), ({"content": "\u4f60\u597d"}, None), ({}, "stop")]
    assert last == "[DONE]"


def test_log_probabilities_survive_an_answer_that_did_not_stream(
    say: Any, vendor: FakeVendor, channel: Callable[..., int]
) -> None:
    channel(type=24, models=ASKED, model_mapping=json.dumps({ASKED: "gemini-2.5-flash"}))
    vendor.says(load(WIRE / "gemini" / "logprobs" / "reply.json"))
    *chunks, _ = events(say(stream=True, logprobs=True).text)
    marked = [choice["logprobs"] for chunk in chunks for choice in chunk["choices"] if choice.get("logprobs")]
    assert [entry["token"] for entry in marked[0]["content"]] == ["Hi"] and len(marked) == 1
