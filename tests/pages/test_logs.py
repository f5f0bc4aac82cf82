"""Logs by their page: whose they are, filters, keyset paging, the story of one request, export."""

import html
import re
from typing import Any

import pytest
from asks import until
from gevent.event import Event
from sqlalchemy import insert

from oneapi import jobs
from oneapi.models import log, usage
from oneapi.pages import explain, recent

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def served_once(client: Any, channel: Any, alice: Any, logged: Any) -> Any:
    channel(name="the lane")
    assert client.post("/v1/chat/completions", json=BODY, headers=alice.headers, buffered=True).status_code == 200
    return logged()[-1]


def test_a_request_is_explained_to_its_owner(browse: Any, alice: Any, served_once: Any) -> None:
    said = browse(alice).get(f"/log?id={served_once.id}").text
    assert served_once.request_id in said and "Charged" in said and "Input" in said


def test_channels_are_told_to_administrators_only(browse: Any, alice: Any, admin: Any, served_once: Any) -> None:
    assert "the lane" not in browse(alice).get(f"/log?id={served_once.id}").text
    assert "attempts" not in browse(alice).get(f"/log/{served_once.id}.json").get_json()["detail"]
    assert "the lane" in browse(admin).get(f"/log?id={served_once.id}").text


def test_other_peoples_entries_are_not_there(browse: Any, bob: Any, served_once: Any) -> None:
    browser = browse(bob)
    assert browser.get(f"/log?id={served_once.id}").status_code == browser.get(f"/log/{served_once.id}.json").status_code == 404
    assert served_once.request_id not in browser.get("/log?range=all").text
    assert served_once.request_id not in browser.get("/log?range=all&format=csv").text
    assert 'id="log-' not in browser.get(f"/log?range=all&user_id={served_once.user_id}&user=alice").text


def test_filters_narrow_the_list(browse: Any, alice: Any, served_once: Any) -> None:
    browser = browse(alice)
    assert f"log-{served_once.id}" in browser.get("/log?model=gpt-4o-mini").text
    assert f"log-{served_once.id}" not in browser.get("/log?model=other").text
    assert f"log-{served_once.id}" in browser.get(f"/log?q={served_once.request_id}").text
    assert browser.get("/log?range=custom&from=1&to=&min_ms=x").status_code == 200
    refused = browser.get("/log?range=custom&from=1&to=nonsense")
    assert refused.status_code == 422 and "nonsense is not a date and a time." in refused.text


def test_older_rows_come_by_key(browse: Any, alice: Any, served_once: Any) -> None:
    said = browse(alice).ask(f"/log?before={served_once.id}", "older").text
    assert "<html" not in said and f"log-{served_once.id}" not in said


def test_new_rows_come_live(browse: Any, alice: Any, served_once: Any) -> None:
    said = browse(alice).ask(f"/log/live?after={served_once.id - 1}", "fresh").text
    assert f"log-{served_once.id}" in said and f"after={served_once.id}" in said


def test_the_export_is_what_the_filters_show(browse: Any, alice: Any, served_once: Any) -> None:
    lines = browse(alice).get("/log?format=csv").text.strip().splitlines()
    assert len(lines) == 2 and served_once.request_id in lines[1]
    assert lines[0].endswith(",cached_tokens,cache_write_tokens,cache_write_1h_tokens,service_tier,tool_calls,unpriced")
    assert lines[1].endswith(",0,0,0,,,False")


def test_the_overview_counts_from_the_roll_ups(browse: Any, alice: Any, bob: Any, served_once: Any) -> None:
    assert "gpt-4o-mini" in browse(alice).get("/dashboard").text
    assert "gpt-4o-mini</a>" not in browse(bob).get("/dashboard").text
    assert "gpt-4o-mini" in browse(alice).get("/dashboard?format=csv").text


def test_root_purges_before_a_moment(browse: Any, root: Any, alice: Any, served_once: Any) -> None:
    assert browse(alice).post("/log/purge", before="2999-01-01T00:00").status_code == 403
    assert "job" in browse(root).post("/log/purge", before="2999-01-01T00:00").location
    assert jobs.wait()
    assert "1 entry to delete · 1 entry deleted" in browse(root).get("/job").text
    assert f"log-{served_once.id}" not in browse(alice).get("/log?range=all").text


def test_filters_that_no_roll_up_knows_are_summed_too(browse: Any, alice: Any, served_once: Any) -> None:
    strip = browse(alice).get(f"/log?q={served_once.request_id}&range=all").text.partition("stats-strip")[2]
    assert "<dd>1</dd>" in strip.replace(" ", "") and "First token p50" in strip


def test_columns_that_the_reader_hid_stay_hidden(client: Any, alice: Any, served_once: Any) -> None:
    client.set_cookie("log_columns", "cached.user")
    said = client.get("/log", headers={"Authorization": alice.token}).get_data(as_text=True)
    assert 'data-hide="cached"' in said  # the user's column is for administrators


def test_an_entry_leads_to_its_neighbours_model_and_key(browse: Any, alice: Any, served_once: Any) -> None:
    said = browse(alice).get(f"/log?id={served_once.id}").text
    assert f"model={served_once.model_name}" in said and "token=" in said and "/v1/chat/completions" in said


@pytest.mark.parametrize(
    ("stored", "english", "chinese"),
    [
        ("通过兑换码充值 ＄20.000000 额度", "Redeemed a code for $20.00", "通过兑换码充值 $20.00"),
        ("新用户注册赠送 100 点额度", "Gift to a new user: 100", "新用户赠送 100"),
        ("管理员将用户额度从 ＄1.000000 额度修改为 ＄2.500000 额度",
         "An administrator changed the balance from $1.00 to $2.50", "管理员将余额从 $1.00 修改为 $2.50"),
        ("渠道 main 测试失败，错误：401", "Channel main failed its test: 401", "渠道 main 测试失败：401"),
        ("by root", "by root", "由 root 操作"),
        ("invoice 7", "invoice 7", "invoice 7"),
    ],
)  # fmt: skip
def test_stored_acts_are_told_in_the_readers_language(app: Any, stored: str, english: str, chinese: str) -> None:
    for lang, said in (("en", english), ("zh_CN", chinese)):
        with app.test_request_context(headers={"Cookie": f"lang={lang}"}):
            assert explain.said(stored) == said


def test_a_filter_that_finds_nothing_says_how_far_it_looked_and_goes_on(browse: Any, state: Any, admin: Any) -> None:
    with state.databases.logs() as session:
        session.execute(insert(log.Log), [{"created_at": at, "type": 2, "request_id": f"r{at}"} for at in range(1, 21_001)])
    browser, where, turns = browse(admin), "/log?range=all&q=nothing", 0
    while where:
        said = browser.get(where).text
        found = re.search(r'id="older".*?hx-get="([^"]+)".*?>([^<]+)</a>', said)
        assert found is None or found[2].startswith("Searched back to")
        where, turns = html.unescape(found[1]) if found else "", turns + 1
    assert turns >= 2


def test_live_rows_of_a_filter_that_finds_nothing_do_not_search_all_entries(browse: Any, alice: Any, served_once: Any) -> None:
    said = browse(alice).ask("/log/live?after=0&model=other", "fresh").text
    assert f"after={served_once.id}&" in said


def test_sums_that_take_long_come_later(browse: Any, admin: Any, served_once: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large site: the first look at a long range shows the entries at once, and adds up beside the request."""
    browser, ready, series = browse(admin), Event(), usage.series
    browser.get("/log")
    recent._many.clear()  # as after a start
    monkeypatch.setattr(usage, "many", lambda session: True)
    monkeypatch.setattr(usage, "series", lambda *what, **more: ready.wait(20) and series(*what, **more))
    said = browser.get("/log?range=90d").text
    assert "Being added up" in said and f"log-{served_once.id}" in said and 'aria-busy="true"' in said
    ready.set()
    assert until(lambda: "Being added up" not in browser.get("/log?range=90d").text)
    assert "<dt>Spend</dt><dd>$" in browser.get("/log?range=90d").text
