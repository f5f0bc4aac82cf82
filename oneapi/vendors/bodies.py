"""Clean the body of a request before any provider's own conversion: nulls, empty stop strings, messages that say nothing.

Every row uses it, so that a parameter means the same wherever a request goes. A body that needs no change is returned as it is.
"""

from typing import Any

from oneapi.wire import VendorError

Json = dict[str, Any]

SPOKEN = ("role", "name", "id")  # keys of an assistant's message that alone say nothing


def cleaned(body: Json) -> Json:
    """Return the body without null parameters, empty stop strings and empty assistant turns, with content as text or parts.

    Null means that a parameter is absent. Raises VendorError("bad_request") that names the place of a message that is neither
    text nor parts.
    """
    if None in body.values():
        body = {k: v for k, v in body.items() if v is not None}
    if "stop" in body:
        body = _without_empty_stop(body)
    messages = body.get("messages")
    if isinstance(messages, list) and not all(map(_plain, messages)):
        return body | {"messages": _messages(messages)}
    return body


def refused(where: str, wanted: str) -> VendorError:
    """Return the error that names the field a client has to change."""
    return VendorError("bad_request", f"{where} {wanted}.", param=where)


def _without_empty_stop(body: Json) -> Json:
    """Remove stop strings that are empty: some providers refuse them, others stop at once."""
    stop = body["stop"]
    if stop and (not isinstance(stop, list) or all(isinstance(text, str) and text for text in stop)):
        return body
    kept = [text for text in stop if text not in ("", None)] if isinstance(stop, list) else []
    return {k: v for k, v in body.items() if k != "stop"} | ({"stop": kept} if kept else {})


def _plain(message: Any) -> bool:
    """Return True for a message of text that needs no second look."""
    return (
        type(message) is dict
        and type(content := message.get("content")) is str
        and content != ""
        and None not in message.values()
        and message.get("tool_calls") != []
        and type(message.get("role")) is str
    )


def _messages(messages: list[Any]) -> list[Json]:
    found = [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]
    return [message for message in found if not _says_nothing(message)] or found


def _message(message: Any, where: str) -> Json:
    if not isinstance(message, dict):
        raise refused(where, "must be an object with role and content")
    if not isinstance(message.get("role"), str):
        raise refused(f"{where}.role", "must be a text such as user")
    kept = {k: v for k, v in message.items() if (v is not None or k == "content") and not (k == "tool_calls" and v == [])}
    if not isinstance(content := kept.get("content"), str | None):
        kept["content"] = _parts(content, f"{where}.content")
    return kept


def _parts(content: Any, where: str) -> list[Any]:
    """Return content as a list of parts: one part alone is a list of one, and a bare string is a part of text."""
    if isinstance(content, dict) and ("type" in content or "text" in content):
        return [_part(content, where)]
    if not isinstance(content, list):
        raise refused(where, "must be a text or a list of parts")
    return [_part(part, f"{where}[{number}]") for number, part in enumerate(content)]


def _part(part: Any, where: str) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise refused(where, "must be an object with a type")
    if "type" not in part and isinstance(part.get("text"), str):
        return {"type": "text", **part}
    if not isinstance(part.get("type", ""), str):
        raise refused(f"{where}.type", 'must be a text such as "text" or "image_url"')
    if part.get("type", "text") == "text" and ("type" in part or "text" in part) and not isinstance(part.get("text"), str):
        raise refused(f"{where}.text", "must be a text")
    return part


def _says_nothing(message: Json) -> bool:
    """Return True for an assistant's turn without words and calls, which many providers refuse."""
    if message["role"] != "assistant":
        return False
    return not any(_something(value) for key, value in message.items() if key not in SPOKEN)


def _something(value: Any) -> bool:
    if isinstance(value, list):
        return any(not isinstance(part, dict) or part.get("type") != "text" or part.get("text") for part in value)
    return bool(value)
