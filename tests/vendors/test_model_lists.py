"""Vendors with their own lists of models: every page is asked for, and names are those that a call takes."""

import json
from typing import Any

import pytest

from oneapi import vendors
from oneapi.vendors.contract import key_fields
from oneapi.wire import Call, Reply, Request

VERTEX = {"region": "us-east5", "vertex_ai_project_id": "p1", "vertex_ai_adc": '{"type":"service_account"}'}
AWS = {"ak": "AKID", "sk": "secret", "region": "us-east-1"}
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000"
PLACES = "https://us-east5-aiplatform.googleapis.com/v1beta1/publishers/google/models?pageSize=200"
# Slug, config, the vendor's pages with the address each is asked at, the names.
LISTS: list[tuple[str, dict[str, str], list[tuple[str, dict[str, Any]]], list[str]]] = [
    ("anthropic", {}, [
        ("https://api.anthropic.com/v1/models?limit=1000", {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}),
        ("https://api.anthropic.com/v1/models?limit=1000&after_id=a", {"data": [{"id": "b"}], "has_more": False, "last_id": "b"}),
    ], ["a", "b"]),
    ("gemini", {}, [
        (GOOGLE, {"models": [{"name": "models/gemini-2.5-flash"}], "nextPageToken": "x/y"}),
        (f"{GOOGLE}&pageToken=x/y", {"models": [{"name": "models/gemini-2.5-pro"}]}),
    ], ["gemini-2.5-flash", "gemini-2.5-pro"]),
    ("vertex", VERTEX, [
        (PLACES, {"publisherModels": [{"name": "publishers/google/models/gemini-2.5-flash"}], "nextPageToken": "n"}),
        (f"{PLACES}&pageToken=n", {}),
    ], ["gemini-2.5-flash"]),
    ("bedrock", AWS, [
        ("https://bedrock.us-east-1.amazonaws.com/foundation-models", {"modelSummaries": [{"modelId": "amazon.nova-pro-v1:0"}]}),
        ("https://bedrock.us-east-1.amazonaws.com/inference-profiles?maxResults=1000",
         {"inferenceProfileSummaries": [{"inferenceProfileId": "us.amazon.nova-pro-v1:0"}], "nextToken": "a/b"}),
        ("https://bedrock.us-east-1.amazonaws.com/inference-profiles?maxResults=1000&nextToken=a%2Fb",
         {"inferenceProfileSummaries": []}),
    ], ["amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0"]),
    ("bedrock-compatible", AWS | {"base": "https://bedrock-mantle.us-east-1.api.aws"}, [
        ("https://bedrock-mantle.us-east-1.api.aws/v1/models", {"object": "list", "data": [{"id": "openai.gpt-oss-20b"}]}),
    ], ["openai.gpt-oss-20b"]),
    ("anthropic-compatible", {}, [
        ("https://api.anthropic.com/v1/models?limit=1000", {"data": [{"id": "a"}], "has_more": False, "last_id": "a"}),
    ], ["a"]),
    ("vertex-compatible", VERTEX, [(PLACES, {"publisherModels": [{"name": "publishers/google/models/gemini-2.5-pro"}]})],
     ["gemini-2.5-pro"]),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "config", "pages", "names"), LISTS, ids=[case[0] for case in LISTS])
def test_a_list_is_read_to_its_end(slug: str, config: dict[str, str], pages: list[Any], names: list[str]) -> None:
    row = next(row for one in vendors.REGISTRY.values() for row in (one, one.compatible) if row and row.slug == slug)
    assert row.model_list
    call = Call("chat", {}, "", config.get("base", row.base_url), "k", config=config, secret="t", vendor=row)
    found: Any = row.model_list.build(call)
    for url, page in pages:
        assert isinstance(found, Request)
        assert (found.method, found.url) == ("GET", url)
        found = row.model_list.parse(Reply(200, {}, json.dumps(page).encode()), call)
    assert found == names


# How a Vertex channel's key may be given, and whether it has to be exchanged for a token.
KEYS = [
    ({}, '{"type":"service_account","project_id":"p"}', True), ({}, f"us-east5|p1|{VERTEX['vertex_ai_adc']}", True),
    (VERTEX, "", True), ({}, "AQ.Express", False), ({}, "us-east5|p1|AIzaKey", False),
    ({"vertex_ai_adc": "AIzaKey", "region": "global"}, "", False),
]  # fmt: skip


@pytest.mark.parametrize(("config", "key", "needed"), KEYS)
def test_only_credentials_are_exchanged_for_a_token(config: dict[str, str], key: str, needed: bool) -> None:
    row = vendors.by_slug("vertex")
    assert row.exchange and row.exchange.needed
    assert row.exchange.needed(Call("chat", {}, "m", "", key, config={**config, **key_fields(row, key, config)})) is needed


# A key, and the header it travels in when Claude is asked at this address for this.
WAYS = [
    ("anthropic", "sk-ant-k", "POST", "x-api-key", "sk-ant-k"),
    ("anthropic", "eyJhbGciOi", "POST", "Authorization", "Bearer eyJhbGciOi"),
    ("anthropic-compatible", "sk-ant-k", "POST", "Authorization", "Bearer sk-ant-k"),
    ("anthropic-compatible", "sk-ant-k", "GET", "x-api-key", "sk-ant-k"),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "key", "method", "name", "value"), WAYS)
def test_claude_is_shown_its_key_where_it_looks(slug: str, key: str, method: str, name: str, value: str) -> None:
    row = next(row for one in vendors.REGISTRY.values() for row in (one, one.compatible) if row and row.slug == slug)
    signed = row.sign(
        Request("https://r1.services.ai.azure.com/anthropic/v1/messages", method=method), Call("chat", {}, "", "", key)
    )
    assert signed.headers == {name: value}
