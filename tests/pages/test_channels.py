"""Channels by their pages: the form follows the type, secrets stay, inline edits, bulk acts, undo, tests."""

import json
from typing import Any

import pytest

from oneapi import vendors
from oneapi.models.channel import Channel

FORM = {
    "type": "1",
    "name": "one",
    "group": "default",
    "models": "gpt-4o\ngpt-4o-mini",
    "key": "sk-one",
    "priority": "0",
    "weight": "1",
}


def row(state: Any, id: int) -> Channel | None:
    with state.databases.transaction() as session:
        return session.get(Channel, id)


def test_a_channel_is_added_by_a_plain_form(browse: Any, admin: Any, state: Any) -> None:
    assert browse(admin).post("/channel/add", **FORM).status_code == 303
    made = row(state, 1)
    assert made is not None and made.name == "one" and made.model_names() == ["gpt-4o", "gpt-4o-mini"]


def test_several_lines_make_several_channels_when_asked(browse: Any, admin: Any, state: Any) -> None:
    browse(admin).post("/channel/add", **FORM | {"key": "sk-a\nsk-b", "batch": "true"})
    assert row(state, 2) is not None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Give a name"),
        ("models", "", "at least one model"),
        ("group", "", "at least one group"),
        ("model_mapping", '{"a": "b",}', "Line 1, column 11: remove the comma"),
        ("model_mapping", "[1]", "Give a JSON object"),
        ("base_url", "ftp://x", "http"),
        ("priority", "high", "whole number"),
        ("key", "", "at least one key"),
    ],
)
def test_a_complaint_stands_at_its_field(field: str, value: str, said: str, browse: Any, admin: Any) -> None:
    answer = browse(admin).send("/channel/add", **FORM | {field: value})
    assert answer.status_code == 422 and said in answer.text
    assert f'id="f-{field}-said"' in answer.text


def test_the_form_asks_what_each_type_needs(browse: Any, admin: Any) -> None:
    browser = browse(admin)
    for vendor in vendors.REGISTRY.values():
        said = browser.get(f"/channel/add?type={vendor.id}").text
        asked = {field.stored_as for field in vendor.fields} | set(vendor.key_parts)
        assert [name for name in asked if f'name="config-{name}"' not in said] == [], vendor.name


def test_changing_the_type_keeps_what_was_typed(browse: Any, admin: Any) -> None:
    said = browse(admin).send("/channel/fields", **FORM | {"type": "33", "name": "typed"}).text
    assert 'value="typed"' in said and 'name="config-region"' in said and "gpt-4o-mini" in said


def test_a_key_never_comes_back_and_stays_when_left_empty(browse: Any, admin: Any, channel: Any, state: Any, vendor: Any) -> None:
    id = channel(key="sk-very-secret-key", config=json.dumps({"region": "eu", "other": 1}))
    browser = browse(admin)
    assert "very-secret" not in browser.get(f"/channel/edit/{id}").text + browser.get("/channel").text
    assert browser.post(f"/channel/edit/{id}", **FORM | {"key": "", "base_url": vendor.url}).status_code == 303
    kept = row(state, id)
    assert kept is not None and kept.key == "sk-very-secret-key" and kept.settings()["other"] == 1


def test_numbers_are_changed_in_the_row(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    id, browser = channel(), browse(admin)
    answer = browser.send(f"/channel/{id}/number", priority="7")
    assert answer.text.lstrip().startswith("<tr") and row(state, id).priority == 7  # type: ignore[union-attr]
    assert browser.send(f"/channel/{id}/number", priority="7").status_code == 204
    assert json.loads(browser.send(f"/channel/{id}/number", weight="-1").headers["HX-Trigger"])["toast"]["kind"] == "bad"


def test_a_test_answers_with_the_row_and_is_remembered(browse: Any, admin: Any, channel: Any, state: Any, vendor: Any) -> None:
    id = channel()
    answer = browse(admin).send(f"/channel/{id}/test")
    assert "answered in" in json.loads(answer.headers["HX-Trigger"])["toast"]["text"]
    vendor.says({"error": {"message": "no"}}, status=401)
    answer = browse(admin).send(f"/channel/{id}/test")
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["kind"] == "bad" and row(state, id).tests == "10"  # type: ignore[union-attr]


def test_bulk_acts_change_the_ticked_or_all_that_match(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    one, two, other = channel(tag="a"), channel(tag="a"), channel(tag="b")
    browser = browse(admin)
    browser.post("/channel/bulk", action="disable", ids=[str(one)])
    assert [row(state, id).status for id in (one, two, other)] == [2, 1, 1]  # type: ignore[union-attr]
    browser.post("/channel/bulk", action="priority", value="9", all="1", tag="a")
    assert [row(state, id).priority for id in (one, two, other)] == [9, 9, 0]  # type: ignore[union-attr]


def test_a_deleted_channel_comes_back_with_undo(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    id, browser = channel(), browse(admin)
    browser.send(f"/channel/{id}/delete")
    assert row(state, id) is None and id not in state.snapshot.lanes
    browser.post(json.loads(browser.ask("/channel", "main").headers["HX-Trigger"])["toast"]["undo"])
    assert row(state, id) is not None and id in state.snapshot.lanes


def test_a_missing_channel_is_404(browse: Any, admin: Any) -> None:
    browser = browse(admin)
    assert browser.get("/channel/edit/99").status_code == browser.post("/channel/99/delete").status_code == 404


def test_the_list_is_found_by_what_it_serves(browse: Any, admin: Any, channel: Any) -> None:
    channel(name="first", models="gpt-4o"), channel(name="second", models="claude-3")
    said = browse(admin).get("/channel?model=claude-3").text
    assert "second" in said and "first</a>" not in said


def test_exports_hold_no_keys_and_no_formulas(browse: Any, admin: Any, channel: Any) -> None:
    channel(name="=1+1", key="sk-very-secret")
    said = browse(admin).get("/channel?format=csv").text
    assert "'=1+1" in said and "very-secret" not in said


def test_models_of_a_channel_are_tested_one_by_one(browse: Any, admin: Any, channel: Any) -> None:
    id = channel()
    said = browse(admin).send(f"/channel/{id}/tests", model="gpt-4o").text
    assert said.lstrip().startswith("<li") and 'data-ok="1"' in said


def test_a_run_that_is_over_before_its_page_still_tells_how_it_went(browse: Any, admin: Any, channel: Any) -> None:
    from oneapi import jobs

    channel()
    page = browse(admin)
    page.post("/channel/test", scope="all")
    assert jobs.wait(20)
    assert "done, 1 good, 0 failed" in page.get("/channel").text
    assert "done, 1 good, 0 failed" not in page.get("/channel").text  # told once
