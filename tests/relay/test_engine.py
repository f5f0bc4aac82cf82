"""Every kind of call goes to the vendor and back, with nothing lost; streams of every style; clients and vendors that leave."""

import base64
import http.client
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest
from asks import CHAT, PATH, events, post, until, words
from fake_vendor import FakeVendor, Say, chat, sse, stream
from flask.testing import FlaskClient
from gevent import socket

pytestmark = pytest.mark.usefixtures("books")

USED = {"prompt_tokens": 8, "total_tokens": 8}
KINDS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("/v1/chat/completions", "gpt-4o-mini", {"messages": [{"role": "user", "content": "hi"}]}, chat()),
    ("/v1/completions", "gpt-3.5-turbo-instruct", {"prompt": "hi"}, {"object": "text_completion", "choices": [{"text": "yes"}]}),
    ("/v1/edits", "gpt-4o-mini", {"input": "a", "instruction": "b"}, {"object": "edit", "choices": [{"text": "c", "index": 0}]}),
    ("/v1/embeddings", "text-embedding-3-small", {"input": ["a", "b"], "encoding_format": "base64"},
     {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}], "usage": USED}),
    ("/v1/engines/text-embedding-ada-002/embeddings", "", {"input": "a"},
     {"object": "list", "data": [{"embedding": [0.5]}], "usage": USED}),
    ("/v1/moderations", "", {"input": "a"}, {"id": "modr-1", "results": [{"flagged": False}]}),
    ("/v1/images/generations", "dall-e-3", {"prompt": "a cat"}, {"created": 1, "data": [{"b64_json": "AAAA"}]}),
    ("/v1/rerank", "rerank-v3.5", {"query": "a", "documents": ["b", "c"]}, {"results": [{"index": 0, "relevance_score": 0.9}]}),
]  # fmt: skip
ALL_MODELS = ",".join([
    "gpt-4o-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "text-embedding-ada-002", "text-moderation-latest",
    "dall-e-2", "dall-e-3", "rerank-v3.5", "whisper-1", "tts-1",
])  # fmt: skip


@pytest.fixture
def everything(channel: Any, setting: Any) -> int:
    setting(UnknownModelPolicy="30")
    return channel(models=ALL_MODELS)


@pytest.mark.parametrize(("path", "model", "body", "answer"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_kind_travels_there_and_back(
    client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int, logged: Any,
    path: str, model: str, body: dict[str, Any], answer: dict[str, Any],
) -> None:  # fmt: skip
    sent = body | ({"model": model} if model else {}) | {"future_field": {"deep": [1, None]}}
    vendor.says(answer)
    got = client.post(path, json=sent, headers=alice.headers)
    assert got.status_code == 200, got.text
    assert got.json == answer
    asked = vendor.asked[0]
    assert asked.json.items() >= sent.items() and asked.headers["authorization"] == "Bearer sk-vendor"
    assert asked.path == ("/v1/embeddings" if "engines" in path else path)
    row = logged()[0]
    assert row.model_name == asked.json["model"] and row.quota > 0 or path == "/v1/moderations"


SRT = b"1\n00:00:00,000 --> 00:00:01,000\nhello you\n"
TWO = b'{"data":[{"url":"u"},{"url":"v"}]}'
FORMS: list[tuple[str, dict[str, Any], Say, bytes]] = [
    ("/v1/audio/transcriptions", {"model": "whisper-1"}, Say(b'{"text":"hello you"}'), b'{"text":"hello you"}'),
    ("/v1/audio/transcriptions", {"response_format": "text"}, Say(b"hello you\n", content_type="text/plain"), b"hello you\n"),
    ("/v1/audio/transcriptions", {"response_format": "srt"}, Say(SRT, content_type="text/plain"), SRT),
    ("/v1/audio/translations", {}, Say(b'{"text":"hello you"}'), b'{"text":"hello you"}'),
    ("/v1/images/edits", {"model": "dall-e-2", "prompt": "more", "n": "2"}, Say(TWO), TWO),
    ("/v1/images/variations", {}, Say(b'{"data":[{"url":"u"}]}'), b'{"data":[{"url":"u"}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "reply", "answer"), FORMS)
def test_forms_with_files_travel_as_forms(
    client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int, logged: Any,
    path: str, fields: dict[str, Any], reply: Say, answer: bytes,
) -> None:  # fmt: skip
    data = bytes(range(256)) * 300
    name = "image" if "images" in path else "file"
    vendor.says(reply)
    form = fields | {name: (io.BytesIO(data), "a b.wav"), "more[]": ["x", "y"]}
    got = client.post(path, data=form, headers=alice.headers)
    assert (got.status_code, got.data) == (200, answer)
    asked = vendor.asked[0]
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert data in asked.body and asked.body.count(b'name="more[]"') == 2 and b'filename="a b.wav"' in asked.body
    assert logged()[0].quota > 0


@pytest.mark.parametrize("report", [None, {"total_tokens": -5}, {"type": "duration", "seconds": 3}, "nothing"])
def test_a_transcript_is_paid_by_its_words_at_the_models_price(
    client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int, logged: Any, report: Any
) -> None:
    vendor.says({"text": "hello you", "usage": report})
    form = {"model": "whisper-1", "file": (io.BytesIO(b"x"), "a.wav")}
    client.post("/v1/audio/transcriptions", data=form, headers=alice.headers)
    row = logged()[0]
    assert row.prompt_tokens == 2 and row.quota == 30


def test_speech_streams_as_it_comes(client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int, logged: Any) -> None:
    vendor.says((b"ID3", b"sound", b"more"), content_type="audio/mpeg", pause=0.01)
    body = {"model": "tts-1", "input": "hello", "voice": "alloy"}
    got = client.post("/v1/audio/speech", json=body, headers=alice.headers)
    assert (got.data, got.content_type) == (b"ID3soundmore", "audio/mpeg")
    assert logged()[0].quota == int(5 * 7.5)


def test_embeddings_come_as_base64_when_that_was_asked(
    client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int
) -> None:
    vector = base64.b64encode(b"\0\0\x80?").decode()
    vendor.says({"object": "list", "data": [{"index": 0, "embedding": vector}], "usage": USED})
    body = {"model": "text-embedding-3-small", "input": "a", "encoding_format": "base64"}
    got = client.post("/v1/embeddings", json=body, headers=alice.headers)
    assert got.json["data"][0]["embedding"] == vector


# -- what a channel changes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "asked", "sent"),
    [({"gpt-4o": "big"}, "gpt-4o", "big"), ({"gpt-4o": "big"}, "gpt-4o-mini", "gpt-4o-mini"), ({"gpt-*": "any"}, "gpt-4o", "any"),
     ({"gpt-*": "any", "gpt-4o": "exact"}, "gpt-4o", "exact"), ({"gpt-4o": ""}, "gpt-4o", "gpt-4o")],
)  # fmt: skip
@pytest.mark.parametrize("streaming", [False, True])
def test_models_are_mapped_and_answers_carry_the_name_that_was_asked(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, mapping: dict[str, str], asked: str, sent: str, streaming: bool
) -> None:
    channel(model_mapping=json.dumps(mapping))
    vendor.says(stream() if streaming else chat(model=sent))
    answer = say(model=asked, stream=streaming)
    assert vendor.asked[0].json["model"] == sent
    names = {chunk["model"] for chunk in events(answer.text)[:-1]} if streaming else {answer.json["model"]}
    if sent != asked:
        assert names == {asked}
    assert logged()[0].model_name == sent


def test_a_model_without_a_price_has_that_of_the_name_it_was_asked_by(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any
) -> None:
    channel(model_mapping='{"gpt-4o":"deployment","gpt-4o-mini":"deployment"}')
    vendor.always(chat("Hi", 1000, 0))
    say(model="gpt-4o")
    say(model="gpt-4o-mini")
    assert charges() == [1250, 75]


@pytest.mark.parametrize("first", [[], [{"role": "system", "content": "old"}], [{"role": "developer", "content": "old"}]])
def test_a_forced_system_prompt_takes_the_place_of_the_clients(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, first: list[Any]
) -> None:
    channel(system_prompt="Be kind.")
    say(messages=[*first, {"role": "user", "content": "hi"}])
    assert vendor.asked[0].json["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
    assert logged()[0].system_prompt_reset


def test_a_forced_system_prompt_does_not_follow_to_the_next_channel(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, logged: Any
) -> None:
    setting(RetryTimes=1)
    channel(system_prompt="Be kind.", priority=2)
    channel(priority=1)
    vendor.says(b"", status=500)
    say()
    assert vendor.asked[1].json["messages"] == CHAT["messages"]
    assert not logged()[0].system_prompt_reset


def test_a_channels_parameters_beat_the_clients(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(parameters='{"temperature": 0, "extra": true}')
    say(temperature=2, top_p=0.5)
    assert vendor.asked[0].json.items() >= {"temperature": 0, "extra": True, "top_p": 0.5}.items()


@pytest.mark.parametrize("type", [1, 8, 20, 40])
def test_a_channels_parameters_are_cleaned_as_the_clients_are(type: int, say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(type=type, parameters='{"temperature": null, "stop": ["", "end"], "extra": true}')
    say(temperature=1, top_p=0.5)
    sent = vendor.asked[0].json
    assert "temperature" not in sent
    assert sent["stop"] == ["end"]
    assert sent["top_p"] == 0.5 and sent["extra"] is True


def test_a_long_conversation_with_tools_and_pictures_arrives_unchanged(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "看这个"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [tool]},
        {"role": "tool", "tool_call_id": "c", "content": "x" * 100_000},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = {"messages": messages, "tools": tools, "thinking": {"budget": 3}, "logprobs": True}
    say(**body)
    assert vendor.asked[0].json == {"model": "gpt-4o-mini"} | body


# -- streams ----------------------------------------------------------------------------------------------------------

MAPPED = {"model_mapping": '{"gpt-4o-mini":"inner"}'}
BOTH = pytest.mark.parametrize("how", [{}, MAPPED], ids=["untouched", "mapped"])


@BOTH
def test_usage_is_always_asked_for_and_shown_only_to_who_asked(
    say: Any, vendor: FakeVendor, channel: Any, how: Any, charges: Any
) -> None:
    channel(**how)
    vendor.always(stream("Hi", 1000, 0))
    hidden = events(say(stream=True).text)
    shown = events(say(stream=True, stream_options={"include_usage": True}).text)
    assert all(asked.json["stream_options"] == {"include_usage": True} for asked in vendor.asked)
    assert hidden[-1] == shown[-1] == "[DONE]"
    assert not any(chunk.get("usage") for chunk in hidden[:-1]) and all(chunk["choices"] for chunk in hidden[:-1])
    assert shown[-2]["usage"]["prompt_tokens"] == 1000
    assert set(charges()) == {75} or how


@BOTH
def test_usage_on_a_chunk_with_words_is_read_and_the_words_are_kept(
    say: Any, vendor: FakeVendor, channel: Any, how: Any, logged: Any
) -> None:
    channel(**how)
    report = {"prompt_tokens": 7, "completion_tokens": 9}
    last = {"choices": [{"index": 0, "delta": {"content": "end"}, "finish_reason": "stop"}], "usage": report}
    vendor.says(sse({"choices": [{"index": 0, "delta": {"content": "the"}}]}, last))
    assert words(say(stream=True).text.replace("[DONE]", "{}")) == "theend"
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (7, 9)


@BOTH
def test_half_a_character_costs_the_character_and_not_the_answer(say: Any, vendor: FakeVendor, channel: Any, how: Any) -> None:
    channel(**how)
    vendor.says(json.dumps(chat("cut")).replace('"cut"', r'"cut \ud83d"').encode(), stream("one \ud83d two"))
    assert say().json["choices"][0]["message"]["content"].startswith("cut ")
    assert words(say(stream=True).text.replace("[DONE]", "{}")).startswith("one")


CHUNKS = (
    b'{"choices":[{"index":0,"delta":{"content":"A"}}]}',
    b'{"choices":[{"index":0,"delta":{"content":"B"},"finish_reason":"stop"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10}}',
)
STYLES = {
    "as documented": (b"", b"data: ", b"\n\n"), "CRLF": (b"", b"data: ", b"\r\n\r\n"), "no space": (b"", b"data:", b"\n\n"),
    "comments": (b": keep-alive\n\n", b": ping\ndata: ", b"\n\n"),
    "CR": (b"", b"data: ", b"\r\r"), "no end of the last line": (b"", b"\n\ndata: ", b""),
    "event names": (b"", b"event: message\nid: 7\ndata: ", b"\n\n"), "retry": (b"retry: 3000\n\n", b"data: ", b"\n\n"),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_streams_of_every_style_are_understood_however_they_are_cut(
    say: Any, vendor: FakeVendor, channel: Any, how: Any, logged: Any, style: tuple[bytes, bytes, bytes], size: int
) -> None:
    channel(**how)
    begin, before, after = style
    whole = begin + b"".join(before + chunk + after for chunk in (*CHUNKS, b"[DONE]"))
    vendor.says(tuple(whole[i : i + size] for i in range(0, len(whole), size)) if size else (whole,))
    answer = say(stream=True)
    assert words(answer.text.replace("[DONE]", "{}")) == "AB"
    assert events(answer.text)[-1] == "[DONE]" and "prompt_tokens" not in answer.text
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 10)


def spread(chunk: Any, end: str) -> bytes:
    """An event whose JSON is written over many lines, as the standard allows."""
    return "".join(f"data: {line}{end}" for line in json.dumps(chunk, indent=1).splitlines()).encode() + end.encode()


@BOTH
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [0, 1, 13])
@pytest.mark.parametrize("ended", [True, False])
def test_usage_that_is_spread_over_lines_is_read_however_they_are_cut(
    say: Any, vendor: FakeVendor, channel: Any, how: Any, logged: Any, end: str, size: int, ended: bool
) -> None:
    channel(**how)
    done = f"data: [DONE]{end}{end}".encode()
    whole = b"".join(spread(json.loads(chunk), end) for chunk in CHUNKS)
    whole = whole + done if ended else whole.removesuffix(end.encode())
    vendor.says(tuple(whole[i : i + size] for i in range(0, len(whole), size)) if size else (whole,))
    assert "prompt_tokens" not in say(stream=True).text
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 10)


@BOTH
def test_an_error_that_is_spread_over_lines_is_one(say: Any, vendor: FakeVendor, channel: Any, how: Any, detail: Any) -> None:
    channel(**how)
    broken = spread({"error": {"message": "I broke", "type": "server_error"}}, "\n")
    vendor.says((*stream("one two", usage=False)[:-1], broken[:20], broken[20:]), pause=0.02)
    assert "I broke" in say(stream=True).text
    assert detail()["end"] == "vendor_broke"


def test_lines_that_no_blank_line_follows_are_read_too(say: Any, vendor: FakeVendor, channel: Any, logged: Any) -> None:
    channel()
    vendor.says(tuple(b"data: " + chunk + b"\n" for chunk in (*CHUNKS, b"[DONE]")))
    assert words(say(stream=True, stream_options={"include_usage": True}).text.replace("[DONE]", "{}")) == "AB"
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 10)


@BOTH
@pytest.mark.parametrize("usage", [False, True])
def test_json_with_spaces_is_understood(say: Any, vendor: FakeVendor, channel: Any, how: Any, logged: Any, usage: bool) -> None:
    channel(**how)
    parts = [json.dumps(json.loads(chunk), separators=(" , ", " : ")).encode() for chunk in (*CHUNKS[:2], *CHUNKS[2:][:usage])]
    vendor.says(tuple(b"data: " + part + b"\n\n" for part in (*parts, b"[DONE]")))
    answer = say(stream=True)
    assert words(answer.text.replace("[DONE]", "{}")) == "AB" and "prompt_tokens" not in answer.text.replace(" ", "")
    row = logged()[0]
    assert (row.prompt_tokens, row.completion_tokens) == (100, 10) if usage else row.completion_tokens > 0


@BOTH
def test_a_line_of_a_megabyte_arrives_whole(say: Any, vendor: FakeVendor, channel: Any, how: Any) -> None:
    channel(**how)
    vendor.says(stream("x" * 1_000_000))
    assert len(words(say(stream=True).text.replace("[DONE]", "{}"))) == 1_000_000


@BOTH
def test_a_stream_without_an_end_mark_gets_one(say: Any, vendor: FakeVendor, channel: Any, how: Any) -> None:
    channel(**how)
    vendor.says(stream("Hi")[:-1])
    found = events(say(stream=True).text)
    assert found[-1] == "[DONE]" and found.count("[DONE]") == 1


@BOTH
@pytest.mark.parametrize("asks_usage", [False, True])
def test_a_stream_that_was_cut_says_so_and_has_no_end_mark(
    say: Any, vendor: FakeVendor, channel: Any, how: Any, detail: Any, asks_usage: bool
) -> None:
    channel(**how)
    vendor.says(stream("one two three", usage=False)[:3], cut=True, pause=0.01)
    found = events(say(stream=True, **({"stream_options": {"include_usage": True}} if asks_usage else {})).text)
    assert found[-1]["error"]["code"] == "stream_broken" and "[DONE]" not in found
    assert detail()["end"] == "vendor_broke"


@BOTH
def test_words_that_look_like_the_end_are_not_the_end(say: Any, vendor: FakeVendor, channel: Any, how: Any, detail: Any) -> None:
    channel(**how)
    vendor.says(stream('data:_[DONE] "usage": "error" "finish_reason":"stop"')[:5], cut=True, pause=0.01)
    assert say(stream=True).text
    assert detail()["end"] == "vendor_broke"


@BOTH
def test_a_vendor_that_does_not_stream_is_made_to(say: Any, vendor: FakeVendor, channel: Any, how: Any, charges: Any) -> None:
    channel(**how)
    vendor.says(chat("all at once", 1000, 0))
    answer = say(stream=True, stream_options={"include_usage": True})
    found = events(answer.text)
    assert answer.content_type == "text/event-stream" and words(answer.text.replace("[DONE]", "{}")) == "all at once"
    assert found[-1] == "[DONE]" and found[-2]["usage"]["prompt_tokens"] == 1000
    assert found[-3]["choices"][0]["finish_reason"] == "stop"
    assert len(charges()) == 1


def test_a_streams_headers_keep_proxies_from_holding_it_back(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.says(stream())
    answer = say(stream=True)
    assert answer.headers["X-Accel-Buffering"] == "no" and answer.headers["Cache-Control"] == "no-cache"


def test_reasoning_and_tool_arguments_count_as_said(say: Any, vendor: FakeVendor, channel: Any, logged: Any) -> None:
    channel()
    tool = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"city": "a long way away"}'}}]}
    deltas = [{"reasoning_content": "I think hard about this."}, tool, {}]
    vendor.says(sse(*({"choices": [{"index": 0, "delta": d, "finish_reason": None if d else "stop"}]} for d in deltas)))
    say(stream=True)
    assert 10 <= logged()[0].completion_tokens <= 20


def test_legacy_completions_stream_too(client: FlaskClient, alice: Any, vendor: FakeVendor, everything: int, logged: Any) -> None:
    texts = [{"object": "text_completion", "choices": [{"index": 0, "text": t, "finish_reason": None}]} for t in ("one ", "two")]
    end = {"object": "text_completion", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    vendor.says(sse(*texts, end))
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "count", "stream": True}
    got = client.post("/v1/completions", json=body, headers=alice.headers)
    assert [e["choices"][0]["text"] for e in events(got.text)[:-1]] == ["one ", "two", ""]
    assert logged()[0].completion_tokens == 2


# -- who leaves, and when ---------------------------------------------------------------------------------------------


def test_a_client_that_hangs_up_cancels_the_vendors_work_and_pays_for_what_it_got(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, logged: Any, detail: Any
) -> None:
    channel()
    vendor.says(stream(" ".join(["word"] * 200)), pause=0.02)
    place = urlsplit(served)
    with socket.create_connection((place.hostname, place.port)) as client:
        body = json.dumps(CHAT | {"stream": True}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        taken = b""
        while taken.count(b"word") < 5:
            taken += client.recv(4096)
    for _ in range(100):
        if vendor.left:
            break
        gevent.sleep(0.02)
    assert vendor.left == [PATH] and vendor.in_flight == 0
    gevent.sleep(0.05)
    assert detail()["end"] == "client_left" and 4 <= logged()[0].completion_tokens <= 40


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_hangs_up_before_the_first_byte_pays_for_its_prompt(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, logged: Any, detail: Any, streaming: bool
) -> None:
    channel()
    vendor.says(stream("Hi") if streaming else chat(), delay=1)
    place = urlsplit(served)
    connection = http.client.HTTPConnection(place.hostname, place.port)
    connection.request("POST", PATH, json.dumps(CHAT | {"stream": streaming}), alice.headers)
    vendor.was_asked()
    connection.close()
    assert until(logged)
    assert detail()["end"] == "client_left" and detail()["usage"] == {"prompt": 8, "estimated": True}


class TestPatience:
    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str]) -> dict[str, str]:
        times = {"FIRST_BYTE_TIMEOUT": "1", "IDLE_TIMEOUT": "1", "RELAY_TIMEOUT": "2"}
        return settings_of_environment | times

    @pytest.mark.parametrize("streaming", [False, True])
    def test_a_vendor_that_does_not_begin_is_left(self, say: Any, vendor: FakeVendor, channel: Any, streaming: bool) -> None:
        channel()
        vendor.says(stream() if streaming else chat(), delay=3)
        assert (answer := say(stream=streaming)).status_code == 504 and answer.json["error"]["code"] == "vendor_timeout"

    @BOTH
    def test_a_stream_that_falls_silent_is_ended(self, say: Any, vendor: FakeVendor, channel: Any, how: Any, detail: Any) -> None:
        channel(**how)
        pieces = stream("one two")

        def slow() -> Iterator[bytes]:
            yield from pieces[:3]
            gevent.sleep(4)
            yield from pieces[3:]

        vendor.says(Say(pieces=slow(), content_type="text/event-stream"))  # type: ignore[arg-type]
        found = events(say(stream=True).text)
        assert "error" in found[-1] and detail()["end"] == "idle_timeout"

    def test_a_whole_answer_has_a_time_of_its_own(self, say: Any, vendor: FakeVendor, channel: Any) -> None:
        channel()
        body = json.dumps(chat()).encode()
        vendor.says(tuple(body[i : i + 20] for i in range(0, len(body), 20)), content_type="application/json", pause=0.3)
        assert say().status_code == 504

    def test_a_stream_lives_as_long_as_it_moves(self, say: Any, vendor: FakeVendor, channel: Any) -> None:
        channel()
        vendor.says(stream("one two three four"), pause=0.4)
        assert events(say(stream=True).text)[-1] == "[DONE]"


# -- proxies ----------------------------------------------------------------------------------------------------------


class Proxy:
    """The least HTTP proxy: forwards requests with absolute addresses, tunnels nothing, remembers what it was asked."""

    def __init__(self) -> None:
        from gevent.server import StreamServer

        self.asked: list[bytes] = []
        self.server = StreamServer(("127.0.0.1", 0), self._serve)
        self.server.start()
        self.url = f"http://user:pass@127.0.0.1:{self.server.server_port}"

    def _serve(self, client: Any, _: Any) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.asked.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        place = urlsplit(target.decode()) if method != b"CONNECT" else urlsplit("//" + target.decode())
        with socket.create_connection((place.hostname, place.port)) as upstream:
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                upstream.sendall(head.replace(target, place.path.encode(), 1))
            back = gevent.spawn(self._copy, upstream, client)
            self._copy(client, upstream)
            back.join(5)

    @staticmethod
    def _copy(source: Any, sink: Any) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.server.stop(timeout=1)


def test_a_channels_own_proxy_is_used(say: Any, vendor: FakeVendor, channel: Any, proxy: Proxy) -> None:
    channel(config=json.dumps({"proxy": proxy.url}))
    assert say().status_code == 200
    assert len(proxy.asked) == 1 and b"Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.asked[0]


class TestRelayProxy:
    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str], proxy: Proxy) -> dict[str, str]:
        return settings_of_environment | {"RELAY_PROXY": proxy.url}

    def test_every_call_goes_through_it(self, say: Any, vendor: FakeVendor, channel: Any, proxy: Proxy) -> None:
        channel()
        vendor.says(chat(), stream())
        assert say().status_code == 200
        assert events(say(stream=True).text)[-1] == "[DONE]"
        assert proxy.asked


def test_a_proxy_that_is_down_counts_as_unreachable(say: Any, channel: Any) -> None:
    channel(config='{"proxy": "http://127.0.0.1:9"}')
    assert say().status_code == 502


def test_one_connection_serves_many_requests(served: str, vendor: FakeVendor, channel: Any, alice: Any) -> None:
    channel()
    assert {post(served, alice.key).status for _ in range(5)} == {200}
    assert len(vendor.asked) == 5
