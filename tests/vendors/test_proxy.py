"""Proxy channels pass requests on with the channel's key in the place of everything that is the caller's own."""

from typing import Any

import pytest

from oneapi import vendors
from oneapi.fields import Invalid
from oneapi.wire import Call, Request

ROW = vendors.by_slug("proxy")


def asked(path: str = "/v1/things", query: str = "", config: Any = None, **headers: str) -> Request:
    call = Call(
        "proxy", {"method": "PUT", "data": b"\x00raw"}, "", "https://up.example", "Token abc", False, config or {}, path, query,
        {name.replace("_", "-"): value for name, value in headers.items()}, vendor=ROW,
    )  # fmt: skip
    return ROW.sign(ROW.protocols["proxy"].build(call), call)


def test_a_request_travels_whole_with_the_channels_key() -> None:
    request = asked(query="x=1&y=%20", authorization="Bearer sk-caller", x_trace="a")
    assert (request.method, request.url, request.body) == ("PUT", "https://up.example/v1/things?x=1&y=%20", b"\x00raw")
    assert request.headers == {"x-trace": "a", "Authorization": "Token abc"}


def test_nothing_of_the_callers_connection_or_keys_travels() -> None:
    request = asked(
        host="gateway", cookie="session=1", x_api_key="sk-caller", x_goog_api_key="k", connection="close, X-Hop", x_hop="1",
        te="trailers", content_length="4", accept_encoding="br", x_forwarded_for="10.0.0.1",
        transfer_encoding="chunked", accept="text/plain",
    )  # fmt: skip
    assert request.headers == {"accept": "text/plain", "Authorization": "Token abc"}


def test_the_key_goes_into_the_header_the_channel_names() -> None:
    assert asked(config={"header": "x-api-key: {key}"}).headers == {"x-api-key": "Token abc"}
    assert asked(config={"header": "Authorization: Bearer {key}"}).headers == {"Authorization": "Bearer Token abc"}


@pytest.mark.parametrize(
    ("path", "url"), [("/a b/ü", "/a%20b/%C3%BC"), ("//evil.example/x", "/evil.example/x"), ("/a?b#c", "/a%3Fb%23c")]
)
def test_a_path_stays_a_path(path: str, url: str) -> None:
    assert asked(path).url == "https://up.example" + url


@pytest.mark.parametrize("wrong", ["{key}", "X-Key: secret", ": {key}", "X-Key: {key}\r\nHost: evil"])
def test_a_template_without_a_header_or_a_key_is_refused(wrong: str) -> None:
    field = next(field for field in ROW.fields if field.name == "header")
    with pytest.raises(Invalid, match="give a header with the key in it"):
        field.parse(wrong)
