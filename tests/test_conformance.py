"""Every vendor × every kind of call × every trouble: a VendorError of a known kind or a valid answer, and nothing else."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from oneapi import vendors
from oneapi.relay import framing
from oneapi.vendors.contract import Vendor
from oneapi.wire import CALL_KINDS, KINDS, Call, Event, File, Reply, Request, VendorError

HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
ERROR = json.dumps({"error": {"message": "no", "type": "some_error", "code": "some_code"}}).encode()
JSON, PAGE = {"content-type": "application/json"}, {"content-type": "text/html"}

# What each kind of call asks for.
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]
ASKED: dict[str, dict[str, Any]] = {
    "chat": {"messages": MESSAGES, "max_tokens": 8},
    "completions": {"prompt": "Say hi"},
    "edits": {"instruction": "mend", "input": "helo"},
    "embeddings": {"input": ["a", "b"]},
    "moderations": {"input": "a"},
    "images": {"prompt": "a cat", "size": "1024x1024", "n": 1},
    "image_edits": {"prompt": "a hat"},
    "image_variations": {"n": 1},
    "speech": {"input": "Hello", "voice": "alloy"},
    "transcriptions": {"response_format": "json"},
    "translations": {"response_format": "json"},
    "rerank": {"query": "q", "documents": ["a", "b"]},
}
UPLOADS = {
    "image_edits": File("image", "a.png", "image/png", b"\x89PNG"),
    "image_variations": File("image", "a.png", "image/png", b"\x89PNG"),
    "transcriptions": File("file", "a.mp3", "audio/mpeg", b"\xff\xfb"),
    "translations": File("file", "a.mp3", "audio/mpeg", b"\xff\xfb"),
}
REFUSALS = {
    "400": Reply(400, JSON, ERROR), "401": Reply(401, JSON, ERROR), "402": Reply(402, JSON, ERROR),
    "403": Reply(403, JSON, ERROR), "404": Reply(404, JSON, ERROR), "413": Reply(413, PAGE, HTML),
    "429": Reply(429, JSON | {"retry-after": "7"}, ERROR),
    "500": Reply(500, JSON, ERROR), "503": Reply(503, PAGE, HTML), "an empty 500": Reply(500, {}, b""),
    "a 502 page": Reply(502, PAGE, HTML), "a 500 list": Reply(500, JSON, b"[]"), "a 500 null": Reply(500, JSON, b"null"),
    "an error that is a text": Reply(400, JSON, b'{"error":"no"}'), "an error that is a number": Reply(400, JSON, b'{"error":7}'),
    "an error in odd types": Reply(400, JSON, b'{"error":{"message":{"a":1},"type":[],"code":{"b":2},"param":3}}'),
    "a text": Reply(400, {"content-type": "text/plain"}, b"no \xff"),
}  # fmt: skip
NONSENSE = {
    "a web page": Reply(200, PAGE, HTML), "a list": Reply(200, JSON, b"[]"), "null": Reply(200, JSON, b"null"),
    "nothing": Reply(200, JSON, b""), "cut JSON": Reply(200, JSON, b'{"id":"x","choices":[{"mess'),
    "a number": Reply(200, JSON, b"7"),
    "a text": Reply(200, JSON, b'"hello"'), "depth": Reply(200, JSON, b"[" * 100_000),
    "a web page without a type": Reply(200, {}, HTML),
}  # fmt: skip
# Answers that are objects: an adapter may make something of them or not, but must not trip.
SHAPES = {
    name: Reply(200, JSON, json.dumps(body).encode())
    for name, body in {
        "an empty object": {}, "null lists": {"choices": None, "data": None, "results": None},
        "numbers for lists": {"choices": 3, "data": 3, "results": 3, "output": 3, "candidates": 3, "content": 3},
        "lists of null": {"choices": [None], "data": [None], "results": [None], "candidates": [None], "content": [None]},
        "empty choices": {"choices": []}, "an odd choice": {"choices": [{"message": 3}]}, "an odd usage": {"usage": "x"},
        "an error": {"error": {"message": "no", "code": "x"}}, "a huge number": {"usage": {"prompt_tokens": float("inf")}},
    }.items()
}  # fmt: skip
STREAMS: dict[str, list[Any]] = {
    "silence": [], "text": ["hello"], "a list": [[]], "null": [None], "a number": [7], "an empty object": [{}],
    "an error": [{"error": {"message": "no", "type": "server_error"}}], "an error that is a text": [{"error": "no"}],
    "null lists": [{"choices": None}], "lists of null": [{"choices": [None], "candidates": [None]}],
    "numbers for lists": [{"choices": 3, "candidates": 3, "content": 3}], "an odd delta": [{"choices": [{"delta": 3}]}],
    "an odd type": [{"type": [], "event": {}, "choices": [{}]}], "a huge number": [{"usage": {"prompt_tokens": float("inf")}}],
}  # fmt: skip

ROWS = [row for vendor in vendors.REGISTRY.values() for row in (vendor, vendor.compatible) if row]
ROW_KINDS = [(row, kind) for row in ROWS for kind in row.protocols if kind in ASKED]  # a proxy channel is asked anything


def named(value: Any) -> str | None:
    return value.slug if isinstance(value, Vendor) else value if isinstance(value, str) else None


def call_of(row: Vendor, kind: str, *, streaming: bool = False) -> Call:
    config = {part: f"{part}-value" for part in row.key_parts} | {field.name: field.default for field in row.fields}
    return Call(
        kind=kind,
        body={"model": "m", **ASKED[kind], **({"stream": True} if streaming else {})},
        model="m",
        base_url=row.base_url.rstrip("/") or "https://vendor.example",
        key=row.key_split.join(["part"] * max(1, len(row.key_parts))),
        streaming=streaming,
        config=config | {part: f"{part}-value" for part in row.key_parts},
        secret="token" if row.exchange else "",
        files=(UPLOADS[kind],) if kind in UPLOADS else (),
        id="test",
        asked="asked",
        now=1700000000,
        vendor=row,
    )


def outcome(row: Vendor, reply: Reply, call: Call) -> Any:
    """The answer to a successful status, or the VendorError."""
    try:
        return vendors.guarded_parse(row.protocols[call.kind], reply, call)
    except VendorError as error:
        assert error.kind in KINDS
        return error


def chunks(row: Vendor, events: Iterator[Event] | list[Event], call: Call) -> list[Any]:
    """The chunks of a stream, and the VendorError that ended it as the last of them."""
    found: list[Any] = []
    try:
        found.extend(vendors.guarded_stream(row.protocols[call.kind], events, call))
    except VendorError as error:
        assert error.kind in KINDS
        found.append(error)
    return found


def test_the_registry_holds_whole_rows() -> None:
    for row in ROWS:
        assert row.name and row.protocols and set(row.protocols) <= {*CALL_KINDS, "proxy"}, row.slug
        assert row.base_url == "" or row.base_url.startswith("http"), row.slug
        assert row.base_url or row.needs_base_url or row.id in (18, 33, 42), row.slug
        assert all(field.label and field.accept(field.default) == field.default for field in row.fields), row.slug


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("row", "kind"), ROW_KINDS, ids=named)
def test_a_request_can_be_built_and_signed(row: Vendor, kind: str, streaming: bool) -> None:
    call = call_of(row, kind, streaming=streaming)
    before = json.dumps(call.body)
    try:
        request = row.sign(vendors.guarded_build(row.protocols[kind], call), call)
    except VendorError as error:
        assert error.kind in ("bad_request", "no_model"), f"{error.kind}: {error.message}"
        return
    assert isinstance(request, Request)
    assert request.url.startswith(("http://", "https://", "wss://"))
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in request.headers.items())
    assert json.dumps(call.body) == before, "build changed the client's body"


@pytest.mark.parametrize(("row", "kind"), ROW_KINDS, ids=named)
def test_a_refusal_becomes_an_error_of_its_kind(row: Vendor, kind: str) -> None:
    call = call_of(row, kind)
    found = {name: vendors.guarded_fail(row.protocols[kind], reply, call) for name, reply in REFUSALS.items()}
    assert {error.kind for error in found.values()} <= set(KINDS)
    assert found["401"].kind == "auth"
    assert found["404"].kind in ("no_model", "bad_request")
    assert (found["429"].kind, found["429"].retry_after) == ("rate_limited", 7.0)
    assert found["503"].kind in ("overloaded", "server")
    assert all(found[name].kind == "server" for name in ("500", "an empty 500", "a 502 page", "a 500 list", "a 500 null"))
    assert all(isinstance(error.message, str) and error.message for error in found.values())


@pytest.mark.parametrize(("row", "kind"), ROW_KINDS, ids=named)
def test_nonsense_under_a_good_status_is_an_error(row: Vendor, kind: str) -> None:
    for name, reply in NONSENSE.items():
        found = outcome(row, reply, call_of(row, kind))
        assert isinstance(found, VendorError), f"{name} passed for an answer: {found!r}"


@pytest.mark.parametrize(("row", "kind"), ROW_KINDS, ids=named)
def test_an_odd_object_is_an_error_or_an_answer(row: Vendor, kind: str) -> None:
    for name, reply in SHAPES.items():
        found = outcome(row, reply, call_of(row, kind))
        assert isinstance(found, VendorError | dict | Request | Reply), name
        if kind == "chat" and isinstance(found, dict):
            assert found["choices"][0]["message"]["role"] == "assistant", name


@pytest.mark.parametrize(("row", "kind"), [pair for pair in ROW_KINDS if pair[0].protocols[pair[1]].stream], ids=named)
def test_a_troubled_stream_ends_in_an_error(row: Vendor, kind: str) -> None:
    for name, events in STREAMS.items():
        call = call_of(row, kind, streaming=True)
        found = chunks(row, [Event(json.loads(json.dumps(data))) for data in events], call)
        assert found and isinstance(found[-1], VendorError), f"{name} passed for a whole answer: {found!r}"
        assert all(isinstance(chunk, dict) for chunk in found[:-1]), name


@pytest.mark.parametrize(("row", "kind"), [pair for pair in ROW_KINDS if pair[0].protocols[pair[1]].stream], ids=named)
def test_bytes_that_are_no_stream_end_in_an_error(row: Vendor, kind: str) -> None:
    for body in (HTML, b"", b"[]", b'{"error":{"message":"no"}}', b"\x00\xff" * 50, b'data: {"id":"x","choices":[{"del'):
        call = call_of(row, kind, streaming=True)
        found = chunks(row, framing.events(row.protocols[kind].framing, [body]), call)
        assert found and isinstance(found[-1], VendorError), f"{body!r} passed for a whole answer: {found!r}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.balance], ids=named)
def test_a_balance_is_an_amount_or_an_error(row: Vendor) -> None:
    for reply in (*REFUSALS.values(), *NONSENSE.values(), *SHAPES.values()):
        try:
            found = vendors.guarded_balance(row, reply, call_of(row, "chat"))
        except VendorError as error:
            assert error.kind in KINDS
        else:
            assert isinstance(found, Request | tuple)


@pytest.mark.parametrize("row", [row for row in ROWS if row.model_list], ids=named)
def test_a_model_list_is_names_or_an_error(row: Vendor) -> None:
    for reply in (*REFUSALS.values(), *NONSENSE.values(), *SHAPES.values()):
        try:
            found = vendors.guarded_models(row, reply, call_of(row, "chat"))
        except VendorError as error:
            assert error.kind in KINDS
        else:
            assert isinstance(found, Request) or all(isinstance(name, str) for name in found)


class Watched(Call):
    """A call that notes whether its time was looked at."""

    looked = False

    @property
    def now(self) -> float:
        self.looked = True
        return 1700000000.0

    @now.setter
    def now(self, value: float) -> None: ...


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_says_whether_its_credentials_hold_the_time(row: Vendor) -> None:
    choices = [{}, *({field.name: choice} for field in row.fields for choice in field.choices)]
    looked = False
    for kind in row.protocols:
        for choice in choices if kind in ASKED else ():
            call = call_of(row, kind)
            config = {**call.config, "vertex_ai_adc": '{"type": "service_account"}', **choice}
            watched = Watched(kind, call.body, "m", call.base_url, call.key, config=config, secret="token", vendor=row)
            with suppress(VendorError, *vendors.TRIPS):
                row.sign(Request(watched.base_url, {}), watched)
            with suppress(VendorError, *vendors.TRIPS):
                if row.exchange:
                    row.exchange.build(watched)
            looked = looked or watched.looked
    assert row.timed == looked


@pytest.mark.parametrize("row", [row for row in ROWS if row.exchange], ids=named)
def test_a_key_is_exchanged_for_a_token_or_an_error(row: Vendor) -> None:
    assert row.exchange
    for name, reply in (REFUSALS | NONSENSE | SHAPES).items():
        with pytest.raises(VendorError) as caught:
            vendors.guarded_exchange(row.exchange, reply, call_of(row, "chat"))
        assert caught.value.kind in KINDS, name
