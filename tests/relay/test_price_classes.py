"""Tokens that have a price of their own cost exactly that, under whichever name a provider reports them."""

import json
from typing import Any

import pytest
from fake_vendor import FakeVendor, sse

pytestmark = pytest.mark.usefixtures("books")

CLAUDE = "claude-sonnet-4-5"
ONE_HOUR = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10_000}
MIXED = {"ephemeral_5m_input_tokens": 4_000, "ephemeral_1h_input_tokens": 6_000}


def claude(**used: Any) -> dict[str, Any]:
    counts = {"input_tokens": 10, "cache_creation_input_tokens": 10_000, "cache_read_input_tokens": 0, "output_tokens": 2} | used
    content = [{"type": "text", "text": "ok"}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content,
            "stop_reason": "end_turn", "usage": counts}  # fmt: skip


def claude_stream(**used: Any) -> tuple[bytes, ...]:
    first = claude(**used)["usage"] | {"output_tokens": 1}
    return sse(
        {"type": "message_start", "message": {"id": "m", "usage": first}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "ok"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
        done=False,
    )


WRITES = [(ONE_HOUR, 30_030), (MIXED, 25_530), ({"ephemeral_5m_input_tokens": 10_000}, 18_780), (None, 18_780)]


@pytest.mark.parametrize(("times", "cost"), WRITES, ids=["one hour", "both", "five minutes", "times not reported"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_tokens_in_the_one_hour_cache_cost_twice_the_input(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, detail: Any, times: Any, cost: int, streaming: bool
) -> None:
    channel(type=14, models=CLAUDE)
    counts = {"cache_creation": times} if times else {}
    vendor.says(claude_stream(**counts) if streaming else claude(**counts))
    said = say(model=CLAUDE, stream=streaming, stream_options={"include_usage": True} if streaming else None)
    assert said.status_code == 200 and b'"cache_write_tokens":10000' in said.data
    assert charges() == [cost]  # (10 + 2 × 5 + 5 minutes × 1.25 + 1 hour × 2) × 1.5
    long = (times or {}).get("ephemeral_1h_input_tokens", 0)
    assert detail()["usage"].get("cache_write_1h", 0) == long
    assert sum(line["tokens"] for line in detail()["lines"] if line["what"] == "cache write 1h") == long


CONVERSE = {
    "inputTokens": 10, "outputTokens": 2, "totalTokens": 10_012, "cacheWriteInputTokens": 10_000,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 6_000}, {"ttl": "5m", "inputTokens": 4_000}],
}  # fmt: skip
IN_OPENAIS_WORDS: list[tuple[str, dict[str, Any]]] = [
    ("OpenAI", {"prompt_tokens_details": {"cache_write_tokens": 10_000,
                                          "cache_write_tokens_details": {"ttl_30m_tokens": 4_000, "ttl_12h_tokens": 6_000}}}),
    ("details", {"prompt_tokens_details": {"cache_creation_input_tokens": 10_000, "cache_creation": MIXED}}),
    ("LiteLLM", {"cache_creation_input_tokens": 10_000, "prompt_tokens_details": {
        "cached_tokens": 0, "cache_creation_tokens": 10_000, "cache_creation_token_details": MIXED}}),
    ("beside", {"cache_creation_input_tokens": 10_000, "cache_creation": MIXED}),
    ("only times", {"cache_creation": MIXED}),
    ("New API", {"prompt_tokens_details": {"cached_creation_tokens": 10_000}, "claude_cache_creation_5_m_tokens": 4_000,
                 "claude_cache_creation_1_h_tokens": 6_000}),
]  # fmt: skip


@pytest.mark.parametrize("kind", [1, 8, 20, 50])
def test_written_tokens_are_known_by_every_name(say: Any, vendor: FakeVendor, channel: Any, charges: Any, kind: int) -> None:
    channel(type=kind, models=CLAUDE)
    for _, report in IN_OPENAIS_WORDS:
        vendor.says(answer({"prompt_tokens": 10_010, "completion_tokens": 2, "total_tokens": 10_012} | report))
        assert say(model=CLAUDE).status_code == 200
    assert dict(zip([name for name, _ in IN_OPENAIS_WORDS], charges(), strict=True)) == {n: 25_530 for n, _ in IN_OPENAIS_WORDS}


def test_bedrock_tells_written_tokens_apart_by_time(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel(type=33, models=CLAUDE, key="AK|SK|us-east-1")
    message = {"role": "assistant", "content": [{"text": "ok"}]}
    vendor.says({"output": {"message": message}, "stopReason": "end_turn", "usage": CONVERSE})
    assert say(model=CLAUDE).status_code == 200
    assert charges() == [25_530]


def test_an_administrator_sets_what_written_tokens_cost(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, setting: Any
) -> None:
    channel(type=14, models=CLAUDE)
    setting(CacheWriteRatio={CLAUDE: 1}, LongCacheWriteRatio={CLAUDE: 3})
    vendor.says(claude(cache_creation=MIXED))
    say(model=CLAUDE)
    assert charges() == [33_030]  # (10 + 2 × 5 + 4000 + 6000 × 3) × 1.5


# -- tokens read from the cache ---------------------------------------------------------------------------------------


def answer(used: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "yo"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": used}


def streamed(used: dict[str, Any], *, within: bool = False) -> tuple[bytes, ...]:
    def chunk(delta: dict[str, Any], reason: str | None, **more: Any) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices} | more

    last = [chunk({}, "stop", usage=used)] if within else [chunk({}, "stop"), chunk({}, None, usage=used) | {"choices": []}]
    return sse(chunk({"role": "assistant", "content": "yo"}, None), *last)


TOTALS = {"prompt_tokens": 10_000, "completion_tokens": 10, "total_tokens": 10_010}
HITS: list[dict[str, Any]] = [
    {"prompt_cache_hit_tokens": 9_000, "prompt_cache_miss_tokens": 1_000}, {"cached_tokens": 9_000},
    {"cache_read_input_tokens": 9_000}, {"cache_read_tokens": 9_000}, {"input_cached_tokens": 9_000},
    {"cached_input_tokens": 9_000}, {"num_cached_tokens": 9_000}, {"cached_prompt_tokens": 9_000},
    {"prompt_tokens_details": {"cached_tokens": 9_000}}, {"prompt_tokens_details": {"cache_read_input_tokens": 9_000}},
    {"prompt_token_details": {"cached_tokens": 9_000}},
    {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 9_000},
    {"prompt_tokens_details": None, "prompt_cache_hit_tokens": 9_000},
]  # fmt: skip


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", [1, 8, 20, 40, 44, 50])
def test_cached_tokens_are_known_by_every_name(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, kind: int, streaming: bool
) -> None:
    channel(type=kind, models="deepseek-chat")
    for hits in HITS:
        vendor.says(streamed(TOTALS | hits) if streaming else answer(TOTALS | hits))
        said = say(model="deepseek-chat", stream=streaming)
        assert said.status_code == 200 and b"yo" in said.data
    assert dict(zip(map(str, HITS), charges(), strict=True)) == dict.fromkeys(map(str, HITS), 456)


def test_a_chunk_with_a_choice_may_carry_the_cached_tokens(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel(type=50, models="deepseek-chat")
    vendor.says(streamed(TOTALS | {"prompt_cache_hit_tokens": 9_000}, within=True))
    say(model="deepseek-chat", stream=True)
    assert charges() == [456]


BESIDE = [
    ({"input_tokens": 1_000, "output_tokens": 10, "cache_read_input_tokens": 9_000}, "as Anthropic counts"),
    ({"input_tokens": 0, "output_tokens": 10, "cache_read_input_tokens": 9_000, "cache_creation_input_tokens": 1_000}, "none"),
    ({"prompt_tokens": 1_000, "completion_tokens": 10, "total_tokens": 1_010, "cache_read_input_tokens": 9_000}, "more than it"),
    ({"prompt_tokens": 1_000, "completion_tokens": 10, "total_tokens": 10_010, "prompt_cache_hit_tokens": 9_000}, "by the total"),
]  # fmt: skip


@pytest.mark.parametrize("report", [report for report, _ in BESIDE], ids=[name for _, name in BESIDE])
def test_cached_tokens_counted_beside_the_prompt_are_added_to_it(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, report: dict[str, Any]
) -> None:
    channel(type=50, models="deepseek-chat")
    vendor.says(answer(report))
    say(model="deepseek-chat")
    row = logged()[-1]
    assert (row.prompt_tokens, row.quota) == (10_000, 456)
    assert json.loads(row.detail)["usage"]["cached"] == 9_000
