"""The form of a channel: notes and names of its type, fields looked at when left, copies, saving with a test, models tested."""

import json
import re
from typing import Any

import pytest

from oneapi.models.channel import Channel, Status

FORM = {"type": "1", "name": "one", "group": "default", "models": "gpt-4o", "key": "sk-one", "priority": "0", "weight": "1"}


def row(state: Any, id: int) -> Channel | None:
    with state.databases.transaction() as session:
        return session.get(Channel, id)


def test_types_stand_under_the_readers_names_and_are_found_by_both(browse: Any, admin: Any) -> None:
    reader = browse(admin)
    reader.client.set_cookie("lang", "zh_CN")
    said = reader.get("/channel/add?type=49").text
    assert re.search(r'<option value="49" data-also="[^"]*Bailian[^"]*" selected>阿里云百炼</option>', said)


def test_a_type_says_what_one_should_know(browse: Any, admin: Any) -> None:
    assert "deployment must be the name of the model" in browse(admin).get("/channel/add?type=3").text


@pytest.mark.parametrize(
    ("field", "bad", "said", "good"),
    [
        ("name", "", "1 to 50", "two"),
        ("base_url", "example.com", "http://", "https://example.com/v1"),
        ("model_mapping", "{'a': 1}", "double quotes", '{"a": "b"}'),
        ("parameters", "[]", "JSON object", ""),
    ],
)
def test_a_field_is_looked_at_when_it_is_left(field: str, bad: str, said: str, good: str, browse: Any, admin: Any) -> None:
    browser = browse(admin)
    answer = browser.send(f"/channel/check/{field}", **FORM | {field: bad})
    assert said in answer.text and 'aria-invalid="true"' in answer.text and answer.text.strip().startswith('<div class="field">')
    assert "aria-invalid" not in browser.send(f"/channel/check/{field}", **FORM | {field: good}).text
    assert browser.send("/channel/check/key", **FORM).status_code == 404


def test_a_copy_begins_switched_off_and_without_the_key(browse: Any, admin: Any, channel: Any, state: Any, vendor: Any) -> None:
    id = channel(name="first", key="sk-very-secret-key", priority=7)
    browser = browse(admin)
    said = browser.get(f"/channel/add?like={id}").text
    assert 'value="first copy"' in said and "very-secret" not in said
    form = FORM | {"like": str(id), "name": "first copy", "key": "", "base_url": vendor.url}
    assert browser.send("/channel/add", **form).status_code == 422  # it has no key of its own
    browser.post("/channel/add", **form | {"key": "sk-own"})
    browser.post("/channel/add", **form | {"same_key": "true"})
    own, same = row(state, id + 1), row(state, id + 2)
    assert own is not None and own.key == "sk-own" and own.status == Status.DISABLED
    assert same is not None and same.key == "sk-very-secret-key" and same.status == Status.DISABLED


def test_a_copy_takes_separate_credentials_along_where_asked(browse: Any, root: Any, channel: Any, state: Any) -> None:
    id = channel(type=33, key="", config=json.dumps({"ak": "a", "sk": "secret", "region": "eu"}))
    form = FORM | {"type": "33", "like": str(id), "key": "", "config-region": "us", "same_key": "true"}
    browse(root).post("/channel/add", **form)
    made = row(state, id + 1)
    assert made is not None and (made.settings()["sk"], made.settings()["region"]) == ("secret", "us")


@pytest.mark.parametrize("path", ["/channel/models", "/channel/add", "/channel/edit/{id}"])
@pytest.mark.parametrize("where", ["base_url", "proxy", "type"])
def test_an_administrator_cannot_send_a_stored_key_elsewhere(
    path: str, where: str, browse: Any, admin: Any, channel: Any, state: Any, vendor: Any
) -> None:
    from fake_vendor import FakeVendor

    id, thief = channel(key="sk-very-secret-key"), FakeVendor()
    there = {"base_url": {"base_url": thief.url}, "proxy": {"proxy": thief.url}, "type": {"type": "50"}}[where]
    form = FORM | {"like": str(id), "same_key": "true", "key": "", "base_url": vendor.url} | there
    answer = browse(admin).send(path.format(id=id), **form)
    assert answer.status_code in (200, 422) and "enter the key again" in answer.text
    kept = row(state, id)
    assert kept is not None and (kept.base_url, kept.type, kept.settings()) == (vendor.url, 1, {}) and row(state, id + 1) is None
    assert thief.asked == [] and vendor.asked == []
    thief.close()


def test_a_key_typed_again_goes_to_a_new_address(browse: Any, admin: Any, channel: Any, state: Any, vendor: Any) -> None:
    id = channel(base_url="https://old.example")
    assert browse(admin).post(f"/channel/edit/{id}", **FORM | {"base_url": vendor.url}).status_code == 303
    assert row(state, id).base_url == vendor.url  # type: ignore[union-attr]


def test_several_new_channels_are_numbered(browse: Any, admin: Any, state: Any) -> None:
    browse(admin).post("/channel/add", **FORM | {"key": "sk-a\nsk-b", "batch": "true"})
    assert [row(state, id).name for id in (1, 2)] == ["one-1", "one-2"]  # type: ignore[union-attr]


def test_save_and_test_says_at_the_foot_how_it_went(browse: Any, admin: Any, channel: Any, vendor: Any) -> None:
    id, browser = channel(), browse(admin)
    answer = browser.send(f"/channel/edit/{id}", **FORM | {"base_url": vendor.url, "key": "", "then": "test"})
    assert answer.status_code == 200 and answer.headers["HX-Replace-Url"] == f"/channel?edit={id}"
    assert "gpt-4o answered in" in answer.text and "list:refresh" in answer.headers["HX-Trigger"]
    vendor.says({"error": {"message": "no such key"}}, status=401)
    answer = browser.send(f"/channel/edit/{id}", **FORM | {"base_url": vendor.url, "key": "", "then": "test"})
    assert "gpt-4o failed: no such key" in answer.text


def test_what_the_vendor_lists_is_offered_and_not_taken_over(browse: Any, admin: Any, channel: Any, vendor: Any) -> None:
    id = channel()
    vendor.says({"data": [{"id": "gpt-4o"}, {"id": "brand-new"}]})
    said = browse(admin).send(f"/channel/{id}/models", **FORM).text
    assert "lists 2 models" in said and 'data-value="brand-new"' in said
    assert re.search(r'name="models"[^>]*>\s*gpt-4o\s*</textarea>', said)


def test_a_channel_that_is_not_saved_lists_what_its_key_may_use(browse: Any, admin: Any, vendor: Any, state: Any) -> None:
    vendor.says({"data": [{"id": "brand-new"}]})
    browser = browse(admin)
    said = browser.send("/channel/models", **FORM | {"base_url": vendor.url, "key": "sk-typed"}).text
    assert "lists 1 model" in said and 'data-value="brand-new"' in said and row(state, 1) is None
    assert vendor.asked[-1].headers["authorization"] == "Bearer sk-typed"
    vendor.says({"error": {"message": "wrong key"}}, status=401)
    said = browser.send("/channel/models", **FORM | {"base_url": vendor.url}).text
    assert "did not list its models" in said and "wrong key" in said


def test_models_without_a_price_say_so_and_failed_ones_can_go(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    id, browser = channel(models="gpt-4o,never-heard-of"), browse(admin)
    said = browser.get(f"/channel/{id}/tests").text
    assert said.count("no price") == 1
    answer = browser.send(f"/channel/{id}/tests/remove", models=["never-heard-of"])
    assert "never-heard-of" not in answer.text and row(state, id).models == "gpt-4o"  # type: ignore[union-attr]
    answer = browser.send(f"/channel/{id}/tests/remove", models=["gpt-4o"])
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["kind"] == "bad" and row(state, id).models == "gpt-4o"  # type: ignore[union-attr]


def test_the_kind_of_a_test_is_chosen(browse: Any, admin: Any, channel: Any, vendor: Any) -> None:
    id = channel()
    vendor.says({"data": [{"embedding": [0.1], "index": 0}], "usage": {"prompt_tokens": 1}, "model": "gpt-4o"})
    browse(admin).send(f"/channel/{id}/tests", model="gpt-4o", kind="embeddings")
    assert vendor.asked[-1].path.endswith("/embeddings")
    assert '<option value="speech">' in browse(admin).get(f"/channel/{id}/tests").text
    said = browse(admin).get(f"/channel/{channel(type=14)}/tests").text
    assert '<option value="chat">' in said and '<option value="speech">' not in said  # only what the vendor offers


def test_switching_a_channel_offers_to_take_it_back(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    id, browser = channel(), browse(admin)
    toast = json.loads(browser.send(f"/channel/{id}/status").headers["HX-Trigger"])["toast"]
    assert row(state, id).status == Status.DISABLED and toast["target"] == f"#channel-{id}"  # type: ignore[union-attr]
    assert browser.send(toast["undo"]).text.lstrip().startswith("<tr")
    assert row(state, id).status == Status.ENABLED  # type: ignore[union-attr]


def test_one_of_several_columns_is_changed_for_all_ticked(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    one, two = channel(), channel()
    browse(admin).post("/channel/bulk", action="change", what="groups", value="vip, lab", ids=[str(one), str(two)])
    assert [row(state, id).group for id in (one, two)] == ["vip,lab"] * 2  # type: ignore[union-attr]


def test_columns_that_a_browser_does_not_want_are_hidden(browse: Any, admin: Any, channel: Any) -> None:
    channel()
    reader = browse(admin)
    reader.client.set_cookie("channel_columns", "weight.nonsense")
    assert 'data-hide="weight"' in reader.get("/channel").text
