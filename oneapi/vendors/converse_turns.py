"""A conversation in the blocks of Bedrock's Converse. No row lives here.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

import re
from typing import Any

from oneapi.vendors import asks, thoughts
from oneapi.wire import DataUrl, Encoded, VendorError

Json = dict[str, Any]

DOCUMENTS = {
    "application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt", "text/markdown": "md",
    "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
# Formats whose media type has another name.
SOUNDS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/mp4": "m4a", "video/mp4": "mp4", "audio/x-m4a": "m4a"}

EMPTY = "(empty)"  # Converse refuses blank texts, messages without content, and results of tools without content


def messages(turns: list[Json]) -> list[Json]:
    """The conversation with consecutive turns of one speaker joined, since speakers must alternate; without blank texts."""
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
        message["content"] = message["content"] or [{"text": EMPTY}]
    if out and out[-1]["role"] == "assistant":
        last: Json = next((block for block in reversed(out[-1]["content"]) if "cachePoint" not in block), {})
        if "text" in last:  # the API refuses to continue a text that ends in blanks
            last["text"] = last["text"].rstrip()
    return out


def _said(turn: Json) -> list[Json]:
    blocks: list[Json] = []
    for text, signature, data in thoughts.handed_back(turn):
        told = {"redactedContent": data} if data else {"reasoningText": {"text": text, "signature": signature}}
        blocks.append({"reasoningContent": told})
    blocks += blocks_of(turn.get("content"))
    for call in turn.get("tool_calls") or ():
        used = {"toolUseId": asks.plain_id(call["id"]), "name": call["function"]["name"], "input": asks.arguments(call)}
        blocks += [{"toolUse": used}, *cached(call)]
    return blocks


def _results(turn: Json) -> list[Json]:
    content = turn.get("content")
    answer = asks.result(content) if isinstance(content, str) else None
    blocks = [{"json": answer}] if answer is not None else blocks_of(content)
    marks = [block for block in blocks if "cachePoint" in block]  # which have no place inside a result
    told = [block for block in blocks if "cachePoint" not in block] or [{"text": EMPTY}]
    result: Json = {"toolUseId": asks.plain_id(turn["tool_call_id"]), "content": told}
    if turn.get("is_error"):
        result["status"] = "error"
    return [{"toolResult": result}, *(cached(turn) or marks[:1])]


def _heard(turn: Json) -> list[Json]:
    return blocks_of(turn.get("content"))


def blocks_of(content: Any) -> list[Json]:
    listed = ((_block(part), *cached(part)) for part in asks.parts(content))
    return [block for first, *more in listed if str(first.get("text", EMPTY)).strip() for block in (first, *more)]


def cached(part: Json) -> list[Json]:
    """Anthropic's mark on a part is Bedrock's block after it."""
    mark = part.get("cache_control")
    return [{"cachePoint": {"type": "default"} | ({"ttl": mark["ttl"]} if mark.get("ttl") else {})}] if mark else []


def _block(part: Json) -> Json:
    match part.get("type"):
        case "text" | "refusal":
            return {"text": part.get("text") or part.get("refusal")}
        case "image_url":
            return _image(asks.image_url(part))
        case "file":
            return _document(*asks.file(part))
        case "input_audio":
            media_type, data = asks.sound(part)
            return {"audio": {"format": SOUNDS.get(media_type, media_type.rpartition("/")[2]), "source": {"bytes": data}}}
        case None:
            return part  # the vendor's own: document, video, guardContent
    raise asks.unsupported(part)


def _image(url: str | DataUrl) -> Json:
    if isinstance(url, str) and url.startswith("s3://"):
        return {"image": {"format": _format(url.rpartition(".")[2]), "source": {"s3Location": {"uri": url}}}}
    media_type, data = asks.data_url(url)
    return {"image": {"format": _format(media_type.rpartition("/")[2]), "source": {"bytes": data}}}


def _format(name: str) -> str:
    return {"jpg": "jpeg"}.get(name.lower(), name.lower())


def _document(media_type: str, data: str | Encoded, name: str) -> Json:
    if media_type.startswith("image/"):
        return {"image": {"format": _format(media_type[6:]), "source": {"bytes": data}}}
    if media_type not in DOCUMENTS:
        raise VendorError("bad_request", f"Bedrock reads no documents of type {media_type}.")
    plain = re.sub(r"\s+", " ", re.sub(r"[^A-Za-z0-9\s()\[\]-]", "-", name.rpartition(".")[0] or name)).strip()
    return {"document": {"format": DOCUMENTS[media_type], "name": plain[:200] or "document", "source": {"bytes": data}}}
