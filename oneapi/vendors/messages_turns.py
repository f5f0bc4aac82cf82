"""A conversation in the blocks of Anthropic's Messages API. No row lives here.

https://platform.claude.com/docs/en/api/messages
"""

from typing import Any

from oneapi.vendors import asks, thoughts
from oneapi.wire import DataUrl, VendorError

Json = dict[str, Any]


EMPTY = "(empty)"  # the API refuses blank texts and messages without content


def messages(turns: list[Json]) -> list[Json]:
    """The conversation with consecutive turns of one speaker joined: all results of parallel calls in one message."""
    out: list[Json] = []
    for turn in turns:
        role = "assistant" if turn["role"] == "assistant" else "user"
        write = {"assistant": _said, "tool": _results}.get(turn["role"], _heard)
        blocks = write(turn)
        if out and out[-1]["role"] == role:
            out[-1]["content"] += blocks
        elif blocks or role == "user":
            out.append({"role": role, "content": blocks})
    for message in out:
        message["content"] = message["content"] or [{"type": "text", "text": EMPTY}]
    if out and out[-1]["role"] == "assistant" and out[-1]["content"][-1].get("type") == "text":
        last = out[-1]["content"][-1]  # the API refuses to continue a text that ends in blanks
        out[-1]["content"][-1] = last | {"text": last["text"].rstrip()}
    return out


def _said(turn: Json) -> list[Json]:
    """What the model said: its thinking first, unchanged, then text, then tool calls."""
    blocks: list[Json] = []
    for text, signature, data in thoughts.handed_back(turn):
        if data:
            blocks.append({"type": "redacted_thinking", "data": data})
        else:
            blocks.append({"type": "thinking", "thinking": text, "signature": signature})
    blocks += blocks_of(turn.get("content"))
    for call in turn.get("tool_calls") or ():
        name, given = call["function"]["name"], asks.arguments(call)
        blocks.append({"type": "tool_use", "id": asks.plain_id(call["id"]), "name": name, "input": given} | _cached(call))
    return blocks


def _results(turn: Json) -> list[Json]:
    content = turn.get("content")
    block: Json = {"type": "tool_result", "tool_use_id": asks.plain_id(turn["tool_call_id"])}
    if told := content if isinstance(content, str) and content.strip() else blocks_of(content):
        block["content"] = told  # which may be left out where a tool told nothing
    if turn.get("is_error"):
        block["is_error"] = True
    return [block | _cached(turn)]


def _heard(turn: Json) -> list[Json]:
    return blocks_of(turn.get("content"))


def blocks_of(content: Any) -> list[Json]:
    blocks = (_block(part) | _cached(part) for part in asks.parts(content))
    return [block for block in blocks if block.get("type") != "text" or str(block.get("text") or "").strip()]


def _cached(part: Json) -> Json:
    return {"cache_control": part["cache_control"]} if part.get("cache_control") else {}


def _block(part: Json) -> Json:
    match part.get("type"):
        case "text":
            return {"type": "text", "text": part["text"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case "image_url":
            return {"type": "image", "source": _source(asks.image_url(part))}
        case "file":
            return _document(part)
        case "input_audio" | "video_url" | None:
            raise asks.unsupported(part)
    return part  # one of the vendor's own: document, search_result


def _source(url: str | DataUrl) -> Json:
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    media_type, data = asks.data_url(url)
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(part: Json) -> Json:
    given = part["file"]
    if given.get("file_id"):
        return {"type": "document", "source": {"type": "file", "file_id": given["file_id"]}}
    if str(given.get("file_data")).startswith("https://"):
        return {"type": "document", "source": {"type": "url", "url": given["file_data"]}}
    media_type, data, name = asks.file(part)
    if media_type.startswith("image/"):
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    source = {"type": "base64", "media_type": media_type, "data": data}
    if media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": asks.decoded(data).decode("utf-8", "replace")}
    elif media_type != "application/pdf":
        raise VendorError("bad_request", f"Claude reads PDF and text files, not {media_type}.")
    return {"type": "document", "source": source, "title": name}
