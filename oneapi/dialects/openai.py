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


def as_chunks(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a chat.completion as the chunks of a stream, without usage."""
    head = {
        "id": answer.get("id"),
        "object": "chat.completion.chunk",
        "created": answer.get("created"),
        "model": answer.get("model"),
    }
    chunks = []
    for choice in answer.get("choices") or ():
        delta = {k: v for k, v in (choice.get("message") or {}).items() if k != "role" and v not in (None, "")}
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": i, **tool} for i, tool in enumerate(delta["tool_calls"])]
        index, reason = choice.get("index", 0), choice.get("finish_reason") or "stop"
        for said, marks in (({"role": "assistant", "content": ""}, None), (delta, choice.get("logprobs"))):
            told = {"index": index, "delta": said, "finish_reason": None}
            chunks.append(head | {"choices": [told | {"logprobs": marks} if marks else told]})
        chunks.append(head | {"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})
    return chunks


# What clients match on: OpenAI's own type for each status.
ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error",
    413: "invalid_request_error", 429: "rate_limit_error", 499: "client_error", 501: "one_api_error",
}  # fmt: skip


def error_type(status: int) -> str:
    return ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
