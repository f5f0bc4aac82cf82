"""The playground's page and receipts; what it sends goes through the relay, which has its own tests."""

from typing import Any

from flask.testing import FlaskClient

from oneapi.actions import tokens
from oneapi.models import token


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


def test_the_session_needs_no_key_and_pays_from_the_balance(
    client: FlaskClient, browse: Any, channel: Any, alice: Any, state: Any, balance: Any, logged: Any
) -> None:
    channel()
    browser, before = browse(alice), balance(alice.id)
    key = browser.send("/playground/key").text
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    answer = client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, buffered=True)
    assert answer.status_code == 200 and len(logged()) == 1 and logged()[0].token_name == "playground"
    assert balance(alice.id) < before
    assert "None: this session" in browser.get("/playground").text and key[-4:] not in browser.get("/playground").text


def test_the_key_of_a_session_is_one_that_is_used_again_and_ends(browse: Any, alice: Any, state: Any) -> None:
    browser = browse(alice)
    first = browser.send("/playground/key").text
    assert browser.send("/playground/key").text == first
    with state.databases.transaction() as session:
        row = token.by_key(session, first.removeprefix("sk-"))
        assert 0 < row.expired_time - state.clock() <= 86400
        row.expired_time = int(state.clock()) - 1
    again = browser.send("/playground/key").text
    assert again != first
    with state.databases.transaction() as session:
        assert token.by_key(session, first.removeprefix("sk-")) is None
        assert len([row for row in token.of(session, alice.id) if row.name == "playground"]) == 1


def test_a_key_that_somebody_named_like_it_stays_as_it_is(browse: Any, alice: Any, state: Any) -> None:
    with state.databases.transaction() as session:
        mine = tokens.add(session, alice.id, 0, name="playground", remain_quota=5, unlimited_quota=False, subnet="")
    assert browse(alice).send("/playground/key").text != f"sk-{mine.key}"
    with state.databases.transaction() as session:
        assert token.owned(session, mine.id, alice.id).expired_time == -1


def test_the_key_of_a_session_is_not_for_visitors_or_other_sites(client: FlaskClient, browse: Any, alice: Any) -> None:
    assert client.post("/playground/key").status_code in (303, 400, 401, 403)
    assert browse(alice).client.post("/playground/key").status_code in (400, 403)
    assert browse(alice).get("/playground/key").status_code == 405
