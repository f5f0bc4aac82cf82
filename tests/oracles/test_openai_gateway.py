"""What OpenAI's own SDK makes of the gateway: every resource, both ways of streaming, every exception."""

import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from fake_vendor import FakeVendor, Say, chat, sse, stream
from pydantic import BaseModel

MODELS = "gpt-4o-mini,text-embedding-3-small,dall-e-3,dall-e-2,tts-1,whisper-1,text-moderation-latest,gpt-3.5-turbo-instruct"
HI: list[Any] = [{"role": "user", "content": "hi"}]
DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# The SDK marks variations and translations as deprecated; clients still use them.
DEPRECATED = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def sdk(served: str, alice: Any, channel: Any, setting: Any) -> Iterator[openai.OpenAI]:
    setting(UnknownModelPolicy="30")
    channel(models=MODELS)
    with openai.OpenAI(base_url=f"{served}/v1", api_key=f"sk-{alice.key}", max_retries=0, timeout=30) as client:
        yield client


def test_a_chat(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says(chat("Hello!", 12, 3))
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HI, extra_body={"enable_thinking": True})
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello!" and answer.usage and answer.usage.total_tokens == 15
    assert answer._request_id == raw.request_id == raw.headers["x-oneapi-request-id"]
    assert vendor.asked[0].json["enable_thinking"] is True


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream(sdk: openai.OpenAI, vendor: FakeVendor, usage: bool) -> None:
    vendor.says(stream("one two three", 7, 9))
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True, **options))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == "onetwothree"
    last = chunks[-1].usage
    assert (last is not None and last.prompt_tokens == 7) if usage else last is None


def test_the_helper_for_streams_accumulates(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says(stream("one two"))
    with sdk.chat.completions.stream(model="gpt-4o-mini", messages=HI) as events:
        assert events.get_final_completion().choices[0].message.content == "onetwo"


def test_a_stream_that_is_closed_early_is_cancelled(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    import gevent

    vendor.says(stream(" ".join(["word"] * 100)), pause=0.02)
    with sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True) as chunks:
        next(iter(chunks))
    for _ in range(50):
        if vendor.left:
            break
        gevent.sleep(0.02)
    assert vendor.left


def test_tools_whole_and_streamed(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    deltas = [{"tool_calls": [{"index": 0} | call | {"function": {"name": "weather", "arguments": ""}}]},
              {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
              {"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}]  # fmt: skip
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    vendor.says(chat(choices=[choice]), sse(*chunks, end))
    whole = sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, tools=tools)
    asked = whole.choices[0].message.tool_calls
    assert asked and asked[0].type == "function" and asked[0].function.arguments == '{"city":"Oslo"}'
    with sdk.chat.completions.stream(model="gpt-4o-mini", messages=HI, tools=tools) as events:
        found = events.get_final_completion().choices[0].message.tool_calls
    assert found and found[0].function.arguments == '{"city":"Oslo"}'


def test_pictures_in_a_question(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    parts: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": DOT}}]
    sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": parts}])
    assert vendor.asked[0].json["messages"][0]["content"] == parts


class Answer(BaseModel):
    city: str


def test_answers_by_a_schema(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says(chat('{"city":"Oslo"}'))
    answer = sdk.chat.completions.parse(model="gpt-4o-mini", messages=HI, response_format=Answer)
    assert answer.choices[0].message.parsed == Answer(city="Oslo")
    assert vendor.asked[0].json["response_format"]["type"] == "json_schema"


def test_legacy_completions(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    choice = {"index": 0, "text": "yes", "finish_reason": "stop", "logprobs": None}
    vendor.says({"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})
    assert sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi").choices[0].text == "yes"


def test_embeddings_which_the_sdk_asks_for_as_base64(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vector = {"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}
    vendor.says({"object": "list", "data": [vector], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    answer = sdk.embeddings.create(model="text-embedding-3-small", input="hi")
    assert answer.data[0].embedding == [1.0, 2.0] and vendor.asked[0].json["encoding_format"] == "base64"


@DEPRECATED
def test_pictures_made_changed_and_varied(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.always({"created": 1, "data": [{"b64_json": "AAAA"}]})
    made = sdk.images.generate(model="dall-e-3", prompt="a cat", size="1024x1024")
    changed = sdk.images.edit(model="dall-e-2", image=("a.png", b"png"), prompt="more")
    varied = sdk.images.create_variation(image=("a.png", b"png"))
    assert {answer.data[0].b64_json for answer in (made, changed, varied) if answer.data} == {"AAAA"}
    assert [asked.path for asked in vendor.asked] == ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations"]


def test_speech_and_its_stream(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says(b"ID3sound", (b"ID3", b"sound"), content_type="audio/mpeg")
    assert sdk.audio.speech.create(model="tts-1", voice="alloy", input="hi").content == b"ID3sound"
    with sdk.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="hi") as sound:
        assert b"".join(sound.iter_bytes()) == b"ID3sound"


@DEPRECATED
def test_transcriptions_and_translations(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says({"text": "hello"}, Say(b"hello\n", content_type="text/plain"), {"text": "hello"})
    sound = lambda: ("a.wav", io.BytesIO(b"RIFF"), "audio/wav")  # noqa: E731
    assert sdk.audio.transcriptions.create(model="whisper-1", file=sound()).text == "hello"
    assert sdk.audio.transcriptions.create(model="whisper-1", file=sound(), response_format="text") == "hello\n"
    assert sdk.audio.translations.create(model="whisper-1", file=sound()).text == "hello"


def test_moderations_and_models(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says({"id": "m", "model": "m", "results": [{"flagged": True, "categories": {}, "category_scores": {}}]})
    assert sdk.moderations.create(input="hi").results[0].flagged
    assert "gpt-4o-mini" in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve("gpt-4o-mini").owned_by == "openai"


EXCEPTIONS: list[tuple[Say, type[openai.APIStatusError], int]] = [
    (Say(b'{"error":{"message":"bad top_p","code":"invalid_value","param":"top_p"}}', status=400), openai.BadRequestError, 400),
    (Say(b'{"error":{"message":"no model"}}', status=404), openai.NotFoundError, 404),
    (Say(b"{}", status=429), openai.RateLimitError, 429),
    (Say(b"{}", status=500), openai.InternalServerError, 502),
    (Say(b"{}", status=401), openai.InternalServerError, 502),
    (Say(b"<html>"), openai.InternalServerError, 502),
    (Say(b"{}", status=422), openai.UnprocessableEntityError, 422),
]


@pytest.mark.parametrize(("reply", "exception", "status"), EXCEPTIONS)
@pytest.mark.parametrize("streaming", [False, True])
def test_what_a_vendor_does_wrong_becomes_the_right_exception(
    sdk: openai.OpenAI, vendor: FakeVendor, reply: Say, exception: type[openai.APIStatusError], status: int, streaming: bool
) -> None:
    vendor.says(reply)
    with pytest.raises(exception) as caught:
        sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=streaming)
    assert caught.value.status_code == status and caught.value.request_id
    assert caught.value.request_id in caught.value.message
    if status == 400:
        assert (caught.value.code, caught.value.param) == ("invalid_value", "top_p")


def test_our_own_refusals_become_the_right_exceptions(sdk: openai.OpenAI, served: str, person: Any) -> None:
    def ask(key: str, model: str = "gpt-4o-mini", **more: Any) -> Any:
        with openai.OpenAI(base_url=f"{served}/v1", api_key=key, max_retries=0) as client:
            return client.chat.completions.create(model=model, messages=HI, **more)

    narrow, poor = person("narrow", models="gpt-4").key, person("poor", quota=1).key
    with pytest.raises(openai.AuthenticationError):
        ask("sk-wrong")
    with pytest.raises(openai.PermissionDeniedError):
        ask(narrow)
    with pytest.raises(openai.RateLimitError) as short:
        ask(poor, max_tokens=100_000)
    assert short.value.code == short.value.type == "insufficient_quota"
    with pytest.raises(openai.InternalServerError) as nobody:
        ask(person("lost").key, model="unknown-model")
    assert nobody.value.code == "no_available_channel"


def test_a_rate_limit_is_shown_and_kept(sdk: openai.OpenAI, served: str, person: Any) -> None:
    key = person("slow", requests_per_minute=2).key
    with openai.OpenAI(base_url=f"{served}/v1", api_key=key, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HI)
        assert raw.headers["x-ratelimit-limit-requests"] == "2" and raw.headers["x-ratelimit-remaining-requests"] == "1"
        client.chat.completions.create(model="gpt-4o-mini", messages=HI)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4o-mini", messages=HI)
    assert int(caught.value.response.headers["retry-after"]) >= 1 and caught.value.type == "requests"


def test_a_stream_that_breaks_raises_in_the_middle(sdk: openai.OpenAI, vendor: FakeVendor) -> None:
    vendor.says(stream("one two three")[:3], cut=True, pause=0.02)
    taken = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True):
            taken.append(chunk)
    assert taken and caught.value.code == "stream_broken"


@pytest.mark.parametrize("who", [{"quota": 0}, {"remain": 1}], ids=["balance", "key"])
def test_the_sdk_does_not_repeat_a_request_without_quota(
    who: dict[str, int], served: str, person: Any, channel: Any, failed: Any
) -> None:
    channel(models="gpt-4o-mini")
    with openai.OpenAI(base_url=f"{served}/v1", api_key=person("poor", **who).key) as client:
        with pytest.raises(openai.RateLimitError) as short:
            client.chat.completions.create(model="gpt-4o-mini", messages=HI, max_tokens=100_000)
    assert (short.value.code, short.value.type) == ("insufficient_quota", "insufficient_quota")
    assert len(failed()) == 1
