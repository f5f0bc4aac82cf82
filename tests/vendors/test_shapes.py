"""What every row makes of requests and answers that are nearly, and not quite, OpenAI's."""

import json
from typing import Any

import pytest

from oneapi import vendors
from oneapi.vendors.contract import Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

ROWS = [row for vendor in vendors.REGISTRY.values() for row in (vendor, vendor.compatible) if row]
JSON = {"content-type": "application/json"}
USER, ASSISTANT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def call_of(row: Vendor, kind: str, body: dict[str, Any], **more: Any) -> Call:
    config = {field.name: field.default for field in row.fields} | {part: f"{part}-value" for part in row.key_parts}
    config |= {"user_id": "acc"} if row.id == 37 else {}
    body = vendors.suited(row, {"model": "m", **body})
    return Call(
        kind, body, "m", row.base_url.rstrip("/") or "https://provider.example", "part", config=config, secret="token", id="test",
        asked="m", now=1700000000, vendor=row, **more,
    )  # fmt: skip


def built(row: Vendor, kind: str = "chat", **body: Any) -> Request | VendorError:
    """The request to the provider, or the refusal."""
    try:
        call = call_of(row, kind, body)
        return vendors.guarded_build(row.protocols[kind], call)
    except VendorError as error:
        return error


def same(one: Request | VendorError, other: Request | VendorError) -> bool:
    if isinstance(one, Request) and isinstance(other, Request):
        return (one.url, one.body) == (other.url, other.body)
    return isinstance(one, VendorError) and isinstance(other, VendorError) and one.message == other.message


def answer(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": list(choices), **more}


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason, **more}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def tool(index: int | None = 0, id: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    head = {key: value for key, value in (("index", index), ("id", id)) if value is not None}
    return chunk({"tool_calls": [{**head, **more, "function": function}]})


def parsed(row: Vendor, kind: str, found: Any, **body: Any) -> Any:
    call = call_of(row, kind, body)
    return vendors.guarded_parse(row.protocols[kind], Reply(200, JSON, json.dumps(found).encode()), call)


def understands(row: Vendor, kind: str, found: Any) -> bool:
    """Return True for rows whose provider answers in OpenAI's form."""
    try:
        return isinstance(parsed(row, kind, found, input="x", messages=[USER]), dict)
    except VendorError:
        return False


PLAIN = answer({"index": 0, "message": {"role": "assistant", "content": "yo"}, "finish_reason": "stop"})
VECTORS = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}], "model": "m",
           "usage": {"prompt_tokens": 3, "total_tokens": 3}}  # fmt: skip
CHAT = [row for row in ROWS if "chat" in row.protocols]
LIKE_OPENAI = [row for row in CHAT if understands(row, "chat", PLAIN)]
EMBED = [row for row in ROWS if "embeddings" in row.protocols and understands(row, "embeddings", VECTORS)]


def named(value: Any) -> str | None:
    return f"{value.slug}-{value.id}" if isinstance(value, Vendor) else None


def test_most_rows_speak_openais_protocol() -> None:
    assert len(LIKE_OPENAI) > 40
    assert len(EMBED) > 25


# -- requests

NULLABLE = (
    "max_completion_tokens", "stream_options", "tools", "tool_choice", "stop", "response_format", "temperature", "top_p", "n",
    "seed", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "parallel_tool_calls", "user",
    "reasoning_effort", "reasoning", "functions", "function_call", "metadata", "modalities", "audio", "thinking", "service_tier",
    "dimensions", "random_seed", "size", "quality", "enable_thinking", "reasoning_format", "extra_body", "store", "verbosity",
)  # fmt: skip


@pytest.mark.parametrize("row", CHAT, ids=named)
def test_a_null_parameter_is_an_absent_one(row: Vendor) -> None:
    said = {"messages": [USER], "max_tokens": 100}
    assert same(built(row, **said, **dict.fromkeys(NULLABLE)), built(row, **said))
    swapped = {"messages": [USER], "max_completion_tokens": 100}
    assert same(built(row, **swapped, max_tokens=None), built(row, **swapped))


@pytest.mark.parametrize("row", [row for row in CHAT if row.rename or row.slug == "minimax"], ids=named)
def test_of_two_limits_the_newer_one_holds(row: Vendor) -> None:
    found = built(row, messages=[USER], max_tokens=7, max_completion_tokens=100)
    assert isinstance(found, Request) and isinstance(found.body, dict)
    assert [value for name, value in found.body.items() if name.startswith("max_")] == [100]


@pytest.mark.parametrize("row", CHAT, ids=named)
def test_an_empty_stop_text_does_not_travel(row: Vendor) -> None:
    without = built(row, messages=[USER])
    assert all(same(built(row, messages=[USER], stop=stop), without) for stop in ("", [], [""], [None]))
    assert same(built(row, messages=[USER], stop=["", "x"]), built(row, messages=[USER], stop=["x"]))


@pytest.mark.parametrize("row", CHAT, ids=named)
def test_content_is_text_or_parts_and_nothing_else(row: Vendor) -> None:
    part = {"type": "text", "text": "hi"}
    listed = built(row, messages=[{"role": "user", "content": [part]}])
    for content in (part, ["hi"], [{"text": "hi"}]):
        assert same(built(row, messages=[{"role": "user", "content": content}]), listed), content
    for content in (7, True, {"a": 1}, [[part]], [7], [{"type": 7}], [{"type": "text", "text": {"a": 1}}]):
        found = built(row, messages=[USER, {"role": "user", "content": content}])
        assert isinstance(found, VendorError) and found.kind == "bad_request", content
        assert "messages[1].content" in found.message and "messages[1].content" in str(found.param), content


@pytest.mark.parametrize("row", CHAT, ids=named)
def test_an_assistants_turn_that_says_nothing_is_left_out(row: Vendor) -> None:
    wanted = built(row, messages=[USER, USER])
    for more in ({}, {"tool_calls": None}, {"tool_calls": []}, {"refusal": None, "function_call": None}):
        for content in (None, "", [], [{"type": "text", "text": ""}]):
            empty = {"role": "assistant", "content": content, **more}
            assert same(built(row, messages=[USER, empty, USER]), wanted), empty
    spoken = built(row, messages=[USER, ASSISTANT, USER])
    assert same(built(row, messages=[USER, ASSISTANT | {"tool_calls": None, "refusal": None}, USER]), spoken)


WRONG: dict[str, dict[str, Any]] = {
    "messages[0]": {"messages": ["hi"]}, "messages[0].role": {"messages": [{"content": "hi"}]},
    "messages[2].tool_call_id": {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALLED]},
                                              {"role": "tool", "content": "r"}], "tools": TOOLS},
    "messages[1].tool_calls": {"messages": [USER, {"role": "assistant", "tool_calls": "f"}]},
    "messages[1].tool_calls[0]": {"messages": [USER, {"role": "assistant", "tool_calls": ["f"]}]},
    "messages[1].tool_calls[0].function": {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "a"}]}]},
    "messages[1].tool_calls[0].function.name": {
        "messages": [USER, {"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}]},
    "messages[1].tool_calls[0].function.arguments": {
        "messages": [USER, {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": 7}}]}]},
    "messages[1].function_call": {"messages": [USER, {"role": "assistant", "content": "a", "function_call": "f"}]},
    "messages[1].name": {"messages": [USER, {"role": "function", "content": "r"}]},
    "messages[0].reasoning_details": {"messages": [USER | {"reasoning_details": ["a"]}]},
    "tools": {"messages": [USER], "tools": {"a": 1}}, "tools[0]": {"messages": [USER], "tools": ["f"]},
    "tools[0].function": {"messages": [USER], "tools": [{"type": "function"}]},
    "tools[0].function.name": {"messages": [USER], "tools": [{"type": "function", "function": {}}]},
    "tools[0].function.parameters": {
        "messages": [USER], "tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
    "tool_choice": {"messages": [USER], "tools": TOOLS, "tool_choice": 7},
    "response_format": {"messages": [USER], "response_format": "json"},
    "response_format.json_schema.schema": {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": "x"}},
    "stop": {"messages": [USER], "stop": 7},
}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in CHAT if not row.protocols["chat"].native], ids=named)
def test_a_request_that_cannot_be_converted_is_refused_by_the_fields_name(row: Vendor) -> None:
    for where, body in WRONG.items():
        found = built(row, **body)
        assert isinstance(found, VendorError), where
        assert (found.kind, found.param) == ("bad_request", where)
        assert found.message.startswith(where + " must be "), found.message


ODD = (7, "x", True, [7], ["x"], {"a": 1}, [{"a": 1}], [None], {}, [])


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_no_refusal_speaks_python(row: Vendor) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [USER]}, "embeddings": {"input": "a"}, "images": {"prompt": "a"}, "speech": {"input": "a"},
        "rerank": {"query": "a", "documents": ["b"]}, "completions": {"prompt": "a"}, "moderations": {"input": "a"},
    }  # fmt: skip
    more = (
        "temperature",
        "n",
        "user",
        "tools",
        "tool_choice",
        "response_format",
        "reasoning",
        "reasoning_effort",
        "logit_bias",
        "size",
        "dimensions",
        "voice",
        "speed",
        "top_n",
        "thinking",
        "seed",
        "functions",
        "function_call",
        "metadata",
    )
    for kind, body in bodies.items():
        for name in (*body, *more) if kind in row.protocols else ():
            for odd in ODD:
                found = built(row, kind, **body | {name: odd})
                text = found.message if isinstance(found, VendorError) else ""
                assert "Error" not in text and "object has no" not in text and "NoneType" not in text, (kind, name, odd, text)


@pytest.mark.parametrize("row", [row for row in CHAT if row.compatible or row in LIKE_OPENAI], ids=named)
def test_developer_is_understood_or_called_system(row: Vendor) -> None:
    """Rows that hand the role on are OpenAI, its resellers and providers that document it."""
    found = built(row, messages=[{"role": "developer", "content": "s"}, USER])
    passes = isinstance(found, Request) and isinstance(found.body, dict) and '"developer"' in json.dumps(found.body)
    knows = row.id in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13) or row.slug in ("anthropic-compatible", "openrouter", "xai")
    assert passes == knows


@pytest.mark.parametrize("row", [row for row in ROWS if row.compatible], ids=named)
def test_pictures_are_inlined_at_both_addresses_of_a_provider(row: Vendor) -> None:
    assert row.compatible and row.compatible.inline_images == row.inline_images


# -- whole answers

REASONS = {
    "eos": "stop", "end_turn": "stop", "STOP": "stop", "": "stop", None: "stop", "stop_sequence": "stop", "max_tokens": "length",
    "MAX_TOKENS": "length", "SAFETY": "content_filter", "stop": "stop", "length": "length", "content_filter": "content_filter",
}  # fmt: skip


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_a_finish_reason_is_one_of_openais(row: Vendor) -> None:
    for said, meant in REASONS.items():
        found = parsed(row, "chat", answer({"index": 0, "message": {"content": "yo", "role": ""}, "finish_reason": said}))
        choice = found["choices"][0]
        assert (choice["finish_reason"], choice["message"]["role"]) == (meant, "assistant"), said
        last = accumulated(row, [chunk({"role": "assistant", "content": "yo"}), chunk({}, said)] if said else [])
        assert not said or last["reasons"] == [meant], said


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_tool_calls_are_whole(row: Vendor) -> None:
    tools = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"id": "", "type": None, "function": {"name": "g"}}]
    message = {"role": "assistant", "content": None, "tool_calls": tools}
    found = parsed(row, "chat", answer({"index": 0, "message": message, "finish_reason": "stop"}, object="x"))
    choice = found["choices"][0]
    made = choice["message"]["tool_calls"]
    assert [(tool["type"], tool["function"]) for tool in made] == [
        ("function", {"name": "f", "arguments": '{"a":1}'}), ("function", {"name": "g", "arguments": "{}"}),
    ]  # fmt: skip
    assert len({tool["id"] for tool in made}) == 2 and all(tool["id"] for tool in made)
    assert (choice["finish_reason"], found["object"]) == ("tool_calls", "chat.completion")


# -- streams


def accumulated(row: Vendor, chunks: list[Any]) -> dict[str, Any]:
    """What OpenAI's clients make of a stream: texts joined, tool calls by their index."""
    call = call_of(row, "chat", {"messages": [USER], "stream": True}, streaming=True)
    events = [Event(json.loads(json.dumps(data))) for data in chunks]
    roles, text, tools, reasons = [], "", {}, []
    for piece in (
        vendors.guarded_stream(row.protocols["chat"], [*events, Event("[DONE]")] if events else [], call) if events else ()
    ):
        assert piece["object"] == "chat.completion.chunk" and isinstance(piece["choices"], list)
        assert all(type(tool["index"]) is int for c in piece["choices"] for tool in c["delta"].get("tool_calls") or ())
        for choice in piece["choices"]:
            delta = choice["delta"]
            assert "message" not in choice
            roles += [delta["role"]] if "role" in delta else []
            text += delta.get("content") or ""
            reasons += [choice["finish_reason"]] if choice["finish_reason"] is not None else []
            for tool in delta.get("tool_calls") or ():
                made = tools.setdefault(tool["index"], {"id": "", "type": "", "name": "", "arguments": ""})
                made["id"] += tool.get("id", "")
                made["type"] += tool.get("type", "")
                made["name"] += tool["function"].get("name", "")
                made["arguments"] += tool["function"].get("arguments", "")
    found = [(tools[number]["name"], tools[number]["arguments"]) for number in sorted(tools)]
    assert all(made["id"] and made["type"] == "function" for made in tools.values())
    assert len({made["id"] for made in tools.values()}) == len(tools)
    return {"roles": roles, "text": text, "tools": found, "reasons": reasons, "ids": [tools[n]["id"] for n in sorted(tools)]}


END = chunk({}, "stop")
F, G = ("f", '{"a":1}'), ("g", '{"b":2}')
STREAMED: dict[str, list[Any]] = {
    "well formed": [tool(0, "a", "f", "", type="function"), tool(0, arguments='{"a":1}'), tool(1, "b", "g", "", type="function"),
                    tool(1, arguments='{"b":2}')],
    "interleaved without ids": [tool(0, "a", "f", ""), tool(1, "b", "g", ""), tool(0, arguments='{"a":'),
                                tool(1, arguments='{"b":'), tool(0, arguments="1}"), tool(1, arguments="2}")],
    "empty ids at one index": [tool(0, "", "f", '{"a":1}'), tool(0, "", "g", '{"b":2}')],
    "no ids at one index": [tool(0, None, "f", '{"a":'), tool(0, None, None, "1}"), tool(0, None, "g", '{"b":2}')],
    "ids at one index": [tool(0, "a", "f", '{"a":'), tool(0, arguments="1}"), tool(0, "b", "g", '{"b":'),
                         tool(0, arguments="2}")],
    "no index": [tool(None, "a", "f", '{"a":'), tool(None, arguments="1}"), tool(None, "b", "g", '{"b":2}')],
    "no index and no ids": [tool(None, None, "f", '{"a":'), tool(None, arguments="1}"), tool(None, None, "g", '{"b":2}')],
    "ids and names on every piece": [tool(0, "a", "f", '{"a":'), tool(0, "a", "f", "1}"), tool(1, "b", "g", '{"b":'),
                                     tool(1, "b", "g", "2}")],
    "names on every piece": [tool(0, "", "f", '{"a":'), tool(0, "", "f", "1}"), tool(1, "", "g", '{"b":'),
                             tool(1, "", "g", "2}")],
    "one id for all": [tool(0, "x", "f", '{"a":1}'), tool(1, "x", "g", '{"b":2}')],
    "objects": [tool(0, "a", "f", {"a": 1}), tool(1, "b", "g", {"b": 2})],
    "numbers from one": [tool(1, "a", "f", '{"a":1}'), tool(2, "b", "g", '{"b":2}')],
    "an id that comes later": [tool(0, None, "f", ""), tool(0, "a", None, '{"a":1}'), tool(1, "b", "g", '{"b":2}')],
    "a new id on every piece": [tool(0, "a", "f", '{"a":'), tool(0, "b", None, "1}"), tool(1, "c", "g", '{"b":2}')],
    "nulls": [chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": None}}]}),
              chunk({"tool_calls": [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '{"a":1}'}}]}),
              tool(1, "b", "g", '{"b":2}')],
    "numbers as texts": [tool("0", "a", "f", '{"a":'), tool("0", arguments="1}"), tool("1", "b", "g", '{"b":2}')],  # type: ignore[arg-type]
    "numbers with fractions": [tool(0.0, "a", "f", '{"a":1}'), tool(1.0, "b", "g", '{"b":2}')],  # type: ignore[arg-type]
    "nothing in the list": [chunk({"tool_calls": [None]}), tool(0, "a", "f", '{"a":1}'), tool(1, "b", "g", '{"b":2}')],
    "several in one chunk": [chunk({"tool_calls": [{"index": 0, "id": "", "function": {"name": "f", "arguments": '{"a":1}'}},
                                                   {"index": 0, "id": "", "function": {"name": "g", "arguments": '{"b":2}'}}]})],
}  # fmt: skip


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_pieces_of_tool_calls_go_to_their_own_call(row: Vendor) -> None:
    for name, pieces in STREAMED.items():
        found = accumulated(row, [chunk({"role": "assistant", "content": None}), *pieces, END])
        assert (found["tools"], found["reasons"], found["roles"]) == ([F, G], ["tool_calls"], ["assistant"]), name
    assert accumulated(row, [*STREAMED["ids at one index"], END])["ids"] == ["a", "b"]


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_a_name_in_several_pieces_is_one_name(row: Vendor) -> None:
    for names in (("get_", "time"), ("get_", "get_time"), ("", "get_time"), ("get_time", "get_time")):
        pieces = [tool(0, "a", names[0], ""), tool(0, name=names[1]), tool(0, arguments='{"a":1}')]
        found = accumulated(row, [chunk({"role": "assistant", "content": None}), *pieces, END])
        assert found["tools"] == [("get_time", '{"a":1}')], names


HELLO = chunk({"role": "assistant", "content": "He"}), chunk({"content": "llo"})
REPEATED: dict[str, list[Any]] = {
    "a message beside the delta": [*HELLO, chunk({}, "stop", message={"role": "assistant", "content": "Hello"})],
    "a message without a delta": [*HELLO, answer({"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"})],
    "a message alone": [answer({"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"})],
    "roles on every delta": [chunk({"role": "assistant", "content": "He"}), chunk({"role": "assistant", "content": "llo"}), END],
    "empty roles": [chunk({"role": "", "content": "He"}), chunk({"role": "", "content": "llo"}), END],
    "no role": [chunk({"content": "He"}), chunk({"role": None, "content": "llo"}), END],
    "null choices": [*HELLO, {**END, "choices": None, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}, END],
    "another object": [{**HELLO[0], "object": "chat.completion"}, {**HELLO[1], "object": ""}, END],
}  # fmt: skip


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_the_text_of_a_stream_comes_once(row: Vendor) -> None:
    for name, chunks in REPEATED.items():
        found = accumulated(row, chunks)
        assert (found["text"], found["roles"], found["reasons"]) == ("Hello", ["assistant"], ["stop"]), name


@pytest.mark.parametrize("row", LIKE_OPENAI, ids=named)
def test_content_that_is_no_text_becomes_text(row: Vendor) -> None:
    found = accumulated(row, [chunk({"role": "assistant", "content": "["}), chunk({"content": 1}), chunk({"content": True}), END])
    assert found["text"] == "[1true"
    whole = parsed(row, "chat", answer({"index": 0, "message": {"content": {"a": 1}}, "finish_reason": "stop"}))
    assert whole["choices"][0]["message"]["content"] == '{"a":1}'


# -- embeddings


@pytest.mark.parametrize("row", EMBED, ids=named)
def test_vectors_come_in_the_encoding_that_was_asked_for(row: Vendor) -> None:
    for given in ([0.25, -0.5], "AACAPgAAAL8="):
        reply = VECTORS | {"data": [{"object": "embedding", "index": 0, "embedding": given}]}
        for asked, wanted in ((None, [0.25, -0.5]), ("float", [0.25, -0.5]), ("base64", "AACAPgAAAL8=")):
            found = parsed(row, "embeddings", reply, input="x", encoding_format=asked)
            assert found["data"][0]["embedding"] == wanted, (given, asked)


def test_a_vector_that_is_none_is_an_error() -> None:
    row = vendors.by_slug("openai")
    for given, asked in ((["a"], "base64"), ([None], "base64"), ("AAA=", None), ("?", None)):
        reply = VECTORS | {"data": [{"object": "embedding", "index": 0, "embedding": given}]}
        with pytest.raises(VendorError) as caught:
            parsed(row, "embeddings", reply, input="x", encoding_format=asked)
        assert caught.value.kind == "garbled", given


BATCHES = {"dashscope": 10, "ali-bailian": 10, "gemini-openai": 100, "gemini-compatible": 100, "cohere-openai": 96,
           "cloudflare-openai": 100, "tencent": 50, "baidu-v2": 16}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in EMBED if row.slug in BATCHES], ids=named)
def test_more_texts_than_fit_are_embedded_by_several_requests(row: Vendor) -> None:
    most = BATCHES[row.slug]
    call = call_of(row, "embeddings", {"input": [f"t{number}" for number in range(most + 1)]})
    request, sent = vendors.guarded_build(row.protocols["embeddings"], call), []
    while isinstance(request, Request):
        assert isinstance(request.body, dict)
        sent.append(request.body["input"])
        rows = [{"object": "embedding", "index": at, "embedding": [float(text[1:])]} for at, text in enumerate(sent[-1])]
        reply = {"object": "list", "data": rows[::-1], "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        request = vendors.guarded_parse(row.protocols["embeddings"], Reply(200, JSON, json.dumps(reply).encode()), call)
    assert isinstance(request, dict) and [len(texts) for texts in sent] == [most, 1]
    assert [(item["index"], item["embedding"]) for item in request["data"]] == [(at, [float(at)]) for at in range(most + 1)]
    assert request["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
