"""Models and prices as visitors, people and administrators see them."""

from typing import Any

import pytest
from flask.testing import FlaskClient


@pytest.fixture
def served(channel: Any) -> None:
    channel(models="gpt-4o-mini,dall-e-3,whisper-1,nobody-knows", group="default,vip")


def test_a_visitor_sees_what_the_default_group_pays(client: FlaskClient, served: None) -> None:
    said = client.get("/pricing").get_data(as_text=True)
    assert "gpt-4o-mini" in said and "$0.15" in said and "$0.60" in said


@pytest.mark.parametrize(
    ("model", "price"),
    [("dall-e-3", "$0.04 per image"), ("whisper-1", "$0.006 per minute"), ("nobody-knows", "no price yet")],
)
def test_what_is_not_priced_by_tokens_says_so(client: FlaskClient, served: None, model: str, price: str) -> None:
    assert price in client.get(f"/pricing?q={model}").get_data(as_text=True)


def test_a_cheaper_group_sees_its_price_and_the_usual_one(client: FlaskClient, served: None, setting: Any, person: Any) -> None:
    setting(GroupRatio={"default": 1, "vip": 0.5})
    vip = person("vipper", group="vip")
    said = client.get("/pricing?q=gpt-4o-mini", headers={"Authorization": vip.token}).get_data(as_text=True)
    assert "$0.075" in said and "<s" in said


def test_only_administrators_choose_the_group(client: FlaskClient, served: None, setting: Any, alice: Any, admin: Any) -> None:
    setting(GroupRatio={"default": 1, "vip": 2})
    address = "/pricing?group=vip&q=gpt-4o-mini"
    assert "$0.15" in client.get(address, headers={"Authorization": alice.token}).get_data(as_text=True)
    assert "$0.30" in client.get(address, headers={"Authorization": admin.token}).get_data(as_text=True)


def test_a_model_nobody_serves_is_not_found(client: FlaskClient, served: None) -> None:
    assert client.get("/pricing/gpt-4o-mini").status_code == 200
    assert client.get("/pricing/gpt-5").status_code == 404


def test_a_panel_is_answered_to_the_drawer(client: FlaskClient, served: None, alice: Any) -> None:
    headers = {"Authorization": alice.token, "HX-Request": "true"}
    said = client.get("/pricing/gpt-4o-mini", headers=headers).get_data(as_text=True)
    assert "<html" not in said and "Price for a million tokens" in said


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("text-embedding-3-small", "client.embeddings.create"),
        ("whisper-1", "client.audio.transcriptions.create"),
        ("dall-e-3", "client.images.generate"),
        ("gpt-4o-mini", "client.chat.completions.create"),
    ],
)
def test_a_model_is_shown_with_the_call_it_is_for(client: FlaskClient, channel: Any, model: str, said: str) -> None:
    channel(models=model)
    assert said in client.get(f"/pricing/{model}").get_data(as_text=True)


def test_models_are_found_by_maker_and_kind(client: FlaskClient, served: None) -> None:
    assert "gpt-4o-mini" not in client.get("/pricing?kind=images").get_data(as_text=True).partition("<tbody>")[2]
    assert "dall-e-3" in client.get("/pricing?kind=images").get_data(as_text=True)
    said = client.get("/pricing?owner=custom").get_data(as_text=True).partition("<tbody>")[2]
    assert "nobody-knows" in said and "gpt-4o-mini" not in said


def test_a_model_whose_channels_all_rest_says_so(state: Any, client: FlaskClient, served: None) -> None:
    assert "available" in client.get("/pricing?q=gpt-4o-mini").get_data(as_text=True)
    for lane in state.snapshot.lanes.values():
        state.gateway.health.rest(lane, 60)
    assert "resting" in client.get("/pricing?q=gpt-4o-mini").get_data(as_text=True)
