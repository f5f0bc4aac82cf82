"""What an OpenAI-shaped request says, read in one way for every protocol with its own wire format."""

import base64
import json
import re
import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from oneapi.catalog import media_types
from oneapi.vendors import shapes
from oneapi.wire import DataUrl, Encoded, File, VendorError

Json = dict[str, Any]

# Parameters of OpenAI's chat API. What a body has besides is meant for the vendor and travels on.
# https://platform.openai.com/docs/api-reference/chat/create
OPENAI = frozenset({
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stop",
    "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed", "user", "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
    "response_format", "reasoning_effort", "reasoning", "include_reasoning", "verbosity", "modalities", "audio", "prediction",
    "store", "metadata", "service_tier", "web_search_options", "extra_body",
})  # fmt: skip

PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
NO_TOOLS = "Do not call any tool in this answer."


def extras(body: Json) -> Json:
    """What the body says beyond OpenAI's own parameters."""
    return {k: v for k, v in body.items() if k not in OPENAI}


def conversation(body: Json) -> tuple[list[Json], list[Json]]:
    """System messages, and the turns without them; a conversation of system messages alone is the user speaking."""
    messages = list(modern(body.get("messages") or ()))
    system = [message for message in messages if message["role"] in ("system", "developer")]
    turns = [message for message in messages if message["role"] not in ("system", "developer")]
    return (system, turns) if turns else ([], [message | {"role": "user"} for message in system])


def modern(messages: Any) -> Iterator[Json]:
    """Messages in their order; the older function_call and role "function" become tool calls, whose ids follow from the name."""
    for message in messages:
        role, called = message["role"], message.get("function_call")
        if role == "function":
            yield {"role": "tool", "tool_call_id": f"call_{message['name']}", "content": message.get("content")}
        elif called and not message.get("tool_calls"):
            name, given = called["name"], called.get("arguments", "")
            yield message | {"tool_calls": [shapes.tool_call(f"call_{name}", name, given)]}
        else:
            yield message


def parts(content: Any) -> list[Json]:
    """A message's content as a list of parts, without texts that say nothing."""
    listed = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    listed = [{"type": "text", "text": part} if isinstance(part, str) else part for part in listed]
    return [part for part in listed if part.get("type") != "text" or str(part.get("text") or "").strip()]


def system_text(system: list[Json]) -> str:
    return "\n\n".join(text for message in system if (text := shapes.text_of(message.get("content")).strip()))


def image_url(part: Json) -> str | DataUrl:
    """The address or data URL of a part; a DataUrl where the address was fetched."""
    image = part["image_url"]
    return image["url"] if isinstance(image, dict) else image


def data_url(url: str | DataUrl) -> tuple[str, str | Encoded]:
    """Media type and base64 text of a client's data URL; the bytes decide the type. Raises VendorError("bad_request")."""
    if isinstance(url, DataUrl):
        return url.media_type, url.data
    declared, data = shapes.data_url(url)
    kind = media_types.settled(declared, _head(data))
    if not kind:
        raise VendorError("bad_request", f"A data URL declares {declared}, but its bytes are of no format known here.")
    return kind, data


def sound(part: Json) -> tuple[str, str]:
    """Media type and base64 text of an `input_audio` part; the bytes decide the type."""
    given = part["input_audio"]
    return media_types.settled(f"audio/{given.get('format') or 'wav'}", _head(given["data"])), given["data"]


def _head(data: str) -> bytes:
    """The first bytes of a base64 text."""
    return decoded(data[: media_types.ENOUGH * 4 // 3 // 4 * 4])


def decoded(data: str | Encoded) -> bytes:
    """The bytes of a client's base64 text; raises VendorError("bad_request") when it is none."""
    try:
        return base64.b64decode(str(data))
    except ValueError as error:
        raise VendorError("bad_request", "The data of a file is not base64.") from error


def kind_of(file: File) -> str:
    """The media type of an uploaded file: its bytes decide. Raises VendorError("bad_request") for an image that is none."""
    kind = media_types.settled(file.content_type.partition(";")[0].strip().lower(), file.data[: media_types.ENOUGH])
    if not kind:
        text = f"The file {file.filename} is declared {file.content_type}, but its bytes are of no format known here."
        raise VendorError("bad_request", text, param=file.name)
    return kind


def file(part: Json) -> tuple[str, str | Encoded, str]:
    """Media type, base64 text and name of a `file` part that carries its data."""
    given = part["file"]
    if not isinstance(given.get("file_data"), str):
        raise VendorError("bad_request", "A file part needs file_data, a data URL: files uploaded elsewhere cannot be read here.")
    media_type, data = data_url(given["file_data"])
    return media_type, data, given.get("filename") or "document"


def unsupported(part: Json) -> VendorError:
    return VendorError("bad_request", f"This vendor does not take message parts of type {part.get('type')!r}.")


def arguments(call: Json) -> Json:
    """The arguments of a tool call as an object; nothing said means no arguments."""
    text = call["function"].get("arguments") or ""
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise VendorError("bad_request", "tool_calls[].function.arguments must be the text of a JSON object.")
    return found


def compact(value: Any) -> str:
    """JSON as OpenAI writes arguments: without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def result(text: str) -> Json | None:
    """A tool's answer as an object when it is one."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def choice(body: Json) -> tuple[str, str]:
    """How tools are to be used: "", auto, none, required or named, and the name."""
    match body.get("tool_choice", body.get("function_call")):
        case "any":
            return "required", ""
        case str(mode):
            return mode, ""
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode)}}:
            return mode, ""
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return "named", name
        case {"type": ("auto" | "none" | "any") as mode}:
            return ("required" if mode == "any" else mode), ""
    return "", ""


def tools(body: Json) -> list[Json]:
    """The tools in OpenAI's form, only the allowed ones where the choice names them; other forms are the vendor's own."""
    listed = body.get("tools") or [{"type": "function", "function": function} for function in body.get("functions") or ()]
    match body.get("tool_choice"):
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(allowed)}}:
            names = {tool.get("function", tool).get("name") for tool in allowed}
            return [tool for tool in listed if tool.get("function", tool).get("name") in names]
    return list(listed)


def effort(body: Json) -> str:
    """How hard to think: "", none, minimal, low, medium, high, xhigh or max."""
    reasoning = body.get("reasoning")
    said = body.get("reasoning_effort") or (reasoning.get("effort") if isinstance(reasoning, dict) else "")
    return str(said or "").lower()


def budget(body: Json) -> int | None:
    """Tokens to think with, where the client says so by number (OpenRouter's `reasoning.max_tokens`)."""
    reasoning = body.get("reasoning")
    return reasoning.get("max_tokens") if isinstance(reasoning, dict) else None


def json_mode(body: Json) -> tuple[bool, Json | None]:
    """Whether JSON is wanted, and the `json_schema` object with its `schema` if one is given."""
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict()} as named}:
            return True, named
        case {"type": "json_object" | "json_schema"}:
            return True, None
    return False, None


def json_instruction(named: Json | None) -> str:
    """For models that cannot be held to JSON otherwise."""
    wanted = "Answer with one JSON object and nothing else: no prose, no code fence."
    return f"{wanted} It must match this JSON schema: {compact(named['schema'])}" if named else wanted


def plain_id(id: str) -> str:
    """A tool call's id as vendors take it who allow letters, digits, _ and - alone: others' ids are put into these."""
    return id if len(id) <= 64 and PLAIN_ID.fullmatch(id) else "call_" + sha256(id.encode()).hexdigest()[:32]


def inputs(body: Json) -> list[str]:
    """The texts to embed; tokens of a foreign vocabulary cannot be embedded."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if not texts or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise VendorError("bad_request", "input must be a text or a list of texts: this vendor cannot embed token numbers.")
    return list(texts)


def vector(values: list[float] | str, body: Json) -> Any:
    """Return an embedding as the client wants it: a list, or base64 of little-endian float32; `values` may be either."""
    packed = body.get("encoding_format") == "base64"
    if isinstance(values, str):
        return values if packed else unpacked(values)
    if not packed:
        return values
    try:
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except struct.error as error:
        raise ValueError("an embedding holds something else than numbers") from error


def unpacked(text: str) -> list[float]:
    """Return the numbers of an embedding in base64 of little-endian float32; raises ValueError when it is none."""
    data = base64.b64decode(text, validate=True)
    if len(data) % 4:
        raise ValueError("an embedding in base64 is cut")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def pictures(images: list[tuple[str, str]], body: Json, created: int, used: Json | None = None) -> Json:
    """OpenAI's list of images from media types and base64 texts; who wants a URL gets a data URL."""
    if not images:
        raise VendorError("content_filter", "The vendor made no image: the prompt or the result was filtered.", status=200)
    as_url = body.get("response_format") == "url"
    data = [{"url": f"data:{kind};base64,{image}"} if as_url else {"b64_json": image} for kind, image in images]
    return {"created": created, "data": data} | ({"usage": used} if used else {})
