"""Mistral: OpenAI's protocol that refuses unknown fields, numbers tool calls its own way and thinks in parts of content."""

import re
from base64 import b64decode
from hashlib import sha256

from oneapi.vendors import asks, balances, openai, shapes, thoughts
from oneapi.vendors.contract import CODE_KINDS, Protocol, Vendor, failure
from oneapi.vendors.quirks import Json, adapted, reshaped, spoken, system_role
from oneapi.wire import Call, Reply, Request, VendorError

ID = re.compile(r"[a-zA-Z0-9]{9}")
SIGNED = "mistral-v1"  # marks reasoning_details whose signature is this vendor's
# Only a tool's result may have a name.
MESSAGE = {
    "system": ("role", "content"), "user": ("role", "content"), "assistant": ("role", "content", "tool_calls", "prefix"),
    "tool": ("role", "content", "tool_call_id", "name"),
}  # fmt: skip


# Codes and types of errors besides OpenAI's.
CODES = CODE_KINDS | {
    "invalid_model": "no_model", "unknown_model": "no_model", "service_tier_capacity_exceeded": "overloaded",
    "rate_limited": "rate_limited",
}  # fmt: skip


def fail(reply: Reply, call: Call) -> VendorError:
    """A field that is wrong is told as a list of details, a prompt that is too long in words only."""
    error = failure(reply, call, CODES)
    try:
        told = reply.json()
    except ValueError:
        return error
    told = told.get("message", told) if isinstance(told, dict) else {}
    match told:
        case {"detail": [{"msg": str(text), "loc": list(place)}, *_]}:
            error.message = f"{text}: {'.'.join(str(step) for step in place)}"
    if error.kind == "bad_request" and "too large for model" in error.message:
        error.kind = "too_long"
    return error


def known_fields(body: Json, call: Call) -> Json:
    """Messages hold known fields only, reasoning is a part of content, and ids of tool calls are nine letters or digits."""
    out = {k: v for k, v in body.items() if k not in ("functions", "function_call", "reasoning")}
    if "messages" in body:
        out["messages"] = [_message(turn) for turn in asks.modern(body["messages"])]
    if body.get("functions") and not body.get("tools"):
        mode, name = asks.choice(body)
        out["tools"] = asks.tools(body)
        out |= {"tool_choice": {"type": "function", "function": {"name": name}} if name else mode} if mode else {}
    if (tier := body.get("service_tier")) and tier != "auto":
        out["service_tier"] = "standard_only"
    return out


def _message(message: Json) -> Json:
    found = {k: message[k] for k in MESSAGE.get(message["role"], ("role", "content")) if k in message}
    if found.get("tool_calls"):
        found["tool_calls"] = [tool | {"id": _id(tool["id"])} for tool in found["tool_calls"]]
    if found.get("tool_call_id"):
        found["tool_call_id"] = _id(found["tool_call_id"])
    content = found.get("content")
    if isinstance(content, list):
        found["content"] = content = [_part(part) for part in content]
    if thinking := _thinking(message):
        said = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        found["content"] = [*thinking, *said]
    return found


def _part(part: Json) -> Json:
    """https://docs.mistral.ai/capabilities/document_ai and /capabilities/audio: documents by address, sound as base64."""
    match part:
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            return {"type": "input_audio", "input_audio": data}
        case {"type": "file", "file": {"file_data": str(url)} as file}:
            name = {"document_name": file["filename"]} if file.get("filename") else {}
            return {"type": "document_url", "document_url": url, **name}
        case {"type": "file", "file": {"file_id": str(id)}}:
            return {"type": "file", "file_id": id}
    return part


def _thinking(message: Json) -> list[Json]:
    """What was thought, with the signatures it came with; else its text alone."""
    signed = [(d.get("text") or "", d["signature"]) for d in thoughts.details(message, SIGNED) if d.get("signature")]
    if signed:
        return [{"type": "thinking", "thinking": [_text(text)], "signature": signature} for text, signature in signed]
    told = message.get("reasoning_content")
    return [{"type": "thinking", "thinking": [_text(told)]}] if told else []


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _id(id: str) -> str:
    """The id itself if it may pass, else nine hexadecimal digits that stand for it every time."""
    return id if ID.fullmatch(id) else sha256(id.encode()).hexdigest()[:9]


def parts_joined(piece: Json, call: Call, memo: Json) -> None:
    """Content that is a list of parts becomes text, and its thinking becomes reasoning_content."""
    for choice, message in spoken(piece):
        if choice.get("finish_reason") == "error":
            raise VendorError("server", "The vendor broke off with an error.", status=200, code="error")
        if choice.get("finish_reason") == "model_length":
            choice["finish_reason"] = "length"
        parts = message.get("content")
        if not isinstance(parts, list):
            continue
        message["content"] = shapes.text_of(parts)
        for part in parts:
            if part.get("type") == "thinking":
                text = shapes.text_of(part.get("thinking"))
                message["reasoning_content"] = message.get("reasoning_content", "") + text
                if part.get("signature"):
                    _signed(message, memo, text, part["signature"])


def _signed(message: Json, memo: Json, text: str, signature: str) -> None:
    number = memo["signed"] = memo.get("signed", -1) + 1
    detail = {"type": "reasoning.text", "text": text, "signature": signature, "format": SIGNED, "index": number}
    message.setdefault("reasoning_details", []).append(detail)


def speak(call: Call) -> Request:
    """https://docs.mistral.ai/api/endpoint/audio/speech"""
    body = {k: v for k, v in call.body.items() if k not in ("voice", "speed", "instructions", "stream_format")}
    return Request(openai.url(call), body | ({"voice_id": call.body["voice"]} if call.body.get("voice") else {}))


def sound(reply: Reply, call: Call) -> Reply:
    kind = {"mp3": "mpeg", None: "mpeg"}.get(form := call.body.get("response_format"), form)
    return Reply(reply.status, {"content-type": f"audio/{kind}"}, b64decode(reply.json()["audio_data"]))


CHAT = adapted(parts_joined, body=reshaped(system_role, known_fields), fail=fail)

KINDS = dict.fromkeys(
    ("embeddings", "moderations", "transcriptions"), Protocol(openai.build, openai.parse, openai.stream, native=True, fail=fail)
)

SPEECH = Protocol(speak, sound, fail=fail)

VENDORS = (
    Vendor(
        28, "mistral", "Mistral AI", "https://api.mistral.ai", {"chat": CHAT, "speech": SPEECH, **KINDS},
        rename={"seed": "random_seed", "max_completion_tokens": "max_tokens", "dimensions": "output_dimension"},
        refuses_usage=True,
        drop=("logit_bias", "user", "store", "stream_options", "modalities", "audio", "verbosity", "prompt_cache_retention",
              "safety_identifier", "web_search_options"),
        model_list=balances.MODELS, owned_by="mistralai", documents="https://docs.mistral.ai/api/",
    ),
)  # fmt: skip
