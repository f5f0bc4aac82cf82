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


@pytest.mark.parametrize(
    ("type", "model", "kind"),
    [
        (44, "FunAudioLLM/CosyVoice2-0.5B", "speech"), (49, "qwen3-asr-flash", "transcriptions"),
        (49, "qwen-image-edit-plus", "image_edits"), (49, "qwen-image-plus", "images"),
        (49, "omni-moderation-latest", "chat"), (27, "speech-2.6-hd", "speech"),
        (40, "doubao-seededit-3-0-i2i-250628", "image_edits"), (15, "tao-8k", "embeddings"), (34, "bot-1", "chat"),
        (24, "gemini-2.5-flash-image", "images"), (24, "gemini-2.5-flash", "chat"), (33, "amazon.nova-canvas-v1:0", "images"),
        (33, "amazon.titan-embed-image-v1", "embeddings"), (46, "recraft-ai/recraft-v3", "images"), (35, "rerank-v3.5", "rerank"),
        (28, "voxtral-mini-tts", "speech"), (14, "claude-opus-4-5", "chat"),
    ],
)  # fmt: skip
def test_the_kind_is_one_that_the_vendor_offers(
    state: State, channel: Callable[..., int], type: int, model: str, kind: str
) -> None:
    number = channel(type=type, models=model, key="ak|sk" if type == 15 else "k")
    assert probe.kind_of(model, state.snapshot.lanes[number]) == kind


def test_a_test_speaks_with_a_voice_that_the_vendor_has(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says(b"ID3 sound", content_type="audio/mpeg")
    assert probe.test(state, channel(type=44, models="FunAudioLLM/CosyVoice2-0.5B")).ok
    assert vendor.asked[0].json["voice"] == "FunAudioLLM/CosyVoice2-0.5B:alex"


def test_a_test_of_an_edit_uploads_a_picture(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    vendor.says({"created": 1, "data": [{"url": "https://img.example/1.png"}]})
    assert probe.test(state, channel(type=40, models="doubao-seededit-3-0-i2i-250628")).ok
    assert vendor.asked[0].json["image"].startswith("data:image/png;base64,iVBOR")


def test_a_streamed_test_follows_the_vendor_to_where_the_stream_is(
    state: State, channel: Callable[..., int], vendor: FakeVendor
) -> None:
    number = channel(type=46, models="meta/llama")
    where = {"id": "p1", "status": "starting", "urls": {"get": f"{vendor.url}/get", "stream": f"{vendor.url}/stream"}}
    vendor.says(where, (b"event: output\ndata: Hello\n\n", b"event: done\ndata: {}\n\n"))
    result = probe.test(state, number, stream=True)
    assert (result.ok, result.message) == (True, "Hello"), result.message
    assert [asked.path for asked in vendor.asked][-1] == "/stream"


def test_a_stream_of_lines_can_be_tested(state: State, channel: Callable[..., int], vendor: FakeVendor) -> None:
    """The old ChatGLM models stream in a framing of their own."""
    vendor.says((b"event:add\nid:77\ndata:Par\n\n", b"event:finish\nid:77\ndata:is.\n\n"))
    result = probe.test(state, channel(type=16, models="chatglm_pro", key="id.secret"), stream=True)
    assert (result.ok, result.message) == (True, "Paris."), result.message


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
