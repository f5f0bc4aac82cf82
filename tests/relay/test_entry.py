"""The door: paths, bodies, forms of errors, what browsers and clients need."""

import gzip
import http.client
import json
import re
import zlib
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from asks import CHAT, PATH, post
from fake_vendor import FakeVendor, chat, stream
from flask.testing import FlaskClient
from sqlalchemy import select

from oneapi.models import log
from oneapi.state import State

RAW = json.dumps(CHAT).encode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/filesystem", 404, None), ("HEAD", "/v1/chat/nothing", 404, None), ("PATCH", PATH, 404, None),
        ("GET", "/v1/files", 501, "api_not_implemented"), ("POST", "/v1/fine_tuning/jobs", 501, "api_not_implemented"),
        ("POST", "/v1/assistants", 501, "api_not_implemented"), ("GET", "/v1/threads/t/runs", 501, "api_not_implemented"),
        ("DELETE", "/v1/models/gpt-4o", 501, "api_not_implemented"),
        ("GET", PATH, 404, None), ("POST", "/v1/chat", 404, None), ("GET", "/v1", 404, None), ("POST", "/v1/models", 404, None),
        ("GET", "/dashboard/billing/nothing", 404, None),
    ],
)  # fmt: skip
def test_paths_that_are_not_served_say_so(
    client: FlaskClient, alice: Any, method: str, path: str, status: int, code: str | None
) -> None:
    answer = client.open(path, method=method, headers=alice.headers)
    without = client.open(path, method=method)
    assert without.status_code == (404 if status == 404 else 401)
    if method == "HEAD":
        assert answer.status_code == status
        return
    error = answer.json["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    if status == 404:
        assert error["message"].startswith(f"Invalid URL ({method} {path})") and error["type"] == "invalid_request_error"
    else:
        assert error["message"].startswith("API not implemented") and error["type"] == "one_api_error"


@pytest.mark.parametrize("status", [401, 404, 400, 501, 503])
def test_every_error_has_openais_shape_and_names_the_request(client: FlaskClient, alice: Any, channel: Any, status: int) -> None:
    channel()
    headers = alice.headers if status != 401 else {}
    path = {404: "/v1/nothing", 501: "/v1/files"}.get(status, PATH)
    body = {400: {"model": "gpt-4o-mini"}, 503: CHAT | {"model": "unknown"}}.get(status, CHAT)
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == status and answer.content_type == "application/json"
    assert answer.json["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json["error"]["message"].endswith(f" (request id: {answer.headers['x-request-id']})")


def test_request_ids_are_unique_and_in_the_known_form(say: Any, channel: Any) -> None:
    channel()
    ids = {say().headers["X-Oneapi-Request-Id"] for _ in range(5)}
    assert len(ids) == 5 and all(re.fullmatch(r"\d{14}\d{1,9}\d{8}", id) for id in ids)


def test_a_model_nobody_serves_is_told_in_both_languages(say: Any, channel: Any) -> None:
    channel()
    zh = say(model="unknown", headers={"Accept-Language": "zh-CN,zh"}).json["error"]["message"]
    en = say(model="unknown").json["error"]["message"]
    assert zh.startswith("当前分组 default 下对于模型 unknown 无可用渠道")
    assert en.startswith("No channel of group default serves unknown on /v1/chat/completions.")


def deep(levels: int) -> bytes:
    """A chat with lists in lists."""
    return RAW[:-1] + b',"tools":' + b"[" * levels + b"]" * levels + b"}"


BAD: list[tuple[str, Any, str]] = [
    (PATH, b"", "The body is not valid JSON: it is empty."), (PATH, b"{", "The body is not valid JSON"),
    (PATH, b"[]", "The body must be a JSON object."), (PATH, b"null", "The body must be a JSON object."),
    (PATH, b'{"model":"gpt-4o-mini","messages":' + b"[" * 3000 + b"]" * 3000 + b"}", "The body is not valid JSON"),
    (PATH, deep(300), "The request is nested too deeply."), (PATH, deep(1000), "The request is nested too deeply."),
    (PATH, CHAT | {"stream": "false"}, "stream must be true or false"), (PATH, CHAT | {"stream": 1}, "stream must be true or"),
    (PATH, CHAT | {"stream": True, "stream_options": "x"}, "stream_options must be an object"),
    (PATH, {"messages": []}, "model is required"), (PATH, {"model": 5, "messages": []}, "model is required"),
    (PATH, {"model": "gpt-4o-mini"}, "field messages is required"),
    (PATH, {"model": "m", "messages": []}, "field messages is required"),
    (PATH, {"model": "m", "messages": "hi"}, "messages must be a list"),
    (PATH, {"model": "m", "messages": {"a": 1}}, "messages must be a list"),
    (PATH, CHAT | {"max_tokens": -1}, "max_tokens is invalid"), (PATH, CHAT | {"max_tokens": 2**31}, "max_tokens is invalid"),
    (PATH, CHAT | {"max_tokens": "9"}, "max_tokens is invalid"),
    (PATH, CHAT | {"max_completion_tokens": True}, "max_completion_tokens is invalid"),
    ("/v1/completions", {"model": "m", "prompt": ""}, "field prompt is required"),
    ("/v1/embeddings", {"model": "m"}, "field input is required"), ("/v1/moderations", {"input": ""}, "field input is required"),
    ("/v1/edits", {"model": "m"}, "field instruction is required"),
    ("/v1/images/generations", {"model": "m"}, "field prompt is required"),
    ("/v1/audio/speech", {"model": "m", "input": "x" * 4097}, "input is too long (over 4096 characters)"),
    ("/v1/rerank", {"model": "m", "query": "q"}, "field documents is required"),
    ("/v1/images/generations", {"model": "dall-e-3", "prompt": "x", "size": "2x2"}, "size not supported for this image model"),
    ("/v1/images/generations", {"model": "dall-e-3", "prompt": "x", "n": 2}, "invalid value of n: dall-e-3 draws 1 to 1 images"),
    ("/v1/images/generations", {"prompt": "好" * 1001}, "prompt is too long: dall-e-2 takes 1000 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "text"), BAD, ids=range(len(BAD)))
def test_what_no_vendor_would_take_is_refused_with_the_reason(
    client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any, path: str, body: Any, text: str
) -> None:
    channel(models="gpt-4o-mini,dall-e-2,dall-e-3")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, headers=alice.headers, data=data)
    assert answer.status_code == 400 and answer.json["error"]["message"].startswith(text)
    assert vendor.asked == []


def test_4096_characters_of_any_script_can_be_spoken(client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(models="tts-1")
    vendor.says(b"ID3", content_type="audio/mpeg")
    body = {"model": "tts-1", "input": "好" * 4096, "voice": "alloy"}
    assert client.post("/v1/audio/speech", json=body, headers=alice.headers).status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"])
def test_json_is_read_whatever_it_is_called(client: FlaskClient, alice: Any, channel: Any, kind: str) -> None:
    channel()
    assert client.post(PATH, data=RAW, headers=alice.headers, content_type=kind).status_code == 200


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress(RAW)), ("deflate", zlib.compress(RAW)), ("identity", RAW)])
def test_compressed_bodies_are_read(
    client: FlaskClient, alice: Any, channel: Any, vendor: FakeVendor, coding: str, packed: bytes
) -> None:
    channel()
    assert client.post(PATH, data=packed, headers=alice.headers | {"Content-Encoding": coding}).status_code == 200
    assert vendor.asked[0].json["messages"] == CHAT["messages"]


@pytest.mark.parametrize(
    ("coding", "packed", "status"), [("br", RAW, 415), ("gzip", RAW, 400), ("gzip", gzip.compress(RAW)[:-12], 400)]
)
def test_bodies_that_cannot_be_unpacked_are_refused(
    client: FlaskClient, alice: Any, channel: Any, coding: str, packed: bytes, status: int
) -> None:
    channel()
    assert client.post(PATH, data=packed, headers=alice.headers | {"Content-Encoding": coding}).status_code == status


class TestLimits:
    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str]) -> dict[str, str]:
        return settings_of_environment | {"MAX_BODY_MB": "1"}

    def test_a_body_that_is_too_large_is_refused(self, client: FlaskClient, alice: Any, channel: Any) -> None:
        channel()
        answer = client.post(PATH, data=b" " * 2**20 + RAW, headers=alice.headers)
        assert (answer.status_code, answer.json["error"]["code"]) == (413, "request_too_large")

    def test_a_body_that_grows_when_unpacked_is_refused(self, client: FlaskClient, alice: Any, channel: Any) -> None:
        channel()
        bomb = gzip.compress(b" " * 200 * 2**20)
        assert len(bomb) < 2**20
        assert client.post(PATH, data=bomb, headers=alice.headers | {"Content-Encoding": "gzip"}).status_code == 413

    def test_a_body_in_chunks_is_measured_too(self, served: str, alice: Any, channel: Any) -> None:
        channel()
        assert chunked(served, alice, [RAW]) == 200
        assert chunked(served, alice, [b" " * 65536] * 40) in (413, 0)


def chunked(served: str, who: Any, pieces: list[bytes]) -> int:
    place = urlsplit(served)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.request("POST", PATH, iter(pieces), who.headers, encode_chunked=True)
        return connection.getresponse().status
    except BrokenPipeError:
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize("body", [b"--x\r\n", b"nothing", b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm'])
def test_a_form_that_cannot_be_read_is_refused(client: FlaskClient, alice: Any, channel: Any, body: bytes) -> None:
    channel(models="whisper-1")
    answer = client.post("/v1/images/edits", data=body, headers=alice.headers, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 400


MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FORMS: list[tuple[str, bytes, int, str]] = [
    ("multipart/form-data", b"--b--", 400, "The form could not be read"),
    (MULTIPART, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", 400, "A part of the form has no name"),
    (MULTIPART, b"--b\r\nX-Y: z\r\n\r\nx\r\n--b--\r\n", 400, "The form could not be read"),
    (MULTIPART, PART % (b"x", b"y") * 1001 + b"--b--", 413, "The form has more than 1000 parts."),
    ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1002), 413, "The form has more than 1000 parts."),
    (MULTIPART, PART % (b"model", b"") + b"--b--", 400, "field prompt is required"),
    (MULTIPART, PART % (b"prompt", b"x") + PART % (b"model", b"\xff\xfe") + b"--b--", 503, "No channel of"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "status", "text"), FORMS, ids=range(len(FORMS)))
def test_an_odd_form_is_refused_with_the_reason(
    client: FlaskClient, alice: Any, channel: Any, kind: str, body: bytes, status: int, text: str
) -> None:
    channel(models="dall-e-2")
    answer = client.post("/v1/images/edits", data=body, headers=alice.headers, content_type=kind)
    assert answer.status_code == status and answer.json["error"]["message"].startswith(text)


# Of every field that we read ourselves, and every kind of value.
ODD = (None, True, 0, -1, 1.5, 10**30, "x", "\x00", [], [None], [1], [{}], {}, {"a": [1]}, [[1, 2], "x"])
READ = {
    PATH: ("messages", "model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools", "functions"),
    "/v1/completions": ("prompt", "suffix", "stream", "n"), "/v1/embeddings": ("input", "dimensions", "encoding_format"),
    "/v1/moderations": ("input",), "/v1/edits": ("instruction", "input"), "/v1/rerank": ("query", "documents"),
    "/v1/images/generations": ("prompt", "n", "size", "quality", "stream", "response_format"),
    "/v1/images/edits": ("prompt", "n", "size", "image"), "/v1/images/variations": ("n", "image"),
    "/v1/audio/speech": ("input", "voice", "speed"), "/v1/audio/transcriptions": ("file", "response_format", "stream"),
}  # fmt: skip
WHOLE: dict[str, Any] = dict.fromkeys(("prompt", "input", "instruction", "query"), "x") | CHAT | {"documents": ["x"]}


@pytest.mark.parametrize("path", READ)
def test_no_type_of_any_field_makes_us_stumble(
    client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any, books: Any, path: str
) -> None:
    channel(models="gpt-4o-mini,dall-e-2")
    vendor.always({"choices": [{"text": "x", "message": {"content": "x"}}], "data": [], "results": [], "text": "x"})
    for field in READ[path]:
        for value in ODD:
            body = WHOLE | {"model": "dall-e-2" if "images" in path else "gpt-4o-mini", field: value}
            answer = client.post(path, json=body, headers=alice.headers)
            fine = answer.status_code == 200 or 400 <= answer.status_code < 500 or "No channel" in answer.text
            spoken = path.endswith("speech") and answer.status_code == 502  # the fake's document is no sound
            assert fine or spoken, (field, value, answer.text)
            assert answer.status_code == 200 or answer.json["error"]["type"], (field, value)


BOTH = ("/v1/models/", "/v1/models/gpt-4o-mini/", "/dashboard/billing/usage/", "/v1/dashboard/billing/usage/")


@pytest.mark.parametrize("path", BOTH)
def test_what_is_read_is_found_with_a_slash_at_its_end_too(client: FlaskClient, alice: Any, channel: Any, path: str) -> None:
    channel()
    answers = [client.get(way, headers=alice.headers) for way in (path, path.rstrip("/"))]
    assert [answer.status_code for answer in answers] == [200, 200] and answers[0].json == answers[1].json
    assert client.post(f"{PATH}/", json=CHAT, headers=alice.headers).status_code == 200


def test_a_head_request_gets_the_head_alone(served: str, alice: Any, channel: Any) -> None:
    channel()
    place = urlsplit(served)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    for path, status in (("/v1/models", 200), (PATH, 404)):
        connection.request("HEAD", path, headers=alice.headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"") and int(answer.headers["Content-Length"]) > 0
    connection.close()


# -- browsers ---------------------------------------------------------------------------------------------------------


def test_browsers_of_other_sites_may_ask(client: FlaskClient, alice: Any, channel: Any) -> None:
    channel()
    asked = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    before = client.options(PATH, headers=asked)
    assert before.status_code == 204 and before.headers["Access-Control-Allow-Origin"] == "*"
    assert (
        "POST" in before.headers["Access-Control-Allow-Methods"]
        and "Authorization" in before.headers["Access-Control-Allow-Headers"]
    )
    answer = client.post(PATH, json=CHAT, headers=alice.headers | {"Origin": "https://chat.example"})
    refused = client.post(PATH, json=CHAT, headers={"Origin": "https://chat.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == refused.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Expose-Headers"] == "*" and "Access-Control-Allow-Credentials" not in answer.headers


# -- the proxy route --------------------------------------------------------------------------------------------------


def test_an_administrator_reaches_a_proxy_channels_vendor(
    client: FlaskClient, admin: Any, vendor: FakeVendor, channel: Any, state: State
) -> None:
    made = channel(type=43, models="", key="Token raw-key")
    vendor.says(b"made", status=201, content_type="text/x", headers={"X-Their": "1", "Set-Cookie": "a=b"})
    headers = admin.headers | {"X-Mine": "2", "Cookie": "session=secret"}
    answer = client.put(f"/v1/oneapi/proxy/{made}/some/where?a=1&b=2", data=b"raw", headers=headers, content_type="text/y")
    assert (answer.status_code, answer.data, answer.content_type, answer.headers["X-Their"]) == (201, b"made", "text/x", "1")
    assert "Set-Cookie" not in answer.headers
    asked = vendor.asked[0]
    assert (asked.method, asked.path, asked.query, asked.body) == ("PUT", "/some/where", "a=1&b=2", b"raw")
    assert asked.headers["authorization"] == "Token raw-key" and asked.headers["x-mine"] == "2"
    assert "cookie" not in asked.headers and admin.key not in str(asked.headers)
    with state.databases.logs() as session:
        rows = session.scalars(select(log.Log).where(log.Log.channel_id == made)).all()
    assert [row.content for row in rows] == ["proxy: PUT /some/where 201"]


def test_a_proxied_path_arrives_in_its_own_script(client: FlaskClient, admin: Any, vendor: FakeVendor, channel: Any) -> None:
    made = channel(type=43, models="", key="raw-key")
    client.get(f"/v1/oneapi/proxy/{made}/%E6%96%87%E4%BB%B6/%2541/?q=%E6%96%87", headers=admin.headers)
    assert vendor.asked[0].path.encode("latin-1").decode() == "/文件/%41/" and vendor.asked[0].query == "q=%E6%96%87"


def test_a_stream_is_proxied_as_it_comes(client: FlaskClient, admin: Any, vendor: FakeVendor, channel: Any) -> None:
    made = channel(type=43, models="", key="raw-key")
    vendor.says(stream("one two"), pause=0.01)
    got = client.post(f"/v1/oneapi/proxy/{made}/chat", data=b"{}", headers=admin.headers)
    assert got.content_type == "text/event-stream" and got.data == b"".join(stream("one two"))


def test_a_proxied_vendor_that_is_away_is_told_without_its_name(client: FlaskClient, admin: Any, channel: Any) -> None:
    made = channel(type=43, models="", key="raw-key", base_url="http://127.0.0.1:1")
    got = client.get(f"/v1/oneapi/proxy/{made}/x", headers=admin.headers)
    assert (got.status_code, got.json["error"]["code"]) == (502, "vendor_unreachable") and "127.0.0.1" not in got.text


@pytest.mark.parametrize(
    "target",
    [
        "../admin", "a/../../admin", "%2e%2e/admin", "a/%2E%2E%2Fadmin", "..%5cadmin", "a/./b", "..;/admin", "%252e%252e/admin",
        "..",
    ],
)  # fmt: skip
def test_the_proxy_route_does_not_leave_the_address_of_its_channel(
    client: FlaskClient, admin: Any, vendor: FakeVendor, channel: Any, target: str
) -> None:
    made = channel(type=43, models="", key="Token raw-key", base_url=f"{vendor.url}/inside")
    path = f"/v1/oneapi/proxy/{made}/{target}"
    environ = {"PATH_INFO": unquote(path), "RAW_URI": path}
    refused = client.get("/v1/oneapi/proxy", headers=admin.headers, environ_overrides=environ)
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "invalid_path")
    assert vendor.asked == []
    for fine in ("v1.2/models", "...", "a/..b/.hidden"):
        vendor.says(b"fine")
        assert client.get(f"/v1/oneapi/proxy/{made}/{fine}", headers=admin.headers).status_code == 200


def test_the_proxy_route_is_for_administrators_and_proxy_channels(
    client: FlaskClient, alice: Any, admin: Any, vendor: FakeVendor, channel: Any
) -> None:
    ordinary, off = channel(), channel(type=43, status=2)
    statuses = [
        client.get(f"/v1/oneapi/proxy/{id}/x", headers=who.headers).status_code
        for who, id in ((alice, ordinary), (admin, ordinary), (admin, off), (admin, 999), (admin, "x"))
    ]
    assert statuses == [403, 400, 403, 400, 400] and vendor.asked == []


# -- nothing is left of an answer -------------------------------------------------------------------------------------


def test_a_connection_serves_many_requests_of_every_kind(served: str, alice: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    place = urlsplit(served)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    vendor.always(chat("x" * 100_000))
    for body in (RAW, b"{", RAW, b" " * 3_000_000 + RAW, RAW):
        connection.request("POST", PATH, body, alice.headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 400)
    connection.close()
    assert post(served, alice.key).status == 200


def test_the_lines_of_a_request_carry_its_id(client: Any) -> None:
    from oneapi import logs

    answer = client.get("/v1/models")
    assert logs.request_id.get() == answer.headers["X-Oneapi-Request-Id"]
    answer = client.get("/api/status")
    assert logs.request_id.get() == answer.headers["X-Oneapi-Request-Id"]
