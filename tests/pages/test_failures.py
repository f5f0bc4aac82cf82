"""Failed requests on the pages: in the list, its sums and bars, explained beside it, and in the overview's rates."""

import re
from typing import Any

import pytest
from fake_vendor import Say

from oneapi import wire
from oneapi.models.log import Kind, Log
from oneapi.pages import charts, explain

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


@pytest.fixture
def broken(client: Any, channel: Any, alice: Any, vendor: Any, setting: Any, failed: Any, logged: Any) -> Log:
    """One request that failed on two channels, after three that were served."""
    setting(RetryTimes=1)
    channel(name="first lane", priority=2), channel(name="second lane", priority=1)
    for _ in range(3):
        assert client.post(PATH, json=BODY, headers=alice.headers, buffered=True).status_code == 200
    vendor.says(Say(b'{"error": {"message": "boom <b>"}}', status=500), Say(b'{"error": {"message": "late"}}', status=503))
    assert client.post(PATH, json=BODY, headers=alice.headers).status_code == 503
    assert len(logged()) == 3
    return failed()[-1]


def strip(text: str) -> dict[str, str]:
    """Names and values of the totals above the list."""
    part = text.partition("stats-strip")[2].partition("</dl>")[0]
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", part)
    return {name: re.sub(r"<[^>]+>", "", value).strip() for name, value in found}


def test_the_list_shows_it_with_its_status(browse: Any, alice: Any, broken: Log) -> None:
    said = browse(alice).get("/log").text
    row = said.partition(f'id="log-{broken.id}"')[2].partition("</tr>")[0]
    assert "gpt-4o-mini" in row and ">503<" in row.replace(" </span>503", ">503") and "Failed with status" in row
    assert "failed" in said.partition(f'id="log-{broken.id}"')[2].partition(">")[0]


def test_the_filter_shows_failures_alone(browse: Any, alice: Any, broken: Log) -> None:
    browser = browse(alice)
    assert '<a href="/log?type=6"' in browser.get("/log").text
    said = browser.get("/log?type=6").text
    assert len(re.findall(r'<tr id="log-\d', said)) == 1 and f"log-{broken.id}" in said
    assert f"log-{broken.id}" not in browser.get("/log?type=2").text


@pytest.mark.parametrize(
    ("query", "requests", "errors"),
    [
        ("", "3", "1 25.00%"), ("range=1h", "3", "1 25.00%"), ("type=6", "0", "1"), ("type=2", "3", "0"), ("type=1", "0", "0"),
        ("token=alice%27s", "3", "1 25.00%"), ("token=alice%27s&type=6", "0", "1"), ("range=all", "3", "1 25.00%"),
        ("model=gpt-4o-mini", "3", "1 25.00%"), ("model=other", "0", "0"),
    ],
)  # fmt: skip
def test_the_totals_count_requests_and_errors(
    browse: Any, alice: Any, broken: Log, query: str, requests: str, errors: str
) -> None:
    found = strip(browse(alice).get(f"/log?{query}").text)
    assert (found["Requests"], found["Errors"]) == (requests, errors)


@pytest.mark.parametrize("query", ["", "range=1h", "token=alice%27s"])
def test_the_bars_have_a_part_for_errors_and_a_legend_in_words(browse: Any, alice: Any, broken: Log, query: str) -> None:
    drawn = browse(alice).get(f"/log?{query}").text.partition('class="histogram"')[2].partition("</div></div>")[0]
    assert '<rect class="bad"' in drawn
    assert re.search(r"h1.*?Requests.*?h-bad.*?Errors", drawn.partition('class="legend"')[2], re.DOTALL)


def test_errors_stand_at_the_foot_and_are_never_too_low_to_be_seen(app: Any) -> None:
    with app.test_request_context():
        chart = charts.histogram({0: 9999, 60: 5}, {0: 1}, [0, 60], 60, words=("requests", "errors"), pattern="%H")
        first, second = chart.bars
    assert first.below == 3 and round(first.y + first.height, 2) == 97 and first.y >= 0
    assert second.below == 0 and "errors" in second.tip


def test_it_is_explained_with_its_attempts_to_administrators(browse: Any, alice: Any, admin: Any, broken: Log) -> None:
    for who, told in ((admin, True), (alice, False)):
        said = browse(who).get(f"/log?id={broken.id}").text.partition('id="detail"')[2]
        assert broken.request_id in said and "late" in said and "vendor_overloaded" in said and PATH in said
        assert ("first lane" in said, "second lane" in said, "Attempts" in said) == (told, told, told)
        assert "Cost</h3>" not in said and "Timing" not in said


def test_how_an_attempt_failed_is_told_in_the_readers_language(browse: Any, admin: Any, broken: Log) -> None:
    browser = browse(admin)
    for language, told in (("en", "provider overloaded"), ("zh_CN", "供应商过载")):
        browser.post("/preferences", lang=language, next="/log")
        assert f'title="overloaded">{told}<' in browser.get(f"/log?id={broken.id}").text


def test_every_kind_of_failure_has_words() -> None:
    assert tuple(explain.kinds()) == wire.KINDS


def test_what_a_vendor_wrote_is_text(
    browse: Any, admin: Any, alice: Any, client: Any, channel: Any, vendor: Any, failed: Any
) -> None:
    channel()
    vendor.says(Say(b'{"error": {"message": "boom <b>"}}', status=400))
    client.post(PATH, json=BODY, headers=alice.headers)
    assert "boom &lt;b&gt;" in browse(admin).get(f"/log?id={failed()[-1].id}").text


def test_it_is_in_the_export_and_as_json(browse: Any, alice: Any, admin: Any, broken: Log) -> None:
    lines = browse(alice).get("/log?format=csv&type=6").text.strip().splitlines()
    assert len(lines) == 2 and "late" in lines[1] and ",6," in lines[1]
    assert len(browse(alice).get("/log?format=csv").text.strip().splitlines()) == 5
    assert "attempts" not in browse(alice).get(f"/log/{broken.id}.json").get_json()["detail"]
    assert len(browse(admin).get(f"/log/{broken.id}.json").get_json()["detail"]["attempts"]) == 2


def test_a_failure_without_a_model_has_a_row_too(browse: Any, alice: Any, client: Any, failed: Any) -> None:
    client.post(PATH, data=b"{", headers=alice.headers)
    id = failed()[-1].id
    said = browse(alice).get(f"/log?id={id}").text
    assert "no model" in said and "The body is not valid JSON" in said


def test_rows_of_this_type_without_detail_are_shown(browse: Any, alice: Any, state: Any) -> None:
    with state.databases.logs() as session:
        session.add(Log(user_id=alice.id, type=Kind.ERROR, created_at=int(state.clock()), content="old", model_name="m"))
    assert ">failed<" in browse(alice).get("/log").text.replace(" </span>failed", ">failed")


def test_ones_own_overview_has_the_success_rate(browse: Any, alice: Any, bob: Any, broken: Log) -> None:
    said = browse(alice).get("/dashboard").text
    assert "75.00% succeeded" in said and "Error rate" not in said
    assert "succeeded" not in browse(bob).get("/dashboard").text


def test_everyones_overview_has_the_error_rate_and_the_slowest(browse: Any, admin: Any, broken: Log, state: Any) -> None:
    said = browse(admin).get("/dashboard?scope=all").text
    figures = re.sub(r"<[^>]+>", "|", said.partition("Error rate")[2].partition("</section>")[0])
    assert figures.startswith("||25.00%|") and "1 of 4 failed" in figures
    assert "Latency p95" in figures and "newest requests: 3" in figures
    assert "succeeded" not in said


def test_a_model_that_only_failed_is_in_no_ranking(
    browse: Any, alice: Any, admin: Any, client: Any, channel: Any, failed: Any
) -> None:
    channel()
    client.post(PATH, json=BODY | {"model": "unknown"}, headers=alice.headers)
    assert len(failed()) == 1
    for path in ("/dashboard", "/dashboard?metric=requests"):
        said = browse(alice).get(path).text
        assert "0.00% succeeded" in said and "No requests yet" in said and "unnamed" not in said
    assert "100.00%" in browse(admin).get("/dashboard?scope=all").text
    lines = browse(alice).get("/dashboard?format=csv").text.splitlines()
    assert lines[0].endswith(",errors") and lines[1].endswith(",1")


def test_the_percentile_is_of_the_newest_requests_alone(browse: Any, admin: Any, state: Any) -> None:
    now = int(state.clock())
    with state.databases.logs() as session:
        session.add(Log(type=2, created_at=now - 86400 * 80, elapsed_time=10**6))
        session.flush()
        session.add_all(Log(type=2, created_at=now - 40, elapsed_time=ms) for ms in range(1, 101))
        session.add_all(Log(type=kind, created_at=now - 40, elapsed_time=10**6) for kind in (1, 5, 6))
    said = browse(admin).get("/dashboard?scope=all&range=7d").text.partition("Latency p95")[2]
    assert "96 ms" in said.partition("</section>")[0] and "newest requests: 100" in said
