"""Native streams that are not quite in OpenAI's shape, whole answers likewise, through the gateway."""

import json
from typing import Any

import pytest
from asks import CHAT, PATH, events
from fake_vendor import chat, sse, stream

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> dict[str, Any]:
    return HEAD | {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason, **more}]}


def tool(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | {k: v for k, v in more.items() if k == "name"}
    return chunk({"tool_calls": [{"index": index, "function": function, **{k: v for k, v in more.items() if k != "name"}}]})


BEGIN, END = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
ODD: dict[str, tuple[list[Any], list[Any]]] = {
    "interleaved calls": (
        [BEGIN, tool(0, "", id="a", type="function", name="f"), tool(1, "", id="b", type="function", name="g"),
         tool(0, '{"a":1}'), tool(1, '{"b":2}'), END],
        ["f", '{"a":1}', "g", '{"b":2}', "tool_calls"],
    ),
    "empty ids": ([BEGIN, tool(0, '{"a":1}', id="", name="f"), tool(0, '{"b":2}', id="", name="g"), END],
                  ["f", '{"a":1}', "g", '{"b":2}', "tool_calls"]),
    "eos": ([BEGIN, chunk({"content": "Hello"}), chunk({}, "eos")], ["Hello", "stop"]),
    "empty reasons": ([BEGIN, chunk({"content": "Hello"}, ""), chunk({}, "length")], ["Hello", "length"]),
    "a message at the end": (
        [BEGIN, chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop", message={"content": "Hello"})],
        ["Hello", "stop"]),
    "numbers": ([BEGIN, chunk({"content": "["}), chunk({"content": 1}), END], ["[1", "stop"]),
    "roles": ([chunk({"role": "", "content": "He"}), chunk({"role": "assistant", "content": "llo"}), END], ["Hello", "stop"]),
    "null choices": ([BEGIN, chunk({"content": "Hello"}), END, HEAD | {"choices": None, "usage": USAGE}], ["Hello", "stop"]),
}  # fmt: skip


def read(body: bytes) -> list[Any]:
    """What OpenAI's clients make of it: text, calls by their index, finish reasons."""
    text, calls, reasons, roles = "", {}, [], ""
    for piece in events(body):
        if piece == "[DONE]":
            continue
        assert piece["object"] == "chat.completion.chunk"
        for choice in piece["choices"]:
            assert "message" not in choice
            roles += choice["delta"].get("role", "")
            text += choice["delta"].get("content") or ""
            reasons += [choice["finish_reason"]] if choice["finish_reason"] is not None else []
            for call in choice["delta"].get("tool_calls") or ():
                made = calls.setdefault(call["index"], ["", "", ""])
                for at, said in enumerate((call.get("id", ""), call["function"].get("name", ""), call["function"]["arguments"])):
                    made[at] += said
    assert roles == "assistant"
    assert all(call[0] for call in calls.values())
    return [*([text] if text else []), *(said for number in sorted(calls) for said in calls[number][1:]), *reasons]


def cut(pieces: tuple[bytes, ...], how: str) -> tuple[bytes, ...]:
    whole = b"".join(pieces)
    if how == "at once":
        return (whole,)
    return pieces if how == "by event" else tuple(whole[at : at + 7] for at in range(0, len(whole), 7))


@pytest.mark.parametrize("how", ["by event", "at once", "by seven bytes"])
@pytest.mark.parametrize(("type", "usage"), [(1, False), (8, False), (8, True), (50, True), (37, True), (19, False)])
def test_a_stream_of_another_shape_is_read_as_openais(
    client: Any, vendor: Any, channel: Any, alice: Any, type: int, usage: bool, how: str
) -> None:
    channel(type=type, config='{"user_id": "acc"}')
    asked = CHAT | {"stream": True} | ({"stream_options": {"include_usage": True}} if usage else {})
    for name, (chunks, wanted) in ODD.items():
        vendor.says(cut(sse(*chunks), how))
        got = client.post(PATH, json=asked, headers=alice.headers)
        assert read(got.data) == wanted, name
        assert got.data.endswith(b"data: [DONE]\n\n"), name


def test_a_stream_in_openais_shape_passes_byte_for_byte(client: Any, vendor: Any, channel: Any, alice: Any) -> None:
    channel(type=50)
    pieces = stream("A model may say \"role\": and \"message\": and {\"finish_reason\":\"x\"}.")
    for how in ("by event", "at once", "by seven bytes"):
        vendor.says(cut(pieces, how))
        asked = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
        assert client.post(PATH, json=asked, headers=alice.headers).data == b"".join(pieces)


def test_a_whole_answer_is_corrected_and_a_right_one_keeps_its_bytes(
    client: Any, vendor: Any, channel: Any, alice: Any
) -> None:
    channel()
    right = json.dumps(chat("yo"), indent=1).encode()
    vendor.says(right, chat("yo") | {"choices": [{"index": 0, "message": {"content": "yo"}, "finish_reason": "eos"}]})
    assert client.post(PATH, json=CHAT, headers=alice.headers).data == right
    choice = client.post(PATH, json=CHAT, headers=alice.headers).json["choices"][0]
    assert choice == {"index": 0, "message": {"content": "yo", "role": "assistant"}, "finish_reason": "stop"}


@pytest.mark.parametrize("type", [1, 8, 28, 50])
def test_vectors_are_packed_for_clients_that_ask_for_base64(
    client: Any, vendor: Any, channel: Any, alice: Any, type: int
) -> None:
    channel(type=type, models="bge-m3")
    data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
    vendor.always({"object": "list", "data": data, "model": "bge-m3", "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    body = {"model": "bge-m3", "input": "x"}
    for asked, wanted in (("base64", "AACAPgAAAL8="), ("float", [0.25, -0.5])):
        got = client.post("/v1/embeddings", json=body | {"encoding_format": asked}, headers=alice.headers)
        assert got.json["data"][0]["embedding"] == wanted


def test_a_request_of_a_wrong_shape_is_refused_by_its_place(client: Any, vendor: Any, channel: Any, alice: Any) -> None:
    for type, model in ((1, "gpt-4o"), (14, "claude-3-5-haiku"), (24, "gemini-2.5-flash")):
        channel(type=type, models=model)
        got = client.post(PATH, json={"model": model, "messages": [{"role": "user", "content": 7}]}, headers=alice.headers)
        assert (got.status_code, got.json["error"]["param"]) == (400, "messages[0].content")
        assert got.json["error"]["message"].startswith("messages[0].content must be a text or a list of parts.")
    assert vendor.asked == []


@pytest.mark.parametrize("content", [" ", "", [{"type": "text", "text": "\n"}], [], None])
def test_gemini_is_sent_contents_though_the_user_wrote_only_blanks(
    client: Any, vendor: Any, channel: Any, alice: Any, content: Any
) -> None:
    channel(type=24, models="gemini-2.5-flash")
    vendor.says({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]})
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": content}]}
    assert client.post(PATH, json=body, headers=alice.headers).status_code == 200
    assert vendor.asked[0].json["contents"] == [{"role": "user", "parts": [{"text": "(empty)"}]}]
