"""What ends an answer, what breaks it, and in which form it is read: strict at every protocol, by bytes and not by labels."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asks import CHAT, PATH, events, post, words
from fake_vendor import FakeVendor, Say, chat, sse, stream
from flask.testing import FlaskClient

pytestmark = pytest.mark.usefixtures("books")

Ask = Callable[..., Any]
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TYPES = pytest.mark.parametrize("type", [1, 36], ids=["untouched", "converted"])
TOOL = [{"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": '{"city": "Os'}}]


def chunk(delta: dict[str, Any], reason: Any = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return HEAD | {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]} | more


@pytest.fixture(params=["generator", "socket", "socket with usage"])
def read(request: pytest.FixtureRequest, client: FlaskClient, served: str, alice: Any) -> Ask:
    """Stream a chat: through any WSGI server, through our handler, and copied by our handler as a client sees it who asks for
    usage."""

    def ask(**more: Any) -> str:
        body = CHAT | {"stream": True} | more
        if request.param == "generator":
            return client.post(PATH, json=body, headers=alice.headers).text
        if request.param == "socket with usage":
            body |= {"stream_options": {"include_usage": True}}
        return post(served, alice.key, body).body.decode()

    return ask


# -- finish reasons ---------------------------------------------------------------------------------------------------


@TYPES
@pytest.mark.parametrize("reason", ["", "null", "none", "None", None])
@pytest.mark.parametrize("delta", [{"content": "lo"}, {"tool_calls": TOOL}], ids=["text", "half a tool call"])
def test_a_finish_reason_that_says_nothing_is_no_end(
    read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int, reason: Any, delta: dict[str, Any]
) -> None:
    channel(type=type)
    vendor.says(sse(chunk({"role": "assistant", "content": "Hel"}, reason), chunk(delta, reason), done=False))
    found = events(read())
    assert found[-1]["error"]["code"] == "stream_broken" and "[DONE]" not in found
    assert detail()["end"] == "vendor_broke" and detail()["usage"]["completion"] > 0


EVERY_TYPE = pytest.mark.parametrize("type", [1, 8, 36], ids=["OpenAI", "untouched", "converted"])


@EVERY_TYPE
@pytest.mark.parametrize("reason", [b'"st', b'"stop', b'"length"'])
def test_an_event_that_was_cut_is_not_an_end(
    read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int, reason: bytes
) -> None:
    channel(type=type)
    half = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":' + reason
    vendor.says((*sse(chunk({"role": "assistant", "content": "Hel"}), done=False), half), pause=0.02)
    text = read()
    assert '"stream_broken"' in text.split("\n\n")[-2] and "[DONE]" not in text
    assert detail()["end"] == "vendor_broke"
    assert type == 1 or half.decode() not in text  # OpenAI's own stream is copied before the cut is known


@EVERY_TYPE
def test_a_last_event_without_a_line_end_is_an_end(read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int) -> None:
    channel(type=type)
    first, last = sse(chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop"), done=False)
    vendor.says((first, last.rstrip()), pause=0.02)
    found = events(read())
    assert found[-1] == "[DONE]" and detail()["end"] == "complete"
    assert [c["finish_reason"] for one in found[:-1] for c in one["choices"] if c["finish_reason"]] == ["stop"]


@TYPES
def test_one_finish_reason_does_not_end_two_choices(read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int) -> None:
    channel(type=type)
    vendor.says(sse(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "stop"), done=False))
    assert events(read(n=2))[-1]["error"]["code"] == "stream_broken"
    vendor.says(
        sse(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "stop"), chunk({}, "stop", 1), done=False)
    )
    assert events(read(n=2))[-1] == "[DONE]"


@TYPES
def test_an_end_mark_inside_a_text_ends_nothing(read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int) -> None:
    channel(type=type)
    said = "before data: [DONE] after\n\ndata: [DONE]\n\n"
    vendor.says(sse(chunk({"content": said}), chunk({"content": " and more"}), chunk({}, "stop")))
    text = read()
    assert words(text.replace("data: [DONE]\n\n", "")) == said + " and more"
    assert text.endswith("data: [DONE]\n\n") and detail()["end"] == "complete"
    vendor.says(sse(chunk({"content": said}), chunk({"content": " and more"}), done=False), pause=0.01)
    assert events(read())[-1]["error"]["code"] == "stream_broken"
    assert detail()["end"] == "vendor_broke" and detail()["usage"]["completion"] > 10


@pytest.mark.parametrize("type", [1, 36], ids=["untouched", "converted"])
def test_an_event_whose_carriage_return_and_line_feed_come_apart_is_one(
    read: Ask, vendor: FakeVendor, channel: Any, logged: Any, type: int
) -> None:
    channel(type=type)
    report = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    chunks = (chunk({"content": "A"}), chunk({"content": "B"}, "stop"), HEAD | {"choices": [], "usage": report})
    whole = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks) + b"data: [DONE]\r\n\r\n"
    pieces = [piece for part in whole.split(b"\r") for piece in (part, b"\r")][:-1]
    vendor.says(tuple(filter(None, pieces)), pause=0.002)
    found = events(read())
    assert "".join(c["delta"].get("content") or "" for one in found[:-1] for c in one["choices"]) == "AB"
    assert found[-1] == "[DONE]" and (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 10)


# -- errors under HTTP 200 --------------------------------------------------------------------------------------------

BROKE = {"code": 502, "message": "Upstream provider died"}
BADLY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # name: what it adds to a choice, what it adds to the answer
    "in the choice": ({"error": BROKE, "finish_reason": "error"}, {}),
    "in the choice, as text": ({"error": "Upstream provider died"}, {}),
    "in the message": ({"error in message": BROKE}, {}),
    "a finish reason": ({"finish_reason": "error"}, {}),
    "a finish reason in capitals": ({"finish_reason": "ERROR"}, {}),
    "another finish reason": ({"finish_reason": "network_error"}, {}),
    "beside the choices": ({}, {"error": BROKE}),
    "an error object": ({}, {"object": "error", "message": "Upstream provider died", "code": 502}),
}
ERRORS = pytest.mark.parametrize(("inside", "beside"), BADLY.values(), ids=BADLY)


def spoilt(answer: dict[str, Any], inside: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    choice = answer["choices"][0] | {k: v for k, v in inside.items() if k != "error in message"}
    name = "message" if "message" in choice else "delta"
    if "error in message" in inside:
        choice[name] = choice[name] | {"error": inside["error in message"]}
    return answer | {"choices": [choice]} | beside


@pytest.mark.parametrize("type", [1, 20, 16], ids=["OpenAI", "OpenRouter", "Zhipu"])
@pytest.mark.parametrize("streaming", [False, True])
@ERRORS
def test_an_error_where_an_answer_should_begin_leads_to_another_channel(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, setting: Any, type: int, streaming: bool,
    inside: dict[str, Any], beside: dict[str, Any],
) -> None:  # fmt: skip
    setting(RetryTimes=1)
    channel(type=type, priority=9)
    channel()
    vendor.says(sse(spoilt(chunk({"content": ""}), inside, beside)) if streaming else spoilt(chat(""), inside, beside))
    vendor.says(stream("Hello") if streaming else chat("Hello"))
    answer = say(stream=streaming)
    assert answer.status_code == 200 and "Hello" in answer.text and "died" not in answer.text
    assert [row.channel_id for row in logged()] == [2]


@ERRORS
def test_an_error_in_place_of_an_answer_is_told_and_costs_nothing(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, inside: dict[str, Any], beside: dict[str, Any]
) -> None:
    channel()
    vendor.says(spoilt(chat("half an ans"), inside, beside))
    answer = say()
    assert answer.status_code == 502 and answer.json["error"]["message"]
    assert charges() == []


@TYPES
@pytest.mark.parametrize("together", [False, True], ids=["in pieces", "at once"])
@ERRORS
def test_an_error_in_the_middle_ends_the_stream_as_an_error(
    read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int, together: bool,
    inside: dict[str, Any], beside: dict[str, Any],
) -> None:  # fmt: skip
    channel(type=type)
    bad = spoilt(chunk({"content": ""}), inside, beside)
    pieces = sse(chunk({"content": "Hello"}), bad, chunk({"content": " again"}), chunk({}, "stop"))
    vendor.says((pieces[0], b"".join(pieces[1:])) if together else pieces, pause=0.01)
    text = read()
    found = events(text)
    assert found[-1].get("error") and "[DONE]" not in found, text
    assert "Hello" in text and "again" not in text
    assert "died" in json.dumps(found[-1]) or "finish_reason" in inside
    assert detail()["end"] == "vendor_broke"


STRANGE = {
    "a message with a code": b'data: {"code": 500, "message": "Upstream provider died"}\n\n',
    "no success": b'data: {"success": false, "msg": "Upstream provider died"}\n\n',
    "a named event": b'event: error\ndata: {"message": "Upstream provider died"}\n\n',
    "a named text": b"event: error\ndata: Upstream provider died\n\n",
    "a text": b"data: Upstream provider died\n\n",
}


@EVERY_TYPE
@pytest.mark.parametrize("event", STRANGE.values(), ids=STRANGE)
def test_an_event_that_is_not_a_chunk_ends_the_stream_as_an_error(
    read: Ask, vendor: FakeVendor, channel: Any, detail: Any, type: int, event: bytes
) -> None:
    channel(type=type)
    begin, *end = sse(chunk({"content": "Hello"}), chunk({"content": " again"}), chunk({}, "stop"))
    vendor.says((begin, event, *end), pause=0.01)
    found = events(read())
    assert found[-1]["error"]["message"] and len(found) == 2 and "[DONE]" not in found
    assert detail()["end"] == "vendor_broke"


@EVERY_TYPE
@pytest.mark.parametrize("event", STRANGE.values(), ids=STRANGE)
def test_a_stream_that_begins_so_is_tried_elsewhere(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, type: int, event: bytes
) -> None:
    setting(RetryTimes=1)
    channel(type=type, priority=9)
    channel()
    vendor.says((event, b"data: [DONE]\n\n"))
    vendor.says(stream("Hello"))
    answer = say(stream=True)
    assert answer.status_code == 200 and "Hello" in answer.text and "died" not in answer.text


# -- forms ------------------------------------------------------------------------------------------------------------

USED = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
STREAMED = (
    chunk({"role": "assistant", "content": "Hel"}), chunk({"reasoning_content": "thou"}), chunk({"reasoning_content": "ght"}),
    chunk({"content": "lo"}), chunk({"tool_calls": TOOL}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'lo"}'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "u", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}),
    chunk({}, "tool_calls", usage=USED),
)  # fmt: skip


@pytest.mark.parametrize("type", [1, 36], ids=["untouched", "converted"])
@pytest.mark.parametrize("label", ["text/event-stream", "application/json", ""])
def test_a_stream_for_a_whole_request_is_put_together(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, type: int, label: str
) -> None:
    channel(type=type)
    vendor.says(Say(b": hello\n\n" + b"".join(sse(*STREAMED)), content_type=label))
    answer = say().json
    assert answer["object"] == "chat.completion" and answer["id"] == "c"
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    functions = [{"name": "f", "arguments": '{"city": "Oslo"}'}, {"name": "g", "arguments": "{}"}]
    calls = [{"id": id, "type": "function", "function": f} for id, f in zip("tu", functions, strict=True)]
    assert choice["message"] == {
        "role": "assistant", "content": "Hello", "reasoning_content": "thought", "tool_calls": calls,
    }  # fmt: skip
    assert answer["usage"] == USED and logged()[0].prompt_tokens == 5


def test_a_stream_of_another_protocol_is_put_together_too(say: Any, vendor: FakeVendor, channel: Any, logged: Any) -> None:
    channel(type=14)
    told = [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    vendor.says(b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told))
    assert say().json["choices"][0]["message"]["content"] == "Hello"
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (10, 3)


def test_a_stream_for_a_whole_request_that_was_cut_is_no_answer(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel()
    vendor.says(b"".join(sse(*STREAMED[:3], done=False)), sse(BADLY["beside the choices"][1]))
    assert (say().status_code, say().status_code, charges()) == (502, 502, [])


@TYPES
@pytest.mark.parametrize("label", ["text/event-stream", "application/json", "text/plain"])
def test_a_document_for_a_stream_becomes_one(
    read: Ask, vendor: FakeVendor, channel: Any, logged: Any, type: int, label: str
) -> None:
    channel(type=type)
    vendor.says(Say(b"\n" + json.dumps(chat("all at once", 100, 10)).encode(), content_type=label))
    text = read()
    assert words(text.replace("[DONE]", "{}")) == "all at once" and text.endswith("data: [DONE]\n\n")
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 10)


@TYPES
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [0, 13])
def test_events_without_blank_lines_between_them_are_events(
    read: Ask, vendor: FakeVendor, channel: Any, logged: Any, type: int, end: bytes, size: int
) -> None:
    channel(type=type)
    chunks = [chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop", usage=USED)]
    whole = b"".join(b"data: " + json.dumps(one).encode() + end for one in chunks) + b"data: [DONE]" + end
    vendor.says(tuple(whole[i : i + size] for i in range(0, len(whole), size)) if size else (whole,))
    text = read()
    parted = [part for part in text.split("\n\n") if part]
    assert all(part.count("data:") == 1 for part in parted), text
    assert words(text.replace("[DONE]", "{}")) == "Hello" and text.endswith("data: [DONE]\n\n")
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (5, 3)


def test_an_end_mark_without_a_blank_line_before_it_is_an_event(
    served: str, vendor: FakeVendor, channel: Any, alice: Any
) -> None:
    channel()
    first, last = sse(chunk({"content": "Hello"}), chunk({}, "stop", usage=USED), done=False)
    vendor.says((first, last[:-1], b"data: [DONE]\n\n"), pause=0.02)
    got = post(served, alice.key, CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    assert all(part.count(b"data:") == 1 for part in got.body.split(b"\n\n") if part)


@EVERY_TYPE
@pytest.mark.parametrize("streaming", [False, True])
def test_a_byte_order_mark_and_a_list_around_an_answer_are_taken_off(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, type: int, streaming: bool
) -> None:
    channel(type=type)
    mark, whole = b"\xef\xbb\xbf", chat("Hello", 5, 3)
    chunks = [chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop", usage=USED)]
    forms = (mark + json.dumps(whole).encode(), json.dumps([whole]).encode(), json.dumps(chunks).encode(),
             mark + b"".join(sse(*chunks)))  # fmt: skip
    for body in forms:
        vendor.says(Say(body, content_type="application/json"))
        answer = say(stream=streaming)
        assert answer.status_code == 200 and not answer.data.startswith(mark), body
        said = words(answer.text.replace("[DONE]", "{}")) if streaming else answer.json["choices"][0]["message"]["content"]
        assert said == "Hello", body
        assert (logged()[-1].prompt_tokens, logged()[-1].completion_tokens) == (5, 3)


# -- usage that was asked for -----------------------------------------------------------------------------------------

CUTS = {"as it comes": None, "at once": 0, "byte by byte": 1, "anywhere": 7}


@pytest.mark.parametrize("type", [1, 16], ids=["untouched", "Zhipu"])
@pytest.mark.parametrize("report", [None, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}], ids=["none", "zeros"])
@pytest.mark.parametrize("done", [True, False], ids=["marked", "not marked"])
@pytest.mark.parametrize("size", CUTS.values(), ids=CUTS)
def test_a_client_that_asked_for_usage_gets_it_though_the_provider_reports_none(
    served: str, alice: Any, vendor: FakeVendor, channel: Any, detail: Any, type: int, report: Any, done: bool, size: int | None
) -> None:
    channel(type=type)
    last = [HEAD | {"choices": [], "usage": report}] if report else []
    pieces = sse(chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop"), *last, done=done)
    whole = b"".join(pieces)
    cut = pieces if size is None else tuple(whole[i : i + size] for i in range(0, len(whole), size)) if size else (whole,)
    vendor.says(cut, pause=0.002 if size != 1 else 0)
    got = post(served, alice.key, CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    found = events(got.body)
    assert got.whole and found[-1] == "[DONE]" and found.count("[DONE]") == 1
    assert found[-2]["choices"] == [] and found[-2]["id"] == "c"
    assert found[-2]["usage"] == {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}
    assert detail()["usage"] == {"prompt": 8, "completion": 1, "estimated": True}


def test_a_document_without_usage_becomes_a_stream_with_it(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.says({k: v for k, v in chat("Hello").items() if k != "usage"})
    found = events(say(stream=True, stream_options={"include_usage": True}).text)
    assert found[-2]["usage"] == {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}


REPORT = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
ZEROS = dict.fromkeys(REPORT, 0)


@EVERY_TYPE
@pytest.mark.parametrize("reports", [(REPORT,), (REPORT, ZEROS), (REPORT, REPORT)], ids=["once", "then zeros", "twice"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside text", "alone"])
def test_usage_comes_once_before_the_end_and_only_where_it_was_asked_for(
    say: Any, vendor: FakeVendor, channel: Any, detail: Any, type: int, reports: tuple[dict[str, int], ...], beside: bool
) -> None:
    channel(type=type)
    told = [chunk({"content": "a"}, usage=report) if beside else HEAD | {"choices": [], "usage": report} for report in reports]
    pieces = sse(chunk({"role": "assistant", "content": "a"}), *told, chunk({}, "stop"))
    vendor.says(pieces, pieces)
    found = events(say(stream=True, stream_options={"include_usage": True}).text)
    alone = [one["usage"] for one in found[:-1] if not one["choices"]]
    assert found[-1] == "[DONE]" and alone[-1] == REPORT
    if type != 1:  # OpenAI's own stream is copied as it comes
        assert found[-2]["choices"] == [] and len([one for one in found[:-1] if one.get("usage")]) == 1
    assert detail()["usage"] == {"prompt": 5, "completion": 3}
    assert not any(one.get("usage") for one in events(say(stream=True).text)[:-1])


@EVERY_TYPE
def test_usage_so_far_comes_with_each_chunk_where_it_was_asked_for(
    say: Any, vendor: FakeVendor, channel: Any, type: int
) -> None:
    channel(type=type)
    vendor.says(sse(chunk({"content": "a"}, usage=REPORT), chunk({}, "stop", usage=REPORT)))
    options = {"include_usage": True, "continuous_usage_stats": True}
    found = events(say(stream=True, stream_options=options).text)
    assert [one["usage"] for one in found[:-1]] == [REPORT] * 3


def test_a_stream_that_reports_usage_is_passed_on_byte_for_byte(
    served: str, vendor: FakeVendor, channel: Any, alice: Any
) -> None:
    channel()
    vendor.says(stream("one two three"), pause=0.002)
    got = post(served, alice.key, CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    assert got.body == b"".join(stream("one two three"))


# -- settling ---------------------------------------------------------------------------------------------------------


def test_a_bill_that_is_settled_twice_is_charged_once(
    app: Any, state: Any, alice: Any, channel: Any, logged: Any, balance: Any
) -> None:
    from oneapi.relay.ask import Ask as Asked
    from oneapi.relay.bill import Bill
    from oneapi.relay.endpoints import CHAT as ENDPOINT
    from oneapi.relay.meter import Charge
    from oneapi.wire import Usage

    id, gateway = channel(), app.extensions["oneapi.relay"]
    caller = state.caller(alice.key)
    bill = Bill(gateway, Asked("r1", caller, ENDPOINT, CHAT, "gpt-4o-mini", 100))
    bill.reserve(state.snapshot.lanes[id], "gpt-4o-mini")
    for _ in range(2):
        bill.settle(Charge(75, []), Usage(1000, 0), "complete")
    bill.release()
    assert [row.quota for row in logged()] == [75] and balance(alice.id) == 10**9 - 75
    assert gateway.ledger.open_bills == 0
