"""Unknown paths of programs are answered in JSON, in a dialect that fits them; people get a page."""

from typing import Any

import pytest
from flask.testing import FlaskClient

BEARER = {"Authorization": "Bearer sk-x"}
PAGE = {"Accept": "text/html,application/xhtml+xml,application/json;q=0.9"}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1beta/models", {}), ("/v1beta/models/gemini-2.5-pro:generateContent", {"x-goog-api-key": "k"}), ("/v1beta", {}),
        ("/mcp", {}), ("/mcp/", {}), ("/mcp/sse", {}), ("/openai/v1/chat/completions", {}), ("/anthropic/v1/messages", {}),
        ("/v1/unknown", {}), ("/v1", {}), ("/api/unknown", {}), ("/api/unknown/", PAGE), ("/chat/completions", BEARER),
        ("/unknown", {"Accept": "application/json"}), ("/unknown/", {"x-api-key": "k"}), ("/unknown", {"api-key": "k"}),
    ],
)  # fmt: skip
def test_unknown_paths_of_programs_are_answered_in_json(
    client: FlaskClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.open(path, method=method, headers=headers)
    assert answer.status_code == 404 and answer.mimetype == "application/json"
    assert "Set-Cookie" not in answer.headers and "Location" not in answer.headers
    if method != "HEAD":
        assert answer.json


def test_each_dialect_has_its_shape(client: FlaskClient) -> None:
    said: Any = lambda path, **headers: client.post(path, headers={k.replace("_", "-"): v for k, v in headers.items()}).json  # noqa: E731
    google = said("/v1beta/models/x:generateContent")["error"]
    assert (google["code"], google["status"]) == (404, "NOT_FOUND")
    anthropic = said("/anthropic/v1/messages")
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "not_found_error")
    assert said("/unknown", anthropic_version="2023-06-01", x_api_key="k") == {
        "type": "error", "error": {"type": "not_found_error", "message": "Invalid URL (POST /unknown)"},
    }  # fmt: skip
    assert said("/mcp")["jsonrpc"] == "2.0" and said("/mcp")["error"]["code"] == -32601
    assert said("/api/unknown")["error"]["message"] == "Invalid URL (POST /api/unknown)"
    assert said("/openai/v1/models")["error"]["type"] == "invalid_request_error"
    assert said("/v1beta/openai/chat/completions")["error"]["type"] == "invalid_request_error"


def test_people_get_a_page(client: FlaskClient) -> None:
    for headers in ({}, PAGE, {"Accept": "*/*"}):
        answer = client.get("/unknown", headers=headers)
        assert answer.status_code == 404 and answer.mimetype == "text/html"
