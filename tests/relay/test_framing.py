"""Bytes become the same events wherever the network cuts them."""

import json
from typing import Any

import frames
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from oneapi.relay import framing
from oneapi.wire import Event, VendorError


def events(name: str, body: bytes) -> list[Event]:
    """The events of a body, which must not change when it arrives byte by byte or in two pieces."""
    whole = list(framing.events(name, [body]))
    assert list(framing.events(name, (body[i : i + 1] for i in range(len(body))))) == whole
    for i in range(len(body)):
        assert list(framing.events(name, [body[:i], b"", body[i:]])) == whole, f"cut at byte {i}"
    return whole


SSE = [
    ("a space after the colon", b'data: {"a":1}\n\n', [Event({"a": 1})]),
    ("no space after the colon", b'data:{"a":1}\n\n', [Event({"a": 1})]),
    ("only the first space goes", b"data:  x\n\n", [Event(" x")]),
    ("CRLF", b'data: {"a":1}\r\n\r\ndata: 2\r\n\r\n', [Event({"a": 1}), Event(2)]),
    ("CR alone", b"data: 1\r\rdata: 2\r\r", [Event(1), Event(2)]),
    ("mixed line ends", b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n", [Event(1), Event(2), Event(3)]),
    ("comments", b": keep-alive\n\n:\n\ndata: 1\n: between\n\n", [Event(1)]),
    ("an event's name", b"event: delta\ndata: 1\n\ndata: 2\n\n", [Event(1, "delta"), Event(2)]),
    ("a name without data is forgotten", b"event: ping\n\ndata: 1\n\n", [Event(1)]),
    ("the last name counts", b"event: a\nevent:b\ndata: 1\n\n", [Event(1, "b")]),
    ("data in several lines", b'data: {"a":\ndata: 1}\n\n', [Event({"a": 1})]),
    ("text in several lines", b"data: a\ndata\ndata: b\n\n", [Event("a\n\nb")]),
    ("other fields", b"id: 7\nretry: 10\nfoo\ndata: 1\n\n", [Event(1)]),
    ("a byte order mark", b"\xef\xbb\xbfdata: 1\n\n", [Event(1)]),
    ("a byte order mark later is no mark", b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", [Event(1)]),
    ("the end", b"data: [DONE]\n\n", [Event("[DONE]")]),
    ("no blank line at the end", b"data: 1\n\ndata: [DONE]", [Event(1), Event("[DONE]")]),
    ("no line end at the end", b"data: 1\n\ndata: 2\n", [Event(1), Event(2)]),
    ("several blank lines", b"\n\n\ndata: 1\n\n\n\n", [Event(1)]),
    ("line separators of Unicode are text", 'data: {"a":"\u2028\x85\x0c"}\n\n'.encode(), [Event('{"a":"\u2028\x85\x0c"}')]),
    ("half a character in JSON", b'data: {"a":"\xe4\xbd"}\n\n', [Event({"a": "\ufffd"})]),
    ("half an escaped one", b'data: {"a":"\\ud83d"}\n\n', [Event({"a": "\ufffd"})]),
    ("its other half", b'data: {"a":"\\uDE00x"}\n\n', [Event({"a": "\ufffdx"})]),
    ("whole and half", b'data: {"a":"\\ud83d\\ude00\\ud83d"}\n\n', [Event({"a": "\U0001f600\ufffd"})]),
    ("text that is no JSON", b"data: <html>\n\n", [Event("<html>")]),
    ("empty data", b"data:\n\ndata: \n\n", [Event(""), Event("")]),
    ("nothing", b"", []),
    ("a web page", b"<html>\n<body>data: 1</body>\n\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in SSE], ids=[case[0] for case in SSE])
def test_sse_is_read_by_the_standard(body: bytes, expected: list[Event]) -> None:
    assert events("sse", body) == expected


NAMES = st.text(st.characters(exclude_characters="\r\n"), max_size=9)


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="\r\n"), max_size=9), st.dictionaries(st.text(), st.integers(0, 9)))
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_sse_brings_back_what_was_sent(sent: list[tuple[str, dict[str, Any]]], end: str, data: st.DataObject) -> None:
    body = "".join(f"event: {name}{end}data: {json.dumps(value)}{end}{end}" for name, value in sent).encode("utf-8", "replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert [event.data for event in framing.events("sse", pieces)] == [value for _, value in sent]


def test_a_line_of_any_length_arrives_whole() -> None:
    text = "x" * 300 * 1024
    body = b'data: {"a":"' + text.encode() + b'"}\n\n'
    pieces = (body[i : i + 1000] for i in range(0, len(body), 1000))
    assert list(framing.events("sse", pieces)) == [Event({"a": text})]


@pytest.mark.parametrize("name", ["sse", "ndjson"])
def test_a_line_without_end_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_EVENT", 1000)
    with pytest.raises(VendorError) as caught:
        list(framing.events(name, [b"data: "] + [b"x" * 100] * 11))
    assert caught.value.kind == "garbled"


def test_an_event_of_endless_lines_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_EVENT", 1000)
    with pytest.raises(VendorError):
        list(framing.events("sse", [b"data: " + b"x" * 100 + b"\n"] * 11))


def test_the_data_of_text_events_is_never_taken_for_json() -> None:
    body = b'event: output\ndata: 1.0\n\nevent: output\ndata: "yes"\n\nevent: output\ndata: \ndata: Bye\n\n'
    events = [Event("1.0", "output"), Event('"yes"', "output"), Event("\nBye", "output")]
    assert list(framing.events("sse_text", [body])) == events


def test_ndjson_is_one_value_a_line() -> None:
    assert events("ndjson", b'{"a":1}\n\r\n  \n{"b":2}\r\nnot json\n{"c":3}') == [
        Event({"a": 1}), Event({"b": 2}), Event("not json"), Event({"c": 3}),
    ]  # fmt: skip


def test_aws_messages_are_events_and_exceptions() -> None:
    body = frames.aws("contentBlockDelta", {"p": "ü"}) + frames.aws(":exception:throttlingException", {"message": "slow"})
    body += frames.aws_message({":message-type": "error", ":error-code": "500", ":error-message": "boom"}, b"")
    body += frames.aws_message({":message-type": "event", ":event-type": "empty"}, b"")
    assert events("aws", body) == [
        Event({"p": "ü"}, "contentBlockDelta"),
        Event({"message": "slow"}, ":exception:throttlingException"),
        Event({"message": "boom"}, ":exception:500"),
        Event("", "empty"),
    ]


AWS_VALUES = (
    (0, b""), (1, b""), (2, b"\1"), (3, b"\0\1"), (4, b"\0\0\0\1"), (5, bytes(8)), (6, b"\0\2ab"), (7, b"\0\1x"),
    (8, bytes(8)), (9, bytes(16)),
)  # fmt: skip


def test_aws_headers_of_every_type_are_passed_over() -> None:
    head = b""
    for kind, value in AWS_VALUES:
        head += bytes((2,)) + f"h{kind}".encode() + bytes((kind,)) + value
    head += b"\x0b:event-type\x07\0\5chunk"
    prelude = (16 + len(head) + 2).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    message = prelude + frames.crc32(prelude).to_bytes(4, "big") + head + b"{}"
    assert events("aws", message + frames.crc32(message).to_bytes(4, "big")) == [Event({}, "chunk")]


def test_amazons_own_parser_reads_our_test_frames_alike() -> None:
    body = frames.aws("chunk", {"bytes": "eyJ9"}) + frames.aws("chunk", {"n": 2})
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    theirs = [Event(json.loads(message.payload), message.headers[":event-type"]) for message in buffer]
    assert events("aws", body) == theirs


DAMAGED = frames.aws("chunk", {"a": 1})


@pytest.mark.parametrize("at", range(len(DAMAGED)))
def test_a_damaged_aws_message_is_not_believed(at: int) -> None:
    body = bytearray(DAMAGED)
    body[at] ^= 0x10
    with pytest.raises(VendorError) as caught:
        list(framing.events("aws", [bytes(body)]))
    assert caught.value.kind == "garbled"


@pytest.mark.parametrize("size", range(1, len(DAMAGED)))
def test_an_aws_stream_that_ends_inside_a_message_is_garbled(size: int) -> None:
    with pytest.raises(VendorError):
        list(framing.events("aws", [DAMAGED[:size]]))


def test_each_websocket_message_is_an_event() -> None:
    assert list(framing.events("websocket", [b'{"a":1}', b"plain", b"[DONE]"])) == [
        Event({"a": 1}),
        Event("plain"),
        Event("[DONE]"),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_the_same_wherever_its_line_ends_are_cut(end: bytes) -> None:
    body = end.join([b"event: a", b"data: {", b'data: "n": 1}', b"", b"event: b", b"data: 2", b"", b""])
    for cut in range(len(body) + 1):
        reader = framing.SSE()
        found = reader.feed(body[:cut]) + reader.feed(body[cut:]) + reader.end()
        assert found == [Event({"n": 1}, "a"), Event(2, "b")], cut


def test_data_that_is_whole_is_an_event_without_a_blank_line() -> None:
    body = b'event: a\ndata: {"n":1}\nevent: b\ndata: {"n":2}\ndata: {"n":3}\ndata: {\ndata: }\ndata: [DONE]\n'
    found = framing.SSE().feed(body + b"\n")
    assert found[:3] == [Event({"n": 1}, "a"), Event({"n": 2}, "b"), Event({"n": 3})]
    assert framing.TextSSE().feed(b"data: {}\ndata: {}\n\n") == [Event("{}\n{}")]
