"""Models without a price: free and flagged on self-hosted channels, refused with 400 on others; a set price always wins."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_vendor import FakeVendor, chat

HI = {"role": "assistant", "content": "Hi"}
OLLAMA = {"model": "llama3", "message": HI, "done": True, "prompt_eval_count": 9, "eval_count": 4}

Say = Callable[..., Any]


def reply(vendor: FakeVendor, type: int) -> None:
    vendor.says(OLLAMA if type == 30 else chat("Hi", 9, 4))


@pytest.mark.parametrize("type", [8, 22, 30, 50])
@pytest.mark.parametrize("policy", ["refuse", "30"])
def test_models_without_a_price_are_free_on_self_hosted_channels(
    type: int, policy: str, say: Say, channel: Any, vendor: FakeVendor, logged: Any, setting: Any
) -> None:
    setting(UnknownModelPolicy=policy)
    channel(type=type, models="llama3", config='{"protocol": "native"}')
    reply(vendor, type)
    assert say(model="llama3").status_code == 200
    (row,) = logged()
    assert row.quota == 0 and json.loads(row.detail)["unpriced"] is True
    assert (row.prompt_tokens, row.completion_tokens) == (9, 4)


@pytest.mark.parametrize("type", [8, 22, 30, 50])
@pytest.mark.parametrize("options", [{"ModelRatio": {"llama3": 2}}, {"CallPrice": {"llama3": 0.002}}])
def test_a_set_price_always_wins(
    type: int, options: dict[str, Any], say: Say, channel: Any, vendor: FakeVendor, logged: Any, setting: Any
) -> None:
    setting(**options)
    channel(type=type, models="llama3", config='{"protocol": "native"}')
    reply(vendor, type)
    assert say(model="llama3").status_code == 200
    (row,) = logged()
    assert row.quota == (26 if "ModelRatio" in options else 1000) and "unpriced" not in json.loads(row.detail)


def test_a_providers_price_does_not_apply_to_ollama(say: Say, channel: Any, vendor: FakeVendor, logged: Any) -> None:
    channel(type=30, models="deepseek-r1", config='{"protocol": "native"}')
    reply(vendor, 30)
    assert say(model="deepseek-r1").status_code == 200
    assert [(row.quota, json.loads(row.detail)["unpriced"]) for row in logged()] == [(0, True)]


@pytest.mark.parametrize("type", [8, 50])
def test_known_models_keep_their_price_behind_a_private_address(type: int, say: Say, channel: Any, logged: Any) -> None:
    channel(type=type, models="gpt-4o-mini")
    assert say().status_code == 200
    assert logged()[0].quota > 0 and "unpriced" not in json.loads(logged()[0].detail)


@pytest.mark.parametrize(
    ("address", "free"),
    [
        ("http://192.168.1.7:8000/v1", True), ("http://[fd00::1]:8000", True), ("http://localhost:1234/v1", True),
        ("http://vllm:8000/v1", True), ("http://host.docker.internal:8000", True), ("http://100.64.0.9", True),
        ("https://api.example.com/v1", False), ("http://8.8.8.8", False), ("http://[::ffff:8.8.8.8]", False),
        ("http://[bad", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("type", [8, 50])
def test_compatible_servers_are_self_hosted_at_private_addresses(address: str, free: bool, type: int) -> None:
    from oneapi.snapshot import self_hosted

    assert self_hosted(type, address) == ("service" if free else "")
    assert self_hosted(1, address) == "" and self_hosted(30, address) == "models"


@pytest.mark.parametrize("stream", [False, True])
def test_other_models_without_a_price_are_refused_with_400(
    stream: bool, say: Say, channel: Any, vendor: FakeVendor, failed: Any
) -> None:
    channel(models="brand-new")
    answer = say(model="brand-new", stream=stream)
    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "model_price_missing", "model")
    assert error["type"] == "invalid_request_error" and "brand-new" in error["message"] and "Prices" in error["message"]
    chinese = say(model="brand-new", headers={"Accept-Language": "zh-CN"}).json["error"]["message"]
    assert "brand-new" in chinese and "没有价格" in chinese
    assert vendor.asked == [] and json.loads(failed()[0].detail)["code"] == "model_price_missing"


def test_the_setting_30_is_flagged_too(say: Say, channel: Any, setting: Any, logged: Any) -> None:
    setting(UnknownModelPolicy="30")
    channel(models="brand-new")
    assert say(model="brand-new").status_code == 200
    (row,) = logged()
    assert row.quota == 600 and json.loads(row.detail)["unpriced"] is True


def test_a_free_request_needs_no_balance(person: Any, say: Say, channel: Any, vendor: FakeVendor) -> None:
    poor = person("poor", quota=0)
    channel(type=30, models="llama3", config='{"protocol": "native"}')
    reply(vendor, 30)
    assert say(model="llama3", who=poor).status_code == 200
