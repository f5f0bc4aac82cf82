"""Client headers: which travel to which provider, and whose an idempotency key is."""

from collections.abc import Callable
from typing import Any

import pytest
from asks import CHAT, PATH
from fake_vendor import FakeVendor
from flask.testing import FlaskClient

from oneapi import vendors
from oneapi.fields import Invalid
from oneapi.settings import stored_text
from oneapi.vendors import betas, client_headers

KEY = {"Idempotency-Key": "order-7"}
BETAS = "context-1m-2025-08-07,files-api-2025-04-14, interleaved-thinking-2025-05-14,unheard-of"
SENT = {
    "OpenAI-Beta": "assistants=v2", "anthropic-beta": BETAS, "anthropic-version": "2023-06-01", "X-Goog-User-Project": "theirs",
    "x-goog-request-params": "a=b", "OpenAI-Organization": "org", "X-Trace-Id": "t-1", "X-Stainless-Lang": "python",
}  # fmt: skip
ANSWER = {
    "type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
    "model": "claude-sonnet-4-5", "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


def passed(vendor: FakeVendor, number: int = -1) -> dict[str, str]:
    """Those of the sent headers that the provider got."""
    return {
        name.lower(): vendor.asked[number].headers[name.lower()] for name in SENT if name.lower() in vendor.asked[number].headers
    }


# ---- idempotency keys


def test_the_key_of_one_user_is_never_that_of_another(say: Any, alice: Any, bob: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    for who in (alice, alice, bob):
        assert say(who=who, headers=KEY).status_code == 200
    say(headers={"Idempotency-Key": "order-8"})
    first, again, other, next_ = (asked.headers["idempotency-key"] for asked in vendor.asked)
    assert first == again and len({first, other, next_, "order-7", "order-8"}) == 5
    assert len(first) == 64  # providers take at most 255 characters


def test_another_channel_gets_the_same_key(say: Any, vendor: FakeVendor, channel: Any, setting: Any) -> None:
    setting(RetryTimes=1)
    channel(), channel()
    vendor.says(500)
    assert say(headers=KEY).status_code == 200
    assert len({asked.headers["idempotency-key"] for asked in vendor.asked}) == 1 and len(vendor.asked) == 2


def test_without_a_key_none_is_sent(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    assert say(headers={"Idempotency-Key": ""}).status_code == 200
    assert "idempotency-key" not in vendor.asked[0].headers


def test_the_proxy_route_makes_the_key_of_its_user_too(
    client: FlaskClient, say: Any, admin: Any, vendor: FakeVendor, channel: Any
) -> None:
    channel()
    made = channel(type=43, models="", key="raw")
    client.get(f"/v1/oneapi/proxy/{made}/x", headers=admin.headers | KEY)
    say(who=admin, headers=KEY)
    proxied, relayed = (asked.headers["idempotency-key"] for asked in vendor.asked)
    assert proxied == relayed != "order-7"


# ---- the others


def test_a_provider_gets_only_the_headers_of_its_row(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(type=1)
    say(headers=SENT)
    assert passed(vendor) == {"openai-beta": "assistants=v2"}


def test_a_provider_that_lists_none_gets_none(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(type=7)
    say(headers=SENT)
    assert passed(vendor) == {} and vendor.asked[0].headers["accept"]


def test_betas_are_taken_one_by_one(client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(type=14, models="claude-sonnet-4-5")
    vendor.says(ANSWER)
    assert client.post(PATH, json=CHAT | {"model": "claude-sonnet-4-5"}, headers=alice.headers | SENT).status_code == 200
    kept = "context-1m-2025-08-07, interleaved-thinking-2025-05-14"
    assert passed(vendor) == {"anthropic-beta": kept, "anthropic-version": "2023-06-01"}


def test_a_setting_lets_more_travel(
    client: FlaskClient, say: Any, alice: Any, vendor: FakeVendor, channel: Any, setting: Callable[..., None]
) -> None:
    setting(ClientHeaders="X-Trace-Id, anthropic-beta=files-api")
    channel(type=7), channel(type=14, models="claude-sonnet-4-5")
    say(headers=SENT)
    assert passed(vendor) == {"x-trace-id": "t-1"}  # a value travels only where the row takes the header
    vendor.says(ANSWER)
    client.post(PATH, json=CHAT | {"model": "claude-sonnet-4-5"}, headers=alice.headers | SENT)
    found = passed(vendor)
    assert found["x-trace-id"] == "t-1" and "files-api-2025-04-14" in found["anthropic-beta"] and "unheard" not in str(found)


@pytest.mark.parametrize(
    "header", ["Authorization", "x-goog-api-key", "cookie", "X-Forwarded-For", "idempotency-key", "a b:c", "x=\x7f"]
)
def test_the_setting_refuses_credentials_and_what_is_no_header(header: str) -> None:
    with pytest.raises(Invalid):
        stored_text("ClientHeaders", f"x-trace-id, {header}")


def test_where_a_model_runs_decides_which_betas_travel() -> None:
    found = {
        slug: client_headers.travelling(vendors.by_slug(slug), {"anthropic-beta": "effort-2025-11-24, fast-mode-2026-02-01"}, {})
        for slug in ("anthropic", "bedrock", "vertex", "openai")
    }
    assert found == {"anthropic": {"anthropic-beta": "effort-2025-11-24"}, "bedrock": {"anthropic-beta": "effort-2025-11-24"}} | {
        "vertex": {}, "openai": {}
    }  # fmt: skip
    assert set(betas.BEDROCK) <= set(betas.ANTHROPIC) and set(betas.VERTEX) <= set(betas.ANTHROPIC)
