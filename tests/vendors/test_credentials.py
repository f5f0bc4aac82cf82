"""Signatures against published vectors, and keys that are exchanged for tokens."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from oneapi import vendors
from oneapi.vendors import tc3, xunfei, zhipu
from oneapi.vendors.contract import Exchange
from oneapi.wire import Call, Reply, Request, VendorError


def test_tencent_is_signed_as_its_vector_says() -> None:
    """Checked against the vendor's own signer."""
    body = {"Model": "hunyuan-lite", "Messages": [{"Role": "user", "Content": "hi"}], "Stream": False}
    request = Request("https://hunyuan.tencentcloudapi.com/", body, {"X-TC-Action": "ChatCompletions"})
    found = tc3.signed(request, "AKIDexample0001", "secretexample0001", "hunyuan", 1700000000)
    assert found.body == json.dumps(body, separators=(",", ":")).encode()
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["Authorization"] == (
        "TC3-HMAC-SHA256 Credential=AKIDexample0001/2023-11-14/hunyuan/tc3_request, SignedHeaders=content-type;host;x-tc-action, "
        "Signature=c0c8294532395cd3ba50150c5bfaa04c745b634b93f5fc24cecacae023c1c585"
    )


def test_zhipu_is_signed_as_its_vector_says() -> None:
    assert zhipu.token("exampleid0001.examplesecret0001", 1700000000) == (
        "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04iLCJ0eXAiOiJKV1QifQ."
        "eyJhcGlfa2V5IjoiZXhhbXBsZWlkMDAwMSIsImV4cCI6MTcwMDA4NjQwMDAwMCwidGltZXN0YW1wIjoxNzAwMDAwMDAwMDAwfQ."
        "Jubb5ogjd6IxetGaog9SeRNeITc-Hrfbh_C1JWAGSEg"
    )


def test_spark_is_signed_as_its_vector_says() -> None:
    url, date = "wss://spark-api.xf-yun.com/v3.5/chat", "Fri, 05 May 2023 10:43:39 GMT"
    found = xunfei.credentials(url, "exampleapikey", "exampleapisecret", date)
    assert urlencode(found) == (
        "authorization=YXBpX2tleT0iZXhhbXBsZWFwaWtleSIsIGFsZ29yaXRobT0iaG1hYy1zaGEyNTYiLCBoZWFkZXJzPSJob3N0IGRhdGUgcmVxdWVzdC1saW5l"
        "Iiwgc2lnbmF0dXJlPSJQb29HTVBzbDRpQVpXeFpwZm05aTZpZzBlWmF4UEpSbWJTdndsb3VabkMwPSI%3D"
        "&date=Fri%2C+05+May+2023+10%3A43%3A39+GMT&host=spark-api.xf-yun.com"
    )


def baidu(**config: str) -> tuple[Exchange, Call]:
    exchange = vendors.by_slug("baidu").exchange
    assert exchange
    return exchange, Call("chat", {}, "ERNIE-4.0-8K", "https://proxy.example", "AK1|SK1", config=config, now=1700000000)


def test_baidu_is_asked_for_a_token_where_the_channel_points() -> None:
    exchange, call = baidu(ak="AK1", sk="S&K 1")
    request = exchange.build(call)
    query = "grant_type=client_credentials&client_id=AK1&client_secret=S%26K+1"
    assert (request.method, request.url) == ("POST", f"https://proxy.example/oauth/2.0/token?{query}")


def test_baidus_token_comes_with_its_lifetime() -> None:
    exchange, call = baidu()
    assert exchange.parse(Reply(200, {}, b'{"access_token":"24.tok","expires_in":2592000}'), call) == ("24.tok", 2592000)


# Status, body, kind of failure.
REFUSALS: list[tuple[int, Any, str]] = [
    (401, {"error": "invalid_client", "error_description": "unknown client id"}, "auth"),
    (200, {"error": "invalid_client", "error_description": "Client authentication failed"}, "auth"),
    (502, "<html>", "server"),
    (200, [], "server"),
    (200, {"access_token": "24.tok", "expires_in": None}, "server"),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
def test_a_refused_token_is_an_error_of_its_kind(status: int, body: Any, kind: str) -> None:
    exchange, call = baidu()
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(VendorError) as found:
        exchange.parse(Reply(status, {}, data), call)
    assert (found.value.kind, found.value.status) == (kind, status)


def test_a_key_of_one_part_is_refused_before_anything_is_sent() -> None:
    exchange, call = baidu(ak="AK1")
    with pytest.raises(VendorError, match=r"APIKey\|SecretKey") as found:
        exchange.build(call)
    assert found.value.kind == "auth"
