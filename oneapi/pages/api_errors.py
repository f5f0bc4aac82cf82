"""Errors of paths that only programs use: JSON in the dialect of the path, where people get a page."""

import json
from typing import Any

from flask import Response, request

from oneapi.dialects import openai

KEY_HEADERS = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")
PREFIXES = ("/api/", "/v1/", "/v1beta/", "/mcp/", "/openai/", "/anthropic/")
# Google's names of statuses: https://cloud.google.com/apis/design/errors
GOOGLE = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
# https://platform.claude.com/docs/en/api/errors
MESSAGES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
            413: "request_too_large", 429: "rate_limit_error"}  # fmt: skip


def wanted() -> bool:
    """Return whether a program sent this request: by its path, an API key, or JSON as the only answer that it accepts."""
    if f"{request.path}/".startswith(PREFIXES) or any(name in request.headers for name in KEY_HEADERS):
        return True
    accepted = request.headers.get("Accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def answer(status: int, said: str) -> Response:
    """Return an error as the path's clients read it; `said` is a sentence, empty where there is none to show."""
    text = said or (f"Invalid URL ({request.method} {request.path})" if status == 404 else f"The request failed with {status}.")
    return Response(json.dumps(_body(status, text), ensure_ascii=False), status, content_type="application/json; charset=utf-8")


def _body(status: int, text: str) -> dict[str, Any]:
    path = f"{request.path}/"
    if path.startswith("/api/"):
        return {"success": False, "message": text}
    if path.startswith("/mcp/"):
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32601 if status == 404 else -32600, "message": text}}
    if path.startswith("/anthropic/") or "Anthropic-Version" in request.headers:
        return {"type": "error", "error": {"type": MESSAGES.get(status, "api_error"), "message": text}}
    if path.startswith("/v1beta/") and not path.startswith("/v1beta/openai/") or "X-Goog-Api-Key" in request.headers:
        return {"error": {"code": status, "message": text, "status": GOOGLE.get(status, "INTERNAL")}}
    return openai.error(text, openai.error_type(status), "", "")
