"""Token counts of a report that are no numbers break no answer."""

from typing import Any

import pytest

from oneapi.vendors import quirks, siliconflow, usages
from oneapi.wire import Call

CALL = Call("chat", {}, "m", "http://127.0.0.1", "key")
ODD = ["7", "many", [7], {"n": 7}, -7, 10**30, float("nan"), float("inf"), True]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_a_count_that_is_no_number_adds_no_reasoning(name: str, odd: Any) -> None:
    used = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9, name: odd}
    before = dict(used)
    quirks.reasoning_counted({"usage": used}, CALL, {})
    assert used == before


@pytest.mark.parametrize("details", ["none", ["x"], 5, None], ids=str)
def test_details_that_are_no_object_count_as_none(details: Any) -> None:
    used = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9, "completion_tokens_details": details}
    quirks.reasoning_counted({"usage": used}, CALL, {})
    assert used["completion_tokens"] == 6
    assert used["completion_tokens_details"] == {"reasoning_tokens": 2}


@pytest.mark.parametrize("meta", ["x", ["x"], {"tokens": "x"}, {"tokens": ["x"]}, {"tokens": {"input_tokens": "7"}}], ids=str)
def test_a_ranking_with_tokens_that_are_no_numbers_has_no_usage(meta: Any) -> None:
    piece = {"results": [], "meta": meta}
    siliconflow.rank_usage(piece, CALL, {})
    assert "usage" not in piece


def test_a_ranking_keeps_the_tokens_that_are_numbers() -> None:
    piece = {"meta": {"tokens": {"input_tokens": 7, "output_tokens": "2"}}}
    siliconflow.rank_usage(piece, CALL, {})
    assert piece["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize("odd", ["x", ["x"], 5, None], ids=str)
@pytest.mark.parametrize("name", ["output_tokens_details", "cache_creation", "server_tool_use"])
def test_anthropic_details_that_are_no_object_count_as_none(name: str, odd: Any) -> None:
    used = usages.anthropic({"input_tokens": 3, "output_tokens": 4, name: odd})
    assert used == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
