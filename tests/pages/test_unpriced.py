"""Models without a price where channels are saved: listed, decided in the form, stored as prices; flagged in the log's pages."""

import csv
import io
import json
from typing import Any

import pytest
from asks import CHAT, PATH
from fake_vendor import FakeVendor

from oneapi.models.channel import Channel

FORM = {"type": "1", "name": "one", "group": "default", "models": "gpt-4o\nbrand-new\nother-new", "key": "sk-one"}


def saved(state: Any, id: int) -> Channel | None:
    with state.databases.transaction() as session:
        return session.get(Channel, id)


def test_saving_lists_the_models_without_a_price_and_stores_what_is_chosen(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    answer = browser.post("/channel/add", **FORM)  # without scripts
    assert (answer.status_code, answer.location) == (303, "/channel/edit/1#unpriced") and saved(state, 1) is not None
    said = browser.get("/channel/edit/1").text
    assert said.count('name="unpriced"') == 2 and "are refused until a choice is saved" in said
    form = FORM | {"key": "", "unpriced": ["brand-new", "other-new"], "unpriced-choice-0": "free", "unpriced-choice-1": "price"}
    answer = browser.post("/channel/edit/1", **form)
    assert answer.status_code == 422 and "Give dollars for a million tokens" in answer.text
    answer = browser.post("/channel/edit/1", **form | {"unpriced-in-1": "3", "unpriced-out-1": "15"})
    assert (answer.status_code, answer.location) == (303, "/channel")
    assert state.settings.model_ratio == {"brand-new": 0, "other-new": 1.5}
    assert state.settings.completion_ratio == {"other-new": 5}
    assert 'name="unpriced"' not in browser.get("/channel/edit/1").text
    assert "brand-new" in browser.get("/price?show=set").text


def test_one_choice_for_all_and_the_ratio_of_before(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    answer = browser.send("/channel/add", **FORM)  # as htmx does
    assert answer.status_code == 200 and answer.headers["HX-Replace-Url"] == "/channel?edit=1" and 'id="unpriced"' in answer.text
    assert "list:refresh" in answer.headers["HX-Trigger"]
    form = FORM | {"key": "", "unpriced": ["brand-new", "other-new"], "unpriced-all": "30", "unpriced-choice-1": "free"}
    assert "HX-Location" in browser.send("/channel/edit/1", **form).headers
    assert state.settings.model_ratio == {"brand-new": 30, "other-new": 0}


def test_leaving_it_is_a_choice_too(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    browser.post("/channel/add", **FORM)
    answer = browser.post("/channel/edit/1", **FORM | {"key": "", "unpriced": ["brand-new", "other-new"]})
    assert answer.location == "/channel" and state.settings.model_ratio == {}


def test_an_administrator_sees_them_and_sets_no_price(browse: Any, admin: Any, state: Any) -> None:
    browser = browse(admin)
    assert browser.post("/channel/add", **FORM).location == "/channel/edit/1#unpriced"
    said = browser.get("/channel/edit/1").text
    assert "Only root sets prices" in said and "unpriced-choice-0" not in said
    form = FORM | {"key": "", "unpriced": ["brand-new", "other-new"], "unpriced-all": "free"}
    assert browser.post("/channel/edit/1", **form).location == "/channel" and state.settings.model_ratio == {}


@pytest.mark.parametrize("type", ["30", "8", "50"])
def test_a_self_hosted_channel_is_saved_at_once_and_says_that_it_is_free(type: str, browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    form = FORM | {"type": type, "models": "llama3", "base_url": "http://192.168.1.7:11434", "key": "sk-x"}
    assert browser.post("/channel/add", **form).location == "/channel"
    assert "self-hosted channel are free" in browser.get("/channel/edit/1").text
    said = browser.get("/price").text
    assert "free: self-hosted" in said and "served without a price" not in said


def test_the_flag_is_in_the_list_the_entry_the_receipt_and_the_export(
    browse: Any, root: Any, alice: Any, client: Any, channel: Any, vendor: FakeVendor, logged: Any
) -> None:
    channel(type=50, models="llama3")
    answer = client.post(PATH, headers=alice.headers, json=CHAT | {"model": "llama3"})
    assert answer.status_code == 200
    (row,) = logged()
    for person in (root, alice):
        browser = browse(person)
        assert "no price" in browser.get("/log").text
        assert "llama3 has no price: this request was free." in browser.get(f"/log?id={row.id}").text
        assert json.loads(browser.get(f"/log/{row.id}.json").text)["detail"]["unpriced"] is True
        (line,) = csv.DictReader(io.StringIO(browser.get("/log?format=csv&type=2").text))
        assert line["unpriced"] == "True" and line["quota"] == "0"
    assert "no price" in browse(alice).get(f"/playground/receipt/{row.request_id}").text
