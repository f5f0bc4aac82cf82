"""Images named by address reach vendors that want bytes, and nothing else does."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fake_vendor import FakeVendor
from flask.testing import FlaskClient

from oneapi.relay import media
from oneapi.state import State
from oneapi.wire import VendorError

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def body(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]}]}


def test_a_private_address_is_never_fetched_for_a_user(state: State, vendor: FakeVendor) -> None:
    with pytest.raises(VendorError) as caught:
        media.inlined(body(f"{vendor.url}/pixel.png"), state)
    assert caught.value.kind == "bad_request"
    assert vendor.asked == []


def test_data_urls_and_plain_texts_pass_untouched(state: State) -> None:
    for asked in (body("data:image/png;base64,AAAA"), {"messages": [{"role": "user", "content": "hi"}]}, {"messages": "odd"}):
        assert media.inlined(asked, state) is asked


def test_a_client_reads_why_its_image_was_not_fetched(
    client: FlaskClient, alice: Any, channel: Callable[..., int], vendor: FakeVendor, balance: Callable[[int], int],
    setting: Callable[..., None],
) -> None:  # fmt: skip
    channel(type=30, key="ollama", models="llava")
    setting(ModelRatio={"llava": 1})
    before = balance(alice.id)
    asked = body(f"{vendor.url}/secret.png") | {"model": "llava"}
    answer = client.post("/v1/chat/completions", json=asked, headers=alice.headers)
    assert answer.status_code == 400
    assert "could not be fetched" in answer.json["error"]["message"]
    assert balance(alice.id) == before
    assert vendor.asked == []
