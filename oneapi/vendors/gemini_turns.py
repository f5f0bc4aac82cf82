"""A conversation in the contents and parts of Gemini's API. No row lives here.

https://ai.google.dev/api/caching#Content
"""

from typing import Any

from oneapi.vendors import asks, shapes, thoughts, typed
from oneapi.wire import DataUrl

Json = dict[str, Any]

# Accepted in place of a signature that was lost on the way. https://ai.google.dev/gemini-api/docs/thought-signatures
UNSIGNED = "skip_thought_signature_validator"

EMPTY = "(empty)"


def contents(turns: list[Json], signed: bool = False) -> list[Json]:
    """The conversation; results of parallel calls go into one turn, named after the calls they answer."""
    names = {call["id"]: call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or () if call.get("id")}
    out: list[Json] = []
    previous = ""
    for turn in turns:
        role = turn["role"]
        if role == "assistant":
            parts = _said(turn, signed)
        else:
            parts = _results(turn, names) if role == "tool" else [_part(part) for part in asks.parts(turn.get("content"))]
        if role == "tool" and previous == "tool":
            out[-1]["parts"] += parts
        elif parts:
            out.append({"role": "model" if role == "assistant" else "user", "parts": parts})
        previous = role
    return out or [{"role": "user", "parts": [{"text": EMPTY}]}]  # the API refuses a request without contents


def _said(turn: Json, signed: bool) -> list[Json]:
    """What the model said, each signature on the part it came with: of a text on the last text, of a call on the call."""
    google = typed.object_of(typed.object_of(turn, "extra_content", "messages[]."), "google", "messages[].extra_content.")
    content, kept = turn.get("content"), google.get("parts")
    parts = _woven(shapes.text_of(content), kept) if kept else [_part(part) for part in asks.parts(content)]
    parts += [_media(_drawn(picture)) for picture in typed.objects_of(turn, "images", "messages[].")]
    for detail in thoughts.details(turn, thoughts.GEMINI):
        if detail.get("type") == "reasoning.encrypted" and detail.get("data"):
            parts = parts or [{"text": ""}]
            parts[-1]["thoughtSignature"] = detail["data"]
    for number, call in enumerate(turn.get("tool_calls") or ()):
        part: Json = {"functionCall": {**_id(call.get("id")), "name": call["function"]["name"], "args": asks.arguments(call)}}
        where = "messages[].tool_calls[]."
        google = typed.object_of(typed.object_of(call, "extra_content", where), "google", f"{where}extra_content.")
        if signature := google.get("thought_signature") or (UNSIGNED if signed and not number else ""):
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _drawn(picture: Json) -> str:
    """The address of a picture that the model drew."""
    match picture:
        case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
            return url
    raise typed.bad("messages[].images", "a list of objects with image_url.url")


def _woven(text: str, kept: Any) -> list[Json]:
    """The text with the parts that are not text, such as code that was run, where the model put them: at their `offset`."""
    if not isinstance(kept, list) or not all(isinstance(part, dict) and isinstance(part.get("offset", 0), int) for part in kept):
        raise typed.bad("messages[].extra_content.google.parts", "a list of objects whose `offset` is a whole number")
    found: list[Json] = []
    at = 0
    for part in sorted(kept, key=lambda part: part.get("offset", len(text))):
        until = max(part.get("offset", len(text)), at)
        found += [{"text": text[at:until]}] if text[at:until].strip() else []
        found.append({k: v for k, v in part.items() if k not in ("offset", "index")})
        at = until
    return found + ([{"text": text[at:]}] if text[at:].strip() else [])


def _id(id: str | None) -> Json:
    """Ids that the vendor gave go back to it; the vendor matches our own by order and name."""
    return {"id": id} if id and not id.startswith("call_") else {}


def _results(turn: Json, names: dict[str, str]) -> list[Json]:
    id, content = turn["tool_call_id"], turn.get("content")
    text = shapes.text_of(content)
    answer = asks.result(text)
    response = {"result": text} if answer is None else answer
    part: Json = {"functionResponse": {**_id(id), "name": names.get(id) or turn.get("name") or id, "response": response}}
    pictures = [part for part in content if part.get("type") != "text"] if isinstance(content, list) else []
    return [part, *(_part(picture) for picture in pictures)]


def _part(part: Json) -> Json:
    match part.get("type"):
        case "text" | "refusal":
            return {"text": part.get("text") or part.get("refusal")}
        case "image_url":
            return _media(asks.image_url(part))
        case "video_url":
            return _media(part["video_url"]["url"])
        case "file" if str(part["file"].get("file_id") or part["file"].get("file_data")).startswith(("https://", "gs://")):
            return {"fileData": {"fileUri": part["file"].get("file_id") or part["file"]["file_data"]}}
        case "file":
            media_type, data, _ = asks.file(part)
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case "input_audio":
            media_type, data = asks.sound(part)
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case None:
            return part  # the vendor's own: inlineData, fileData
    raise asks.unsupported(part)


def _media(url: str | DataUrl) -> Json:
    if not url.startswith("data:"):
        return {"fileData": {"fileUri": url}}
    media_type, data = asks.data_url(url)
    return {"inlineData": {"mimeType": media_type, "data": data}}
