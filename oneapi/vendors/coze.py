"""Coze bots over chat v3: streamed, or polled when the answer is wanted whole; the model's name is the bot's id."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import asks, pieces, reports, shapes
from oneapi.vendors import coze_files as files
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.coze_files import address, fail, trouble
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

PASSED = ("custom_variables", "parameters", "meta_data", "extra_params", "shortcut_command", "auto_save_history")
POLL_SECONDS, POLLS = 1.0, 600
NOTHING = "The bot finished without an answer."
SPLIT = "|"  # between conversation, chat and call in the id of a tool call: the answer needs all three


def build(call: Call) -> Request:
    """https://www.coze.com/docs/developer_guides/chat_v3. Pictures and files that come as data are uploaded first."""
    return files.upload(call) or ask(call)


def ask(call: Call) -> Request:
    body = call.body
    if submitted := outputs(body["messages"]):
        return submit(call, submitted)
    out: Json = {
        "bot_id": call.model.removeprefix("bot-"),
        "user_id": call.config.get("user_id") or body.get("user") or "one-api",
        "stream": call.streaming,
        "auto_save_history": True,  # without it an answer that is not streamed cannot be fetched
        "additional_messages": [message(turn, call) for turn in wished(body)],
    }
    out |= {name: body[name] for name in PASSED if body.get(name) is not None and (call.streaming or name != "auto_save_history")}
    conversation = body.get("conversation_id")
    return Request(address(call, "/v3/chat", **({"conversation_id": conversation} if conversation else {})), out)


def wished(body: Json) -> list[Json]:
    """The conversation, with the wish for JSON in words before what was said last: there is no switch for it."""
    wanted, schema = asks.json_mode(body)
    *before, last = body["messages"]
    return [*before, {"role": "user", "content": asks.json_instruction(schema)}, last] if wanted else body["messages"]


def message(turn: Json, call: Call) -> Json:
    """There are only users and assistants: instructions go as what a user said, tool results as well."""
    role, content = turn["role"], turn.get("content")
    if role == "assistant":
        return {"role": "assistant", "type": "answer", "content": shapes.text_of(content), "content_type": "text"}
    if isinstance(content, list) and any(part["type"] not in ("text", "input_text") for part in content):
        text = json.dumps([files.part_of(part, call) for part in content], ensure_ascii=False)
        return {"role": "user", "content": text, "content_type": "object_string"}
    return {"role": "user", "content": shapes.text_of(content), "content_type": "text"}


def outputs(turns: list[Json]) -> list[Json]:
    """The tool results at the end of the conversation, if they answer calls of a chat that still waits for them."""
    last = next((at for at in range(len(turns), 0, -1) if turns[at - 1]["role"] != "tool"), 0)
    found = turns[last:]
    return found if found and all(str(turn.get("tool_call_id")).count(SPLIT) == 2 for turn in found) else []


def submit(call: Call, results: list[Json]) -> Request:
    """https://www.coze.com/docs/developer_guides/chat_submit_tool_outputs"""
    ids = [turn["tool_call_id"].split(SPLIT) for turn in results]
    told = [{"tool_call_id": id[2], "output": shapes.text_of(turn["content"])} for id, turn in zip(ids, results, strict=True)]
    url = address(call, "/v3/chat/submit_tool_outputs", conversation_id=ids[0][0], chat_id=ids[0][1])
    return Request(url, {"tool_outputs": told, "stream": call.streaming})


def parse(reply: Reply, call: Call) -> Json | Request:
    """A chat that runs is asked for again; one that is complete, for its messages."""
    answer = reply.json()
    if answer.get("code"):
        raise trouble(answer, 200)
    data = answer["data"]
    if files.uploaded(data, call):
        return build(call)
    if isinstance(data, list):
        return whole(data, call)
    where = {"conversation_id": data["conversation_id"], "chat_id": data["id"]}
    match data["status"]:
        case "created" | "in_progress":
            call.memo["polls"] = call.memo.get("polls", 0) + 1
            if call.memo["polls"] > POLLS:
                raise VendorError("timeout", f"The bot has not finished after {POLLS} questions.", status=200)
            return Request(address(call, "/v3/chat/retrieve", **where), method="GET", wait=POLL_SECONDS)
        case "requires_action":
            asked = {"content": None, "tool_calls": tool_calls(data)}
            return shapes.completion(call, asked, "tool_calls", used(data), id=f"chatcmpl-{data.get('id') or call.id}")
        case "completed":
            call.memo["chat"] = data
            return Request(address(call, "/v3/chat/message/list", **where), method="GET")
    raise failed(data)


def whole(messages: list[Json], call: Call) -> Json:
    answers = [turn for turn in messages if turn["type"] == "answer"]
    if not answers:
        raise VendorError("server", NOTHING, status=200)
    out: Json = {"content": "".join(turn["content"] for turn in answers)}
    if thought := "".join(turn.get("reasoning_content") or "" for turn in answers):
        out["reasoning_content"] = thought
    chat = call.memo.get("chat") or {}
    return shapes.completion(call, out, "stop", used(chat), id=f"chatcmpl-{chat.get('id') or call.id}")


def tool_calls(chat: Json) -> list[Json]:
    made = chat["required_action"]["submit_tool_outputs"]["tool_calls"]
    where = f"{chat['conversation_id']}{SPLIT}{chat['id']}{SPLIT}"
    return [
        shapes.tool_call(where + item["id"], item["function"]["name"], item["function"]["arguments"] or "{}") for item in made
    ]


def used(chat: Json) -> Json:
    usage = reports.numbers(chat.get("usage"))
    return shapes.usage(usage.get("input_count") or 0, usage.get("output_count") or 0)


def failed(chat: Json) -> VendorError:
    """Why a chat is over without an answer; a chat that was cancelled says nothing about it."""
    error = chat.get("last_error") or {}
    return trouble(error, 200) if error.get("code") else VendorError("server", f"The chat ended as {chat['status']}.", status=200)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    calls = pieces.ToolCalls()
    told: set[str] = set()  # messages that came in deltas: their completed form is a repetition
    for event in events:
        data = event.data
        if event.name.startswith("conversation.chat.") and isinstance(data, dict) and data.get("usage"):
            reports.note(call, used(data))
        match event.name, data:
            case "conversation.message.delta", {"type": "answer"}:
                told.add(data.get("id") or "")
                yield from said(data, call)
            case "conversation.message.completed", {"type": "answer"} if not repeated(data, told):
                told.add(data.get("id") or "")
                yield from said(data, call)
            case "conversation.chat.completed", dict():
                if not told:
                    raise VendorError("server", NOTHING, status=200)
                yield shapes.chunk(call, {}, "stop")
                yield shapes.usage_chunk(call, used(data))
                return
            case "conversation.chat.requires_action", dict():
                for made in tool_calls(data):
                    function = made["function"]
                    for delta in calls.deltas(made["id"], made["id"], function["name"], function["arguments"]):
                        yield shapes.chunk(call, delta)
                yield shapes.chunk(call, {}, "tool_calls")
                yield shapes.usage_chunk(call, used(data))
                return
            case "conversation.chat.failed" | "conversation.chat.canceled", dict():
                raise failed({"status": event.name.rpartition(".")[2], **data})
            case "error", dict():
                raise trouble(data, 200)
            case "done", _:
                break
            case _ if not isinstance(data, dict) or (not event.name and "code" in data):
                raise (
                    trouble(data, 200)
                    if isinstance(data, dict)
                    else VendorError("garbled", "The bot sent an event that is no object.")
                )
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


def repeated(message: Json, told: set[str]) -> bool:
    """Whether a completed message came in deltas before; one without an id can only be the one that did."""
    id = message.get("id") or ""
    return id in told or "" in told or bool(told and not id)


def said(message: Json, call: Call) -> Iterator[Json]:
    for name in ("reasoning_content", "content"):
        if message.get(name):
            yield shapes.chunk(call, {name: message[name]})


VENDORS = (
    Vendor(
        34, "coze", "Coze", "https://api.coze.com",
        protocols={"chat": Protocol(build, parse, stream, fail=fail), **files.PROTOCOLS},
        fields=(
            Field("user_id", str, "", "User ID", "Whom the bot talks to, in Coze's own logs. Empty: the client's user."),
        ),
        key_label="Personal or service access token", model_list=files.MODELS,
        owned_by="coze", documents="https://www.coze.com/docs/developer_guides/chat_v3",
    ),
)  # fmt: skip
