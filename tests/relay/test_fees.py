"""Calls of providers' own tools and service tiers are charged, and what has no price is not asked for."""

import json
from typing import Any

import pytest
from fake_vendor import FakeVendor, chat, sse

from oneapi.catalog import fees

pytestmark = pytest.mark.usefixtures("books")

USED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def streamed(**last: Any) -> tuple[bytes, ...]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    return sse(head | {"choices": [choice]}, head | {"choices": [], "usage": USED} | last)


# -- service tiers: gpt-5.4 costs (1000 × 1.25 + 100 × 7.5) quota at the standard tier ---------------------------------

TIERS = [("default", 2000), ("auto", 2000), (None, 2000), ("flex", 1000), ("priority", 4000), ("batch", 1000)]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_the_tier_that_the_provider_reports_is_charged(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, detail: Any, streaming: bool
) -> None:
    channel(models="gpt-5.4")
    for tier, _ in TIERS:
        vendor.says(streamed(service_tier=tier) if streaming else chat(usage=USED, service_tier=tier))
        assert say(model="gpt-5.4", stream=streaming).data
    assert charges() == [cost for _, cost in TIERS]
    assert detail()["price"]["tier"] == 0.5 and sum(line["quota"] for line in detail()["lines"]) == 1000


def test_a_tier_without_a_price_is_charged_as_standard_and_pointed_out(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, detail: Any, setting: Any
) -> None:
    channel(models="gpt-5.4")
    vendor.always(chat(usage=USED, service_tier="turbo"))
    say(model="gpt-5.4")
    assert charges() == [2000] and detail()["uncharged"] == ["tier turbo"]
    setting(TierRatio={"turbo": 2, "gpt-5.4:turbo": 3})
    say(model="gpt-5.4")
    assert charges()[-1] == 6000 and "uncharged" not in detail()


@pytest.mark.parametrize(("reported", "cost"), [({"service_tier": "batch"}, 1125), ({"service_tier": "priority"}, 2250)])
def test_anthropics_tiers(say: Any, vendor: FakeVendor, channel: Any, charges: Any, reported: Any, cost: int) -> None:
    channel(type=14, models="claude-sonnet-4-5")
    vendor.says(claude(reported))
    say(model="claude-sonnet-4-5")
    assert charges() == [cost]


# -- tools --------------------------------------------------------------------------------------------------------------


def claude(reported: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100} | reported
    return {"id": "m", "type": "message", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn", "usage": usage}


def test_searches_of_claude_cost_a_cent_each(say: Any, vendor: FakeVendor, channel: Any, charges: Any, detail: Any) -> None:
    channel(type=14, models="claude-sonnet-4-5")
    vendor.says(claude({"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2, "brew_requests": 1}}))
    say(model="claude-sonnet-4-5")
    assert charges() == [2250 + 3 * 5000]
    assert {"what": "tool web_search", "tokens": 3, "rate": 5000.0, "quota": 15000.0} in detail()["lines"]
    assert detail()["uncharged"] == ["tool brew"]  # fetched pages are free


REPORTS: list[tuple[str, dict[str, Any]]] = [
    ("gpt-5.4", {"server_tool_use": {"web_search_requests": 2}}),
    ("gpt-5.4", {"tool_usage": {"web_search": {"num_requests": 2}}}),
    ("gpt-5.4", {"tool_usage": {"web_search": 2}}),
    ("gpt-5.4", {"connectors": {"web_search": 2}}),
    ("gpt-5.4", {"plugins": {"search": {"count": 2, "strategy": "turbo"}}}),
    ("gpt-5.4", {"server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 0}}),
    ("gpt-5.4", {"server_side_tool_usage": {"SERVER_SIDE_TOOL_WEB_SEARCH": 2}}),
    ("gpt-5.4", {"num_search_queries": 2}),
]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_calls_are_known_by_every_name(say: Any, vendor: FakeVendor, channel: Any, charges: Any, streaming: bool) -> None:
    channel(models="gpt-5.4")
    for model, report in REPORTS:
        vendor.says(streamed(usage=USED | report) if streaming else chat(usage=USED | report))
        assert say(model=model, stream=streaming).data
    assert charges() == [2000 + 2 * 5000] * len(REPORTS)


def test_a_search_model_searches_for_every_answer(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel(models="gpt-4o-search-preview")
    vendor.says(chat(usage=USED))
    say(model="gpt-4o-search-preview")
    assert charges() == [1750 + 12500]


def test_an_administrator_sets_prices_of_tools(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, setting: Any, detail: Any
) -> None:
    channel(models="gpt-5.4")
    setting(ToolPrice={"web_search": 0.02, "gpt-5.4:brew": 0.1})
    vendor.says(chat(usage=USED | {"server_tool_use": {"web_search_requests": 1, "brew_requests": 2}}))
    say(model="gpt-5.4")
    assert charges() == [2000 + 10_000 + 100_000] and "uncharged" not in detail()


@pytest.mark.parametrize(("model", "cost"), [("gemini-2.5-flash", 275 + 17_500), ("gemini-3-flash-preview", 400 + 14_000)])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_grounding_is_paid_by_the_prompt_or_by_the_query(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, model: str, cost: int, streaming: bool
) -> None:
    channel(type=24, models=model)
    grounding = {"webSearchQueries": ["a", "b"]}
    candidate = {"index": 0, "content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP", "groundingMetadata": grounding}
    said = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100}}
    vendor.says(sse(said, done=False) if streaming else said)
    assert say(model=model, stream=streaming).data
    assert charges() == [cost]


def test_moonshots_search_is_a_call_of_its_own(say: Any, vendor: FakeVendor, channel: Any, detail: Any) -> None:
    channel(type=25, models="kimi-k2.5")
    called = {"id": "1", "type": "function", "function": {"name": "$web_search", "arguments": "{}"}}
    answer = chat(usage=USED)
    answer["choices"][0] |= {"message": {"role": "assistant", "content": None, "tool_calls": [called]}}
    vendor.says(answer)
    say(model="kimi-k2.5")
    assert [line["quota"] for line in detail()["lines"] if line["what"] == "tool web_search"] == [2500]


# -- fields of the request that cost more -------------------------------------------------------------------------------

PAID = {"service_tier": "flex", "web_search_options": {}, "store": True}


@pytest.mark.parametrize(
    ("model", "config", "passed"),
    [("gpt-5.4", {}, {"service_tier", "web_search_options", "store"}), ("gpt-4-0613", {}, {"web_search_options", "store"}),
     ("mystery", {}, {"store"}), ("mystery", {"paid_fields": "all"}, set(PAID)), ("gpt-5.4", {"paid_fields": "none"}, set())],
)  # fmt: skip
def test_fields_that_cost_more_are_passed_on_where_they_are_priced(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, model: str, config: dict[str, str], passed: set[str]
) -> None:
    setting(ModelRatio={"mystery": 1})
    channel(models=model, config=json.dumps(config))
    vendor.says(chat(usage=USED))
    assert say(model=model, **PAID).status_code == 200
    assert PAID.keys() & vendor.asked[-1].json.keys() == passed


def test_a_dearer_tier_is_reserved(say: Any, vendor: FakeVendor, channel: Any, detail: Any) -> None:
    channel(models="gpt-5.4")
    vendor.always(chat(usage=USED))
    say(model="gpt-5.4", max_tokens=1000)
    once = detail()["reserved"]
    say(model="gpt-5.4", max_tokens=1000, service_tier="priority")
    assert detail()["reserved"] in range(2 * once - 2, 2 * once + 40)


def test_every_row_of_the_fees_names_its_source_and_fits_a_model() -> None:
    assert fees.built_in("gpt-5.5", 1).tiers["priority"] == 2.5 and fees.built_in("openai/gpt-5.5", 20).tiers["flex"] == 0.5
    assert fees.built_in("claude-opus-5", 14).tiers == {"batch": 0.5, "priority": 1, "fast": 2}
    assert fees.built_in("mystery", 50) == fees.NONE
