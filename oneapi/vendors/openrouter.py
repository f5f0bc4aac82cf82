"""OpenRouter: OpenAI's protocol to the models of many vendors, whose troubles it passes on."""

from typing import Any

from oneapi.vendors import balances, openai
from oneapi.vendors.contract import Protocol, Vendor, failure
from oneapi.vendors.quirks import adapted, reasoning_name
from oneapi.wire import Call, Reply, VendorError


def fail(reply: Reply, call: Call) -> VendorError:
    """https://openrouter.ai/docs/api-reference/errors: a flagged prompt comes under 403, as if the key were at fault."""
    error = failure(reply, call)
    about = metadata(reply)
    if error.status == 403 and about.get("reasons"):
        error.kind = "content_filter"
    if isinstance(raw := about.get("raw"), str) and raw:
        error.message = f"{error.message}: {raw}"[:2000]
    if error.kind == "bad_request" and "maximum context length" in error.message:
        error.kind = "too_long"
    return error


def metadata(reply: Reply) -> dict[str, Any]:
    try:
        error = reply.json().get("error") or {}
    except (ValueError, AttributeError):
        return {}
    found = error.get("metadata") if isinstance(error, dict) else None
    return found if isinstance(found, dict) else {}


PLAIN = Protocol(openai.build, openai.parse, openai.stream, native=True, fail=fail)

VENDORS = (
    Vendor(
        20, "openrouter", "OpenRouter", "https://openrouter.ai/api",
        {**dict.fromkeys(openai.PATHS, PLAIN), "chat": adapted(reasoning_name, fail=fail)},
        # It is told our title and localhost, as https://openrouter.ai/docs/app-attribution wants it of apps without a site.
        headers={"HTTP-Referer": "http://localhost:3000", "X-Title": "One API"},
        balance=balances.OPENROUTER, model_list=balances.MODELS, owned_by="openrouter",
        offers=("chat", "completions", "embeddings"),
        documents="https://openrouter.ai/docs/api-reference/overview",
    ),
)  # fmt: skip
