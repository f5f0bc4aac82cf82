"""Errors of Google's APIs, which Gemini, Vertex AI and their OpenAI-compatible addresses share. No row lives here."""

from typing import Any

from oneapi.vendors.contract import failure, status_kind
from oneapi.wire import Call, Reply, VendorError

Json = dict[str, Any]

# https://ai.google.dev/gemini-api/docs/troubleshooting and https://cloud.google.com/apis/design/errors
KINDS = {
    "INVALID_ARGUMENT": "bad_request", "FAILED_PRECONDITION": "bad_request", "OUT_OF_RANGE": "bad_request",
    "NOT_FOUND": "no_model", "UNAUTHENTICATED": "auth", "PERMISSION_DENIED": "auth",
    "RESOURCE_EXHAUSTED": "rate_limited", "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout", "INTERNAL": "server", "UNKNOWN": "server", "ABORTED": "server", "CANCELLED": "server",
    "UNIMPLEMENTED": "bad_request",
}  # fmt: skip
# What an INVALID_ARGUMENT or FAILED_PRECONDITION may mean, told apart by words: kind, and our code where there is one.
WORDS = {
    "API key not valid": ("auth", "invalid_api_key"), "API key expired": ("auth", "invalid_api_key"),
    "API Key not found": ("auth", "invalid_api_key"), "location is not supported": ("auth", "unsupported_location"),
    "billing": ("quota", ""), "exceeds the maximum number of tokens": ("too_long", "context_length_exceeded"),
}  # fmt: skip


def fail(reply: Reply, call: Call) -> VendorError:
    error = failure(reply, call, KINDS)
    try:
        told = reply.json()
    except ValueError:
        return error
    told = told[0] if isinstance(told, list) and told else told
    return _told(error, told["error"]) if isinstance(told, dict) and isinstance(told.get("error"), dict) else error


def fault(told: Json) -> VendorError:
    """The VendorError in an error object that came under HTTP 200 or in mid-stream."""
    status, code = str(told.get("status") or ""), told.get("code")
    kind = KINDS.get(status) or status_kind(code if isinstance(code, int) else 500)
    return _told(VendorError(kind, str(told.get("message") or status), status=200), told)


def _told(error: VendorError, told: Json) -> VendorError:
    error.code = str(told.get("status") or told.get("code") or "")
    if error.kind == "bad_request":
        kind, code = next((meant for words, meant in WORDS.items() if words in error.message), (error.kind, ""))
        error.kind, error.code = kind, code or error.code
    for detail in told.get("details") or ():
        if delay := str(detail.get("retryDelay") or "").removesuffix("s"):
            error.retry_after = float(delay)
    return error
