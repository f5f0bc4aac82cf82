"""Mistral: OpenAI's protocol that refuses unknown fields, numbers tool calls its own way and thinks in parts of content."""

import re
from hashlib import sha256

from oneapi.vendors import balances, openai
from oneapi.vendors.contract import Vendor
from oneapi.vendors.quirks import Json, adapted, reshaped, spoken, system_role
from oneapi.wire import Call

ID = re.compile(r"[a-zA-Z0-9]{9}")
MESSAGE = ("role", "content", "tool_calls", "tool_call_id", "name", "prefix")


def known_fields(body: Json, call: Call) -> Json:
    """Messages hold known fields only, reasoning is a part of content, and ids of tool calls are nine letters or digits."""
    messages = body.get("messages")
    return body | {"messages": [_message(m) for m in messages]} if isinstance(messages, list) else body


def _message(message: Json) -> Json:
    found = {k: message[k] for k in MESSAGE if k in message}
    if found.get("tool_calls"):
        found["tool_calls"] = [tool | {"id": _id(tool["id"])} for tool in found["tool_calls"]]
    if found.get("tool_call_id"):
        found["tool_call_id"] = _id(found["tool_call_id"])
    if message.get("reasoning_content"):
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": message["reasoning_content"]}]}
        content = found.get("content") or []
        found["content"] = [thinking, *([{"type": "text", "text": content}] if isinstance(content, str) else content)]
    return found


def _id(id: str) -> str:
    """The id itself if it may pass, else nine hexadecimal digits that stand for it every time."""
    return id if ID.fullmatch(id) else sha256(id.encode()).hexdigest()[:9]


def parts_joined(piece: Json, call: Call, memo: Json) -> None:
    """Content that is a list of parts becomes text, and its thinking becomes reasoning_content."""
    for _, message in spoken(piece):
        parts = message.get("content")
        if isinstance(parts, list):
            message["content"] = "".join(part.get("text") or "" for part in parts if part.get("type") == "text")
            inner = [text for part in parts if part.get("type") == "thinking" for text in part.get("thinking") or ()]
            if inner:
                message["reasoning_content"] = "".join(text.get("text") or "" for text in inner)


CHAT = adapted(parts_joined, body=reshaped(system_role, known_fields))

VENDORS = (
    Vendor(
        28, "mistral", "Mistral AI", "https://api.mistral.ai", {**openai.PROTOCOLS, "chat": CHAT},
        rename={"seed": "random_seed", "max_completion_tokens": "max_tokens"}, refuses_usage=True,
        drop=("logit_bias", "logprobs", "top_logprobs", "user", "store", "service_tier", "stream_options", "modalities", "audio",
              "verbosity", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "web_search_options"),
        model_list=balances.MODELS, owned_by="mistralai", documents="https://docs.mistral.ai/api/",
    ),
)  # fmt: skip
