"""OpenAI's dialect as clients speak it: the shape of errors and of streams."""

import json
from typing import Any


def error(message: str, type: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """https://platform.openai.com/docs/guides/error-codes: what openai-python and openai-node turn into exceptions."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"

# What clients match on: OpenAI's own type for each status.
ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error",
    413: "invalid_request_error", 429: "rate_limit_error", 499: "client_error", 501: "one_api_error",
}  # fmt: skip


def error_type(status: int) -> str:
    return ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
