"""Groq: OpenAI's protocol that refuses names and log probabilities, and calls its thoughts `reasoning`."""

import re

from oneapi.vendors import balances, fees, openai, reports
from oneapi.vendors.contract import CODE_KINDS, Protocol, Vendor, failure
from oneapi.vendors.quirks import Json, adapted, reasoning_back, reasoning_name, reshaped, system_role
from oneapi.wire import Call, Reply, VendorError

MESSAGE = ("name", "reasoning_details", "thinking_blocks")  # what a message may not hold
THINKERS = re.compile(r"qwen3|qwq|deepseek-r1")  # write what they think into their answers unless told otherwise
# https://console.groq.com/docs/errors
CODES = CODE_KINDS | {
    "model_decommissioned": "no_model", "organization_restricted": "auth", "blocked_api_access": "auth",
    "over_capacity": "overloaded", "json_validate_failed": "server", "tool_use_failed": "server",
}  # fmt: skip


def nameless(body: Json, call: Call) -> Json:
    """https://console.groq.com/docs/openai: a message with a name is refused."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(name in message for message in messages for name in MESSAGE):
        return body
    return body | {"messages": [{k: v for k, v in message.items() if k not in MESSAGE} for message in messages]}


def thoughts_apart(body: Json, call: Call) -> Json:
    """https://console.groq.com/docs/reasoning#reasoning-format"""
    said = "reasoning_format" in body or "include_reasoning" in body
    return body if said or not THINKERS.search(call.model) else body | {"reasoning_format": "parsed"}


def fail(reply: Reply, call: Call) -> VendorError:
    """What is too large for a minute's tokens is told under 413 like what is too large for the model, with another code."""
    return failure(reply, call, CODES)


def usage_told_apart(piece: Json, call: Call, memo: Json) -> None:
    """Usage of a stream may stand in a place of Groq's own."""
    found = piece.get("x_groq")
    if isinstance(found, dict) and isinstance(found.get("usage"), dict):
        piece["usage"] = reports.merged(piece.get("usage"), found["usage"])


BODY = reshaped(system_role, reasoning_back, nameless, thoughts_apart)
CHAT = adapted(usage_told_apart, fees.executed, reasoning_name, body=BODY, fail=fail)
PLAIN = Protocol(openai.build, openai.parse, openai.stream, native=True, fail=fail)

VENDORS = (
    Vendor(
        29, "groq", "Groq", "https://api.groq.com/openai",
        {**dict.fromkeys(openai.PATHS, PLAIN), "chat": CHAT},
        drop=("logit_bias", "logprobs", "top_logprobs"), model_list=balances.MODELS, owned_by="groq",
        offers=("chat", "speech", "transcriptions", "translations"),
        documents="https://console.groq.com/docs/openai",
    ),
)  # fmt: skip
