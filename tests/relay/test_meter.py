"""Usage × price → quota: sane whatever a vendor reports, never negative, and growing with what was used."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneapi import settings as options
from oneapi.catalog.prices import BUILT_IN, Price, price
from oneapi.relay import count, estimate, meter
from oneapi.relay.meter import Tariff
from oneapi.wire import Usage

MINI = Tariff(Price(0.075, 4.0, cached=0.0375), 1.0, "gpt-4o-mini")
SETTINGS = options.read({})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
PARTS = (
    "prompt_cache_hit_tokens", "cache_creation_input_tokens", "cached_tokens", "cache_write_tokens", "audio_tokens",
    "image_tokens", "reasoning_tokens", "ephemeral_1h_input_tokens",
)  # fmt: skip
BESIDE = ("cache_read_input_tokens", "cache_creation_input_tokens", "prompt_cache_hit_tokens", "cached_tokens")
numbers = st.integers(-10, 10**6) | json_values
parts = st.dictionaries(st.sampled_from(PARTS), numbers) | json_values
reports = st.fixed_dictionaries(
    {}, optional=dict.fromkeys((*NAMES, *BESIDE), numbers)
    | dict.fromkeys(("prompt_tokens_details", "completion_tokens_details", "cache_creation"), parts)
)  # fmt: skip
rates = st.none() | st.floats(0, 100)
CLASSES = ("cached", "cache_write", "cache_write_1h", "audio_in", "audio_out", "image_in", "image_out")
prices = st.builds(Price, st.floats(0, 1000), st.floats(0, 50), **dict.fromkeys(CLASSES, rates))
tariffs = st.builds(Tariff, prices, st.floats(0, 10), st.just("m"))


@given(reports | json_values)
def test_a_report_is_made_sane_whatever_it_says(report: Any) -> None:
    used = meter.usage(report)
    if used is None:
        return
    classes = [getattr(used, name) for name in Usage.__slots__ if name not in ("estimated", "flagged", "tools", "tier")]
    assert all(type(number) is int and number >= 0 for number in classes)
    assert used.cached + used.cache_write + used.audio_prompt + used.image_prompt <= used.prompt
    assert used.audio_completion + used.image_completion <= used.completion
    assert used.reasoning <= used.completion
    assert used.cache_write_1h <= used.cache_write


@given(reports, tariffs)
def test_no_report_makes_a_negative_charge(report: Any, tariff: Tariff) -> None:
    used = meter.usage(report)
    if used is not None:
        charge = meter.tokens(tariff, used)
        assert charge.quota >= 0 and math.isfinite(charge.quota)
        assert all(line["tokens"] >= 0 and line["quota"] >= 0 for line in charge.lines)


@given(tariffs, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(tariff: Tariff, prompt: int, completion: int, more: int, further: int) -> None:
    less = meter.tokens(tariff, Usage(prompt, completion)).quota
    assert meter.tokens(tariff, Usage(prompt + more, completion + further)).quota >= less


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_long_prompts_never_cost_less_where_they_have_prices_of_their_own(prompt: int, more: int) -> None:
    for name in [name for name, found in BUILT_IN.items() if found.above][:5]:
        tariff = Tariff(BUILT_IN[name], 1.0, name)
        assert meter.tokens(tariff, Usage(prompt + more)).quota >= meter.tokens(tariff, Usage(prompt)).quota


@given(tariffs, st.integers(0, 10**5), st.integers(0, 10**5))
def test_the_lines_explain_the_charge(tariff: Tariff, prompt: int, completion: int) -> None:
    charge = meter.tokens(tariff, Usage(prompt, completion, cached=prompt // 2))
    assert charge.quota == pytest.approx(sum(line["quota"] for line in charge.lines), abs=1.1, rel=1e-3)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        ({"total_tokens": 7}, Usage(7)),
        ({"prompt_tokens": 3, "total_tokens": 7}, Usage(3, 4)),
        ({"completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
        ({"completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 9}}, Usage(0, 4, reasoning=4)),
        ({"prompt_tokens": 3.0, "completion_tokens": 4.0}, Usage(3, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({}, None), (None, None), ([], None), ("12", None),
    ],
)  # fmt: skip
def test_reports_of_every_vendor_are_understood(report: Any, expected: Usage | None) -> None:
    assert meter.usage(report) == expected


def test_what_was_not_believed_is_said() -> None:
    used = meter.usage({"prompt_tokens": 10, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": 50}})
    assert used is not None and used.cached == 10
    assert "completion_tokens was -1" in used.flagged and "parts exceeded their total" in used.flagged


def test_a_free_model_costs_nothing_and_any_other_at_least_one() -> None:
    assert meter.tokens(Tariff(Price(0.0), 1.0, "free"), Usage(10, 10)).quota == 0
    assert meter.tokens(Tariff(Price(0.000001), 1.0, "cheap"), Usage(1, 0)).quota == 1
    assert meter.tokens(MINI, Usage(0, 0)).quota == 0


@pytest.mark.parametrize(
    ("body", "least"),
    [
        ({"max_tokens": 1000}, 1000 * 4 * 0.075), ({"max_completion_tokens": 1000}, 1000 * 4 * 0.075),
        ({"max_tokens": 1000, "n": 3}, 3000 * 4 * 0.075), ({"max_tokens": 1000.0}, 1000 * 4 * 0.075),
        ({}, 1), ({"max_tokens": 0}, 1),
    ],
)  # fmt: skip
def test_what_the_client_allows_is_needed_in_full(body: dict[str, Any], least: float) -> None:
    want, need = estimate.reserve(MINI, "chat", body | {"messages": [{"role": "user", "content": "hi"}]}, 80, 500)
    assert least <= need < least + 5
    assert want >= need


def test_an_encoded_image_is_not_taken_for_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    body = {"messages": [{"role": "user", "content": [picture]}]}
    assert estimate.prompt("chat", body, 400_100) < 2000


SMALL = {"type": "image_url", "image_url": {"url": "http://x/a.png", "detail": "low"}}
strange = st.dictionaries(
    st.sampled_from(("messages", "prompt", "input", "instruction", "query", "documents", "tools", "n", "max_tokens", "size")),
    json_values, max_size=5,
)  # fmt: skip
messages = st.lists(
    st.dictionaries(st.sampled_from(("role", "content", "name", "tool_calls")), json_values) | json_values, max_size=3
)
PART = ("text", "image_url", "input_audio", "file", "type")
contents = st.lists(st.dictionaries(st.sampled_from(PART), json_values), max_size=3)
KINDS = ("chat", "completions", "embeddings", "rerank", "edits", "moderations")


@settings(deadline=None)  # the first loads the vocabulary
@given(st.sampled_from(KINDS), strange, messages, contents)
def test_nothing_a_client_sends_makes_an_estimate_fail(
    kind: str, body: dict[str, Any], said: list[Any], content: list[Any]
) -> None:
    body = body | {"messages": [*said, {"role": "user", "content": content}]}
    used = estimate.usage(kind, body, "gpt-4o", "words", SETTINGS)
    assert used.prompt >= 0 and used.completion == 1
    want, need = estimate.reserve(MINI, kind, body, 1000, 500)
    assert 0 <= need <= want


def test_texts_nested_without_end_are_counted_all_the_same() -> None:
    deep: Any = "word"
    for _ in range(900):
        deep = [deep]
    assert estimate.usage("embeddings", {"input": deep}, "m", "", SETTINGS).prompt == 0


@pytest.mark.parametrize(
    ("kind", "body", "tokens"),
    [
        ("chat", {"messages": [{"role": "user", "content": "hi"}]}, 3 + 3 + 1 + 1),
        ("chat", {"messages": [{"role": "user", "name": "bob", "content": "hi"}]}, 3 + 3 + 1 + 1 + 1 + 1),
        ("chat", {"messages": [{"role": "user", "content": [SMALL]}]}, 3 + 4 + 85),
        ("embeddings", {"input": ["hi", "hi"]}, 2), ("embeddings", {"input": [1, 2, 3]}, 3),
        ("embeddings", {"input": [[1, 2], [3]]}, 3), ("completions", {"prompt": "hi"}, 1),
        ("rerank", {"query": "hi", "documents": [{"text": "hi"}, "hi"]}, 3),
    ],
)  # fmt: skip
def test_prompts_are_counted_by_the_rules_of_the_documentation(kind: str, body: dict[str, Any], tokens: int) -> None:
    assert estimate.usage(kind, body, "gpt-4o", "", SETTINGS).prompt == tokens


def test_an_endless_word_is_counted_in_a_moment() -> None:
    assert 10_000 < count.tokens("a" * 400_000, "gpt-4o") < 400_000


def test_a_priced_model_is_known_by_its_name() -> None:
    found = price("gpt-4o-mini", 1)
    assert found is not None and (found.ratio, found.completion) == (0.075, 4.0)
