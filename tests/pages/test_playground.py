"""The playground's page and receipts; what it sends goes through the relay, which has its own tests."""

from typing import Any

from flask.testing import FlaskClient


def test_it_offers_the_models_and_keys_one_can_use(client: FlaskClient, channel: Any, alice: Any, bob: Any) -> None:
    channel(models="gpt-4o-mini")
    channel(models="secret-model", group="vip")
    said = client.get("/playground", headers={"Authorization": alice.token}).get_data(as_text=True)
    assert "gpt-4o-mini" in said and "alice&#39;s" in said
    assert "secret-model" not in said and "bob&#39;s" not in said


def test_it_never_carries_a_key(client: FlaskClient, channel: Any, alice: Any) -> None:
    channel()
    assert alice.key not in client.get("/playground", headers={"Authorization": alice.token}).get_data(as_text=True)


def test_a_receipt_says_what_a_request_of_ones_own_cost(
    client: FlaskClient, channel: Any, logged: Any, alice: Any, bob: Any
) -> None:
    channel()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    id = client.post("/v1/chat/completions", json=body, headers=alice.headers, buffered=True).headers["X-Oneapi-Request-Id"]
    assert len(logged()) == 1
    mine = client.get(f"/playground/receipt/{id}", headers={"Authorization": alice.token})
    assert mine.status_code == 200 and "Log entry" in mine.get_data(as_text=True)
    assert client.get(f"/playground/receipt/{id}", headers={"Authorization": bob.token}).status_code == 404


def test_it_speaks_chinese(client: FlaskClient, channel: Any, alice: Any) -> None:
    channel()
    client.set_cookie("lang", "zh_CN")
    assert "操练场" in client.get("/playground", headers={"Authorization": alice.token}).get_data(as_text=True)


def test_it_offers_only_models_one_can_talk_to(client: FlaskClient, channel: Any, alice: Any) -> None:
    channel(models="gpt-4o-mini,text-embedding-3-small,whisper-1,dall-e-3")
    said = client.get("/playground", headers={"Authorization": alice.token}).get_data(as_text=True)
    assert '<option value="gpt-4o-mini"' in said
    assert "text-embedding-3-small" not in said and "whisper-1" not in said and "dall-e-3" not in said
