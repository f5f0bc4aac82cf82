"""Every vendor on the wire: wire/<slug>/<case>/ holds what a client asked, what the vendor answered and what comes of it.

`WIRE_UPDATE=1` writes the goldens that are missing; to renew one, delete it first and read what is written.
"""

import base64
import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frames
import pytest

from oneapi import vendors
from oneapi.relay import framing
from oneapi.vendors.contract import Protocol, Vendor, key_fields, serving
from oneapi.wire import Call, Event, File, Reply, Request, VendorError

WIRE = Path(__file__).parent / "wire"
CASES = sorted(path.parent for path in WIRE.glob("*/*/ask.json"))
UPDATE = bool(os.environ.get("WIRE_UPDATE"))
EVERY_CUT = 4096  # bodies longer than this are cut only near the ends of lines and at every seventh byte


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def compare(found: Any, path: Path) -> None:
    found = json.loads(json.dumps(found))
    if UPDATE and not path.exists():
        path.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", "utf-8")
    assert path.exists(), f"{path} is missing; WIRE_UPDATE=1 writes it"
    assert found == load(path), f"differs from {path.relative_to(WIRE)}"


def row_of(slug: str) -> Vendor:
    """The row with this slug, be it a vendor's own or its compatible sibling."""
    rows = [row for vendor in vendors.REGISTRY.values() for row in (vendor, vendor.compatible) if row]
    return next(row for row in rows if row.slug == slug)


def call_of(case: Path) -> Call:
    """The call as the engine would hand it to the adapter."""
    ask = load(case / "ask.json")
    config, key = ask.get("config", {}), ask.get("key", "sk-test")
    row = serving(row_of(case.parent.name), config, key)
    body, files = ask.get("body", {}), tuple(file_of(item) for item in ask.get("files", ()))
    model = ask.get("model", body.get("model", ""))
    return Call(
        kind=ask.get("kind", "chat"),
        body=vendors.suited(row, body),
        model=model,
        base_url=(ask.get("base_url") or row.base_url).rstrip("/"),
        key=key,
        streaming=ask.get("streaming", bool(body.get("stream"))),
        config={**config, **key_fields(row, key, config)},
        path=ask.get("path", "/v1/chat/completions"),
        query=ask.get("query", ""),
        headers=ask.get("headers", {}),
        files=files,
        secret=ask.get("secret", ""),
        id="test",
        asked=ask.get("asked", model),
        now=1700000000,
        vendor=row,
    )


def file_of(item: dict[str, str]) -> File:
    data = base64.b64decode(item["base64"]) if "base64" in item else item.get("text", "").encode()
    return File(item["name"], item.get("filename", "file.bin"), item.get("content_type", "application/octet-stream"), data)


def shown(data: bytes) -> Any:
    """Bytes as a golden shows them: JSON, else text, else base64."""
    try:
        return json.loads(data)
    except ValueError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def shown_request(request: Request) -> dict[str, Any]:
    found = {"method": request.method, "url": request.url, "headers": request.headers}
    if request.files or request.form:
        found["form"] = request.form
        found["files"] = [
            {"name": f.name, "filename": f.filename, "content_type": f.content_type, "data": shown(f.data)} for f in request.files
        ]
    elif request.body is not None:
        found["body"] = shown(request.body) if isinstance(request.body, bytes) else request.body
    return found | ({"wait": request.wait} if request.wait else {}) | ({"framing": request.framing} if request.framing else {})


def shown_error(error: VendorError) -> dict[str, Any]:
    found = {"kind": error.kind, "message": error.message, "code": error.code, "status": error.status}
    return found | {k: v for k in ("type", "param", "retry_after") if (v := getattr(error, k))}


STREAMS = {"sse": "sse", "ndjson": "ndjson", "awsjson": "aws", "ws.json": "websocket"}


def replies(case: Path) -> Iterator[tuple[str, Reply]]:
    """Framing of a stream, or "", and the vendor's answers in order."""
    for number in ("", *(f".{n}" for n in range(2, 99))):
        found = next((p for ext in (*STREAMS, "json", "bin") if (p := case / f"reply{number}.{ext}").exists()), None)
        if found is None:
            return
        extension = found.name.removeprefix(f"reply{number}.")
        meta = load(case / f"meta{number}.json") if (case / f"meta{number}.json").exists() else {}
        headers = {"content-type": "application/json"} | {k.lower(): v for k, v in meta.get("headers", {}).items()}
        yield STREAMS.get(extension, ""), Reply(meta.get("status", 200), headers, encoded(found, extension))


def framing_of(request: Request, protocol: Protocol, name: str) -> str:
    """How the relay reads a stream: as the request or the protocol says; a file's extension tells only the family."""
    return request.framing or (protocol.framing if protocol.framing.startswith(name) else name)


def encoded(path: Path, extension: str) -> bytes:
    if extension == "awsjson":
        return b"".join(frames.aws(item["event"], item["payload"]) for item in load(path))
    return path.read_bytes()


def streamed(row: Vendor, events: list[Event], call: Call) -> Any:
    """Chunks, and the error that ended them."""
    chunks: list[Any] = []
    try:
        chunks.extend(vendors.guarded_stream(row.protocols[call.kind], copy.deepcopy(events), copy.copy(call)))
    except VendorError as error:
        return {"chunks": chunks, "error": shown_error(error)} if chunks else {"error": shown_error(error)}
    return chunks


def cuts(body: bytes) -> Iterator[int]:
    near = {i + d for i, byte in enumerate(body) if byte in b"\r\n" for d in (-1, 0, 1, 2)} if len(body) > EVERY_CUT else set()
    return (i for i in range(1, len(body)) if len(body) <= EVERY_CUT or i in near or i % 7 == 0)


def uncut(framing_name: str, body: bytes) -> list[Event]:
    """The events of a body, which must not depend on where the network cuts it; WebSocket messages come whole."""
    if framing_name == "websocket":
        texts = (message if isinstance(message, str) else json.dumps(message) for message in json.loads(body))
        return list(framing.events(framing_name, (text.encode() for text in texts)))
    events = list(framing.events(framing_name, [body]))
    assert list(framing.events(framing_name, (body[i : i + 1] for i in range(len(body))))) == events
    for i in cuts(body):
        assert list(framing.events(framing_name, [body[:i], body[i:]])) == events, f"cut at byte {i}"
    return events


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_a_vendor_is_asked_and_understood_as_the_goldens_say(case: Path) -> None:
    call = call_of(case)
    row, protocol, before = call.vendor, call.vendor.protocols[call.kind], copy.deepcopy(call.body)
    outcome: Any = None
    try:
        request = row.sign(vendors.guarded_build(protocol, call), call)
    except VendorError as error:
        compare({"error": shown_error(error)}, case / "golden.json")
        return
    assert call.body == before, "build changed the client's body"
    compare(shown_request(request), case / "request.json")
    number = 1
    for name, reply in replies(case):
        if reply.status >= 400:
            outcome = {"error": shown_error(vendors.guarded_fail(protocol, reply, call))}
            break
        if name:
            outcome = streamed(row, uncut(framing_of(request, protocol, name), reply.body), call)
            break
        try:
            outcome = vendors.guarded_parse(protocol, reply, call)
        except VendorError as error:
            outcome = {"error": shown_error(error)}
            break
        if not isinstance(outcome, Request):
            break
        request, number = row.sign(outcome, call), number + 1
        compare(shown_request(request), case / f"request.{number}.json")
    assert not isinstance(outcome, Request), f"reply.{number}.json is missing: the adapter asks again"
    if isinstance(outcome, Reply):
        outcome = {"reply": {"status": outcome.status, "headers": dict(outcome.headers), "body": shown(outcome.body)}}
    if outcome is not None:
        compare(outcome, case / "golden.json")
        well_formed(outcome, call)


FINISH = {"stop", "length", "tool_calls", "content_filter", "function_call", None}


def well_formed(outcome: Any, call: Call) -> None:
    """What every answer keeps, whoever gave it: one id, the client's model name, OpenAI's finish reasons, indexed tool calls."""
    pieces = outcome if isinstance(outcome, list) else [outcome] if isinstance(outcome, dict) and "choices" in outcome else []
    if call.asked != call.model:
        assert {piece.get("model") for piece in pieces} <= {call.asked}
    assert len({piece.get("id") for piece in pieces}) <= 1
    choices = [choice for piece in pieces for choice in piece.get("choices") or ()]
    assert {choice.get("finish_reason") for choice in choices} <= FINISH
    if isinstance(outcome, list) and call.kind == "chat":
        calls = [tool for choice in choices for tool in choice["delta"].get("tool_calls") or ()]
        assert all(isinstance(tool.get("index"), int) for tool in calls)
        ends = [choice.get("index", 0) for choice in choices if choice.get("finish_reason")]
        assert len(ends) == len(set(ends)), "a choice finished twice"


def stream_of(case: Path) -> tuple[Call, list[Event]]:
    """The events of a case that streams a whole answer to chat, else none."""
    call, told = call_of(case), list(replies(case))
    golden = load(case / "golden.json") if (case / "golden.json").exists() else None
    if call.kind not in ("chat", "completions") or not told or not told[-1][0] or not isinstance(golden, list):
        return call, []
    return call, uncut(told[-1][0], told[-1][1].body)


def is_error(outcome: Any) -> bool:
    return isinstance(outcome, dict)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_a_stream_that_stops_before_its_end_is_an_error(case: Path) -> None:
    call, events = stream_of(case)
    for size in range(len(events)):
        outcome = streamed(call.vendor, events[:size], call)
        finished = not is_error(outcome) and any(c.get("finish_reason") for piece in outcome for c in piece.get("choices") or ())
        assert is_error(outcome) or finished, f"{size} of {len(events)} events passed for a whole answer"


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_a_stream_with_rubbish_inside_is_an_error(case: Path) -> None:
    call, events = stream_of(case)
    if events and not isinstance(events[at := len(events) // 3].data, str):  # where a stream is text, rubbish is text too
        assert is_error(streamed(call.vendor, [*events[:at], Event("\ufffd rubbish", events[at].name), *events[at:]], call))


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_a_wire_case_names_the_page_it_relies_on(case: Path) -> None:
    assert load(case / "ask.json").get("source", "").startswith("https://")
