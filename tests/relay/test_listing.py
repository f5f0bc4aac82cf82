"""Models and budgets, in the shapes OpenAI's clients read."""

from typing import Any
from urllib.parse import quote

import pytest
from fake_vendor import FakeVendor, chat
from flask.testing import FlaskClient


@pytest.fixture
def channels(channel: Any) -> None:
    channel(models="gpt-4o,my-model,gpt-4o-mini", group="default")
    channel(models="secret-model", group="vip")
    channel(models="gpt-4", status=2)


def names(client: FlaskClient, who: Any) -> list[str]:
    return [model["id"] for model in client.get("/v1/models", headers=who.headers).json["data"]]


@pytest.mark.usefixtures("channels")
def test_a_key_sees_the_models_it_can_use(client: FlaskClient, alice: Any, person: Any) -> None:
    assert names(client, alice) == ["gpt-4o", "gpt-4o-mini", "my-model"]
    assert names(client, person("vera", group="vip")) == ["secret-model"]
    assert names(client, person("eve", models="my-model,gpt-4,secret-model")) == ["my-model"]


@pytest.mark.usefixtures("channels")
def test_models_have_the_shape_that_clients_know(client: FlaskClient, alice: Any) -> None:
    known, custom = (client.get(f"/v1/models/{name}", headers=alice.headers).json for name in ("gpt-4o", "my-model"))
    listed = client.get("/v1/models", headers=alice.headers).json
    assert listed["object"] == "list" and known in listed["data"] and custom in listed["data"]
    assert known.items() >= {"id": "gpt-4o", "object": "model", "owned_by": "openai", "root": "gpt-4o", "parent": None}.items()
    assert known["permission"][0]["object"] == "model_permission"
    assert (custom["owned_by"], custom["permission"]) == ("custom", None)


@pytest.mark.usefixtures("channels")
@pytest.mark.parametrize("name", ["通义千问", "openai/gpt-4o", "my model@v2:latest", "a+b&c=d"])
def test_a_model_of_any_name_is_found(client: FlaskClient, alice: Any, channel: Any, name: str) -> None:
    channel(models=f"gpt-4o,{name}")
    found = client.get(f"/v1/models/{quote(name, safe='')}", headers=alice.headers)
    assert found.status_code == 200 and found.json["id"] == name and found.json["owned_by"]


@pytest.mark.parametrize("model", ["nothing", "secret-model", "gpt-4"])
def test_a_model_that_cannot_be_used_does_not_exist(client: FlaskClient, alice: Any, model: str) -> None:
    answer = client.get(f"/v1/models/{model}", headers=alice.headers)
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/dashboard/billing/usage", "/dashboard/billing/subscription"])
def test_nothing_is_told_without_a_key(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("of_token", "currency", "total", "used"),
    [(True, True, 2.0, 0.015), (True, False, 1_000_000, 7_500), (False, True, 20.0, 0.015), (False, False, 10_000_000, 7_500)],
)
def test_the_budget_is_the_tokens_or_its_owners_in_money_or_quota(
    client: FlaskClient, person: Any, vendor: FakeVendor, say: Any, channel: Any, setting: Any, logged: Any,
    prefix: str, of_token: bool, currency: bool, total: float, used: float,
) -> None:  # fmt: skip
    channel()
    setting(DisplayTokenStatEnabled=of_token, DisplayInCurrencyEnabled=currency)
    frank = person("frank", quota=10_000_000, remain=1_000_000, expired_time=2_000_000_000)
    vendor.says(chat("Hi", 100_000, 0))
    say(who=frank)
    logged()
    shown = client.get(f"{prefix}/dashboard/billing/subscription", headers=frank.headers).json
    spent = client.get(f"{prefix}/dashboard/billing/usage?start_date=2020-01-01", headers=frank.headers).json
    assert shown["object"] == "billing_subscription" and shown["has_payment_method"] is True
    assert shown["hard_limit_usd"] == shown["soft_limit_usd"] == shown["system_hard_limit_usd"] == pytest.approx(total)
    assert shown["access_until"] == (2_000_000_000 if of_token else 0)
    assert spent == {"object": "list", "total_usage": pytest.approx(used * 100)}


def test_an_unlimited_token_has_a_round_number(client: FlaskClient, alice: Any) -> None:
    assert client.get("/v1/dashboard/billing/subscription", headers=alice.headers).json["hard_limit_usd"] == 100_000_000
