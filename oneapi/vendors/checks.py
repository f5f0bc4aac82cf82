"""Find the field of a request that has the wrong shape, for answers that tell a client what to change."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from oneapi.vendors.bodies import refused
from oneapi.wire import Call, DataUrl, VendorError

Json = dict[str, Any]
Problem = tuple[str, str]  # path of the field, and what it must be

NUMBER = (int, float)
WORDS = {str: "a text", NUMBER: "a number", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}
# Parameters of each kind of call and their types.
TYPES: dict[str, dict[str, Any]] = {
    "chat": {
        "temperature": NUMBER, "top_p": NUMBER, "presence_penalty": NUMBER, "frequency_penalty": NUMBER, "n": int, "seed": int,
        "top_logprobs": int, "logit_bias": dict, "user": str, "reasoning_effort": str, "parallel_tool_calls": bool,
        "metadata": dict, "modalities": list, "audio": dict, "thinking": dict, "service_tier": str, "web_search_options": dict,
    },
    "completions": {"prompt": (str, list), "temperature": NUMBER, "top_p": NUMBER, "n": int, "seed": int, "suffix": str},
    "embeddings": {"input": (str, list), "dimensions": int, "encoding_format": str, "user": str},
    "images": {"prompt": str, "n": int, "size": str, "quality": str, "style": str, "response_format": str},
    "image_edits": {"prompt": str, "size": str, "response_format": str},
    "image_variations": {"size": str, "response_format": str},
    "speech": {"input": str, "voice": str, "response_format": str, "speed": NUMBER, "instructions": str},
    "rerank": {"query": str, "documents": list, "top_n": int},
    "moderations": {"input": (str, list)},
}  # fmt: skip


def check_chat(body: Json) -> None:
    """Raise VendorError("bad_request") for a chat whose messages or tools no conversion can read.

    Requests that travel verbatim are not looked at: their provider judges them.
    """
    for where, wanted in _chat(body):
        raise refused(where, wanted)


def explained(call: Call) -> VendorError:
    """Return the error for a request that a conversion failed on: it names the field at fault where that can be found."""
    body = call.body
    found = (_chat(body), _details(body)) if call.kind == "chat" else (_others(body),)
    for where, wanted in chain(_types(body, TYPES.get(call.kind, {})), *found):
        return refused(where, wanted)
    return VendorError(
        "bad_request", "The request cannot be converted to this provider's format: check the types of its fields."
    )


def _types(body: Json, types: dict[str, Any]) -> Iterator[Problem]:
    for name, kind in types.items():
        value = body.get(name)
        if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            continue
        yield name, f"must be {WORDS.get(kind) or 'a text or a list'}"


def _others(body: Json) -> Iterator[Problem]:
    for number, document in enumerate(body["documents"] if isinstance(body.get("documents"), list) else ()):
        if not isinstance(document, str | dict):
            yield f"documents[{number}]", "must be a text or an object"
    for number, text in enumerate(body["input"] if isinstance(body.get("input"), list) else ()):
        if not isinstance(text, str | dict):
            yield f"input[{number}]", "must be a text"


def _chat(body: Json) -> Iterator[Problem]:
    messages = body.get("messages", [])
    if not isinstance(messages, list):
        yield "messages", "must be a list"
        return
    for number, message in enumerate(messages):
        yield from _message(message, f"messages[{number}]")
    for name in ("tools", "functions"):
        yield from _tools(body.get(name), name)
    if not isinstance(body.get("tool_choice") or "", str | dict):
        yield "tool_choice", "must be a text or an object"
    yield from _format(body.get("response_format"))
    stop = body.get("stop") or []
    if not isinstance(stop, str | list) or not all(isinstance(text, str) for text in stop):
        yield "stop", "must be a text or a list of texts"


def _message(message: Any, where: str) -> Iterator[Problem]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        yield where, "must be an object with role and content"
        return
    if message["role"] == "tool" and not _named(message.get("tool_call_id")):
        yield f"{where}.tool_call_id", "must be the id of the call that this message answers"
    if message["role"] == "function" and not _named(message.get("name")):
        yield f"{where}.name", "must be the name of the function that this message answers"
    if not isinstance(message.get("content"), str | list | None):
        yield f"{where}.content", "must be a text or a list of parts"
    yield from _calls(message.get("tool_calls"), f"{where}.tool_calls")
    if called := message.get("function_call"):
        yield from _function(called, f"{where}.function_call")
    for name in ("reasoning_details", "thinking_blocks"):
        listed = message.get(name) or []
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            yield f"{where}.{name}", "must be a list of objects"
    if not isinstance(message.get("reasoning_content") or "", str):
        yield f"{where}.reasoning_content", "must be a text"


def _named(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _details(body: Json) -> Iterator[Problem]:
    """Find what only some conversions need: ids of calls, and the contents of parts, which others refuse by their type."""
    for number, message in enumerate(body.get("messages") or ()):
        for place, call in enumerate(message.get("tool_calls") or ()):
            if not _named(call.get("id")):
                yield f"messages[{number}].tool_calls[{place}].id", "must be the id that the message with the result names"
        for place, part in enumerate(message["content"] if isinstance(message.get("content"), list) else ()):
            yield from _part(part, f"messages[{number}].content[{place}]")


def _part(part: Any, where: str) -> Iterator[Problem]:
    if not isinstance(part, dict):
        yield where, "must be an object with a type"
        return
    match part.get("type"):
        case "text" if not isinstance(part.get("text"), str):
            yield f"{where}.text", "must be a text"
        case "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, dict) else image
            if not _named(url) and not isinstance(url, DataUrl):
                yield f"{where}.image_url.url", "must be an address or a data URL"
        case "input_audio":
            sound = part.get("input_audio")
            if not isinstance(sound, dict) or not _named(sound.get("data")):
                yield f"{where}.input_audio.data", "must be sound in base64"
        case "file" if not isinstance(part.get("file"), dict):
            yield f"{where}.file", "must be an object"


def _calls(calls: Any, where: str) -> Iterator[Problem]:
    if calls is not None and not isinstance(calls, list):
        yield where, "must be a list"
        return
    for number, call in enumerate(calls or ()):
        place = f"{where}[{number}]"
        if not isinstance(call, dict):
            yield place, "must be an object with id, type and function"
            continue
        if call.get("type", "function") == "function":
            yield from _function(call.get("function"), f"{place}.function")


def _function(function: Any, where: str) -> Iterator[Problem]:
    if not isinstance(function, dict):
        yield where, "must be an object with name and arguments"
        return
    if not _named(function.get("name")):
        yield f"{where}.name", "must be the name of a function"
    if not isinstance(function.get("arguments"), str | dict | None):
        yield f"{where}.arguments", "must be the text of a JSON object"


def _tools(tools: Any, name: str) -> Iterator[Problem]:
    if tools is not None and not isinstance(tools, list):
        yield name, "must be a list"
        return
    for number, tool in enumerate(tools or ()):
        where = f"{name}[{number}]"
        if not isinstance(tool, dict):
            yield where, "must be an object"
            continue
        if name == "tools" and tool.get("type") != "function" and "function" not in tool:
            continue  # a provider's own
        function, place = (tool.get("function"), f"{where}.function") if name == "tools" else (tool, where)
        if not isinstance(function, dict):
            yield place, "must be an object with a name"
        elif not _named(function.get("name")):
            yield f"{place}.name", "must be the name of a function"
        elif not isinstance(function.get("parameters"), dict | None):
            yield f"{place}.parameters", "must be a JSON schema"


def _format(wanted: Any) -> Iterator[Problem]:
    if not isinstance(wanted, dict | None):
        yield "response_format", "must be an object with a type"
    elif wanted and wanted.get("type") == "json_schema":
        named = wanted.get("json_schema")
        if not isinstance(named, dict) or not isinstance(named.get("schema"), dict | None):
            yield "response_format.json_schema.schema", "must be a JSON schema"
