"""A channel's test fits the channel, and costs nobody anything."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_vendor import FakeVendor, chat, stream

from oneapi.relay import probe
from oneapi.state import State
from oneapi.wire import VendorError


def test_a_chat_channel_is_asked_for_its_own_name(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    result = probe.test(state, channel())
    assert (result.ok, result.message, result.model) == (True, "Hello!", "gpt-4o")
    assert vendor.asked[0].json["messages"][0]["content"] == state.config.test_prompt


def test_a_test_can_stream(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says(stream("I am here"))
    result = probe.test(state, channel(), stream=True)
    assert (result.ok, result.message) == (True, "Iamhere")
    assert vendor.asked[0].json["stream"] is True


@pytest.mark.parametrize(
    ("model", "path", "reply"),
    [
        ("text-embedding-3-small", "/v1/embeddings", {"data": [{"embedding": [0.1], "index": 0}], "usage": {}}),
        ("dall-e-3", "/v1/images/generations", {"data": [{"url": "https://example.com/a.png"}]}),
        ("whisper-1", "/v1/audio/transcriptions", {"text": "nothing"}),
        ("bge-reranker-v2-m3", "/v1/rerank", {"results": [{"index": 0, "relevance_score": 1.0}]}),
        ("omni-moderation-latest", "/v1/moderations", {"results": [{"flagged": False}]}),
    ],
)
def test_the_kind_follows_the_model(
    state: State, channel: Callable[..., int], vendor: FakeVendor, model: str, path: str, reply: dict[str, Any]
) -> None:
    vendor.says(reply)
    result = probe.test(state, channel(models=model))
    assert result.ok, result.message
    assert vendor.asked[0].path == path


def test_speech_is_sound(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says(b"ID3 sound", content_type="audio/mpeg")
    result = probe.test(state, channel(models="tts-1"))
    assert (result.ok, result.message) == (True, "speech: 9 bytes")


def test_model_mapping_is_followed(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    probe.test(state, channel(models="friendly", model_mapping='{"friendly": "gpt-4o"}'))
    assert vendor.asked[0].json["model"] == "gpt-4o"


def test_a_failure_says_why_without_the_key(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says({"error": {"message": "Bad key sk-vendor given", "code": "invalid_api_key"}}, status=401)
    result = probe.test(state, channel())
    assert (result.ok, result.kind, result.status) == (False, "auth", 401)
    assert "sk-vendor" not in result.message


def test_a_reasoning_answer_counts(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    answer = chat()
    answer["choices"][0]["message"] = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    vendor.says(answer)
    assert probe.test(state, channel()).message == "hm"


def test_a_test_is_charged_to_nobody(state: State, channel: Callable[..., int], logged: Callable[[], list[Any]]) -> None:
    probe.test(state, channel())
    assert logged() == []


def test_a_disabled_channel_can_be_tested(state: State, channel: Callable[..., int]) -> None:
    assert probe.test(state, channel(status=2)).ok


def test_the_balance_comes_with_its_currency(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says({"is_available": True, "balance_infos": [{"currency": "CNY", "total_balance": "110.00"}]})
    assert probe.balance(state, channel(type=36)) == (110.0, "CNY")


def test_a_vendor_without_balances_says_so(state: State, channel: Callable[..., int]) -> None:
    with pytest.raises(VendorError, match="尚未实现"):
        probe.balance(state, channel(type=3))


def test_models_come_from_the_vendor(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says({"object": "list", "data": [{"id": "b"}, {"id": "a"}]})
    assert sorted(probe.models(state, channel())) == ["a", "b"]
    assert vendor.asked[0].headers["authorization"] == "Bearer sk-vendor"


def test_a_list_that_is_refused_says_so(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says({"error": {"message": "no"}}, status=401)
    with pytest.raises(VendorError):
        probe.models(state, channel())
