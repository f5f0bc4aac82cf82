"""The lists of the pages on every kind of database: what they show, and that what they ask does not grow with what there is."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import servers
from flask import Flask
from sqlalchemy import event, insert

from oneapi.db import Databases
from oneapi.models import browse, deep, ledger, log_list, log_pages, usage, version
from oneapi.models.ledger import Entry, Lease
from oneapi.models.log import Log
from oneapi.models.log_list import LogFilter
from oneapi.models.rollup import Hour
from oneapi.models.user import User

ACCESS = "0123456789abcdef" * 2
NOW = 1_700_000_000
PAGES = (
    "/dashboard", "/dashboard?scope=all", "/dashboard?scope=all&range=90d&metric=tokens", "/token", "/token?q=a&sort=-last",
    "/topup", "/log", "/log?range=all&q=nothing", "/log?range=90d&user=alice&stream=1&min_quota=5&min_ms=5",
    "/log?type=1&range=1h", "/channel", "/channel?q=fake&status=1&type=1&group=default&tag=x&model=gpt-4o&sort=-used",
    "/channel?page=9", "/user", "/user?q=a&role=1&status=1&group=default&sort=-balance", "/user?page=9", "/redemption",
    "/redemption?q=a&status=1&sort=-amount", "/audit", "/audit?q=nothing&noun=user", "/group", "/price", "/pricing", "/job",
    "/system", "/setting/general", "/playground", "/palette?q=ali", "/user/edit",
)  # fmt: skip


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[Flask]:
    with servers.fresh(kind, tmp_path, "_lists") as dsn:
        environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SQL_DSN": dsn, "INITIAL_ROOT_ACCESS_TOKEN": ACCESS}
        environ |= dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")
        with servers.application(environ) as made:
            yield made


@pytest.fixture
def root(app: Flask, person: Callable[..., Any]) -> Any:
    """Root at a browser."""
    rootling, client = person("rootling", role=100), app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)[1]  # type: ignore[index]
    client.post("/login", data={"csrf_token": token, "username": "rootling", "password": rootling.password})
    return client


@contextmanager
def questions(databases: Databases) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    event.listen(databases.engine, "before_cursor_execute", note)
    yield asked
    event.remove(databases.engine, "before_cursor_execute", note)


def requests(state: Any, count: int, **values: Any) -> None:
    """Log rows, one a minute up to NOW, or up to `at`."""
    at = values.pop("at", NOW)
    rows = [
        {"user_id": 7, "created_at": at - 60 * (count - n), "type": 2, "username": "alice", "token_name": "key", "quota": n,
         "model_name": "gpt-4o", "channel_id": 3, "request_id": f"r{n}", "elapsed_time": 5} | values
        for n in range(count)
    ]  # fmt: skip
    with state.databases.logs() as session:
        session.execute(insert(Log), rows)


def entry(request: str, **values: Any) -> dict[str, Any]:
    """A ledger row of a request."""
    return {
        "request_id": request, "created_at": NOW, "kind": "consume", "user_id": 7, "amount": -1, "token_id": 0, "channel_id": 0,
        "written_off": 0, "actor_id": 0, "note": "",
    } | values  # fmt: skip


def test_every_page_opens(app: Flask, state: Any, root: Any, person: Any, channel: Any) -> None:
    person("alice"), channel(tag="x")
    with state.databases.transaction() as session:
        session.add(Lease(worker="w", kind="user", owner_id=2, serial=1, amount=500, spent=20, created_at=NOW))
        session.add(Hour(hour=int(state.clock()) // 3600 * 3600, user_id=2, token_id=1, channel_id=1, model_name="gpt-4o",
                         requests=3, quota=50, prompt_tokens=2, completion_tokens=3, elapsed_time=9))  # fmt: skip
    requests(state, 60)
    failed = [(path, answer.status_code) for path in PAGES if (answer := root.get(path)).status_code != 200]
    assert failed == []
    assert "alice" in root.get("/user").text


def test_a_list_of_people_counts_without_reading_them(app: Flask, state: Any, root: Any) -> None:
    """However many there are: the total comes from what was counted when somebody last changed, and one page is read."""
    with state.databases.transaction() as session:
        session.execute(insert(User), [{"username": f"u{n:04}", "password": "x", "aff_code": f"a{n}"} for n in range(300)])
        version.bump(session, "users")
    state.refresh()
    root.get("/user")
    with questions(state.databases) as asked:
        said = root.get("/user?page=3", headers={"HX-Request": "true", "HX-Target": "list"}).text
    assert "302" in said and "u0245" in said
    assert len([s for s in asked if "FROM users" in s]) == 2  # who asks, and the page
    assert not [s for s in asked if "count(" in s and "users" in s]
    assert len(asked) <= 3


def test_a_new_person_is_counted_at_once(app: Flask, root: Any, person: Any) -> None:
    before = root.get("/user").text
    person("newcomer")
    after = root.get("/user").text
    shown = lambda text: re.search(r"(\d+) user", text).group(1)  # type: ignore[union-attr]  # noqa: E731
    assert int(shown(after)) == int(shown(before)) + 1


def test_totals_and_pages_agree(state: Any, person: Any) -> None:
    for n in range(7):
        person(f"p{n}")
    with state.databases.transaction() as session:
        rows, total = browse.users(session, {"q": "p"}, "-name", viewer=100, offset=2, limit=3)
        assert ([u.username for u, _held in rows], total) == (["p4", "p3", "p2"], 7)
        assert browse.users(session, {"q": "p"}, "name", viewer=100, offset=50, limit=3) == ([], 7)
        assert browse.users(session, {"q": "p"}, "name", viewer=100, offset=0, limit=2, total=99)[1] == 99


def test_what_is_held_is_a_whole_number(state: Any, alice: Any) -> None:
    """PostgreSQL's sums of integers are decimals, and no page can divide those by what is configured."""
    with state.databases.transaction() as session:
        session.add(Lease(worker="w", kind="user", owner_id=alice.id, serial=1, amount=500, spent=20, created_at=NOW))
    with state.databases.transaction() as session:
        ((_row, held),) = browse.users(session, {"q": "alice"}, "id", viewer=100, offset=0, limit=5)[0]
        assert (type(held), held) == (int, 480)


def test_the_wallet_shows_movements_behind_thousands_of_requests(state: Any, alice: Any) -> None:
    with state.databases.transaction() as session:
        ledger.move(session, alice.id, 5, kind="topup", now=NOW)
        session.execute(insert(Entry), [entry(f"r{n}", user_id=alice.id) for n in range(3000)])
    with state.databases.transaction() as session:
        assert [m.kind for m in browse.movements(session, alice.id, limit=5)] == ["topup", "opening"]


def look(state: Any, wanted: LogFilter, *, before: int = 0, deep: int) -> tuple[list[int], log_list.Stretch]:
    with state.databases.logs() as session:
        among = log_list.stretch(session, wanted, before=before, deep=deep)
        return [row.quota for row in log_list.logs(session, wanted, among=among, limit=10)], among


def test_a_rare_filter_looks_at_so_many_entries_and_offers_to_go_on(state: Any) -> None:
    requests(state, 500)
    wanted, found, before, turns = LogFilter(since=NOW - 10**6, q="r7"), [], 0, 0
    while True:
        rows, among = look(state, wanted, before=before, deep=100)
        found, turns = found + rows, turns + 1
        if not among.more:
            break
        before = among.low + 1
    assert (found, turns) == ([7], 5)


def test_a_key_finds_its_own_entries_however_far_they_lie(state: Any) -> None:
    requests(state, 3, user_id=8, username="bob", channel_id=4, token_name="rare", model_name="o3")
    requests(state, 400)
    for wanted in (LogFilter(user_id=8), LogFilter(channel=4), LogFilter(token="rare"), LogFilter(model="o3")):
        assert look(state, wanted, deep=50)[0] == [2, 1, 0]


def test_a_span_of_the_past_is_found_at_once(state: Any) -> None:
    """Though entries between it and the present are many more than a page looks at."""
    requests(state, 2000)
    rows, _among = look(state, LogFilter(since=NOW - 60 * 1500, until=NOW - 60 * 1490), deep=200)
    assert rows == [509, 508, 507, 506, 505, 504, 503, 502, 501, 500]


def test_an_entry_that_was_written_late_is_in_its_span(state: Any) -> None:
    """As after the database was away for most of an hour: the entries of that time come after those of later minutes."""
    requests(state, 300, at=NOW - 60 * 100)
    with state.databases.logs() as session:
        session.add(Log(user_id=7, created_at=NOW - 60 * 150, type=2, model_name="gpt-4o", quota=999))
    requests(state, 100)
    for span in ((NOW - 60 * 151, NOW - 60 * 149), (NOW - 60 * 151, 0)):
        assert 999 in [row.quota for row in every(state, LogFilter(since=span[0], until=span[1]))]


def every(state: Any, wanted: LogFilter) -> list[Log]:
    with state.databases.logs() as session:
        return log_list.logs(session, wanted, among=log_list.stretch(session, wanted), limit=1000)


def test_a_request_is_found_by_its_id_at_any_depth(app: Flask, state: Any, root: Any) -> None:
    requests(state, 30)
    with state.databases.transaction() as session:
        session.execute(insert(Entry), [entry("r3", created_at=NOW - 60 * 27)])
    said = root.get("/log?q=r3", headers={"HX-Request": "true", "HX-Target": "list"}).text  # years outside the last 24 hours
    assert len(re.findall(r'<tr id="log-', said)) == 1


def test_the_ranking_of_people_names_those_who_spent_most(state: Any, alice: Any, bob: Any) -> None:
    hour = NOW // 3600 * 3600
    spent = {alice.id: (5, 7), bob.id: (100,), 999_999: (1,)}
    rows = [
        {"hour": hour, "user_id": id, "token_id": n, "channel_id": 1, "model_name": "gpt-4o", "requests": 1, "quota": quota,
         "prompt_tokens": 2, "completion_tokens": 3, "elapsed_time": 4}
        for id, quotas in spent.items() for n, quota in enumerate(quotas)
    ]  # fmt: skip
    with state.databases.transaction() as session:
        session.execute(insert(Hour), rows)
        found, active = usage.top_people(session, hour, hour + 3600, limit=2)
        assert [(name, s.key, s.requests, s.quota) for name, s in found] == [("bob", bob.id, 1, 100), ("alice", alice.id, 2, 12)]
        assert active == 3
        assert usage.top_people(session, hour, hour + 3600)[0][2][0] == "#999999"
        assert usage.top_people(session, hour - 7200, hour) == ([], 0)


def test_many_roll_ups_are_summed_once(app: Flask, state: Any, root: Any) -> None:
    hour = int(state.clock()) // 3600 * 3600 - 7200
    ones = dict.fromkeys(("requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time"), 1)
    rows = [
        {"hour": hour - n % 24 * 3600, "user_id": n, "token_id": n, "channel_id": 1, "model_name": "gpt-4o"} | ones
        for n in range(50_001)
    ]
    with state.databases.transaction() as session:
        assert not usage.many(session)
        session.execute(insert(Hour), rows)
    with questions(state.databases) as first:
        said = root.get("/dashboard?scope=all").text
    with questions(state.databases) as second:
        assert root.get("/dashboard?scope=all").text.count("50,001") == said.count("50,001") > 0
    summed = lambda asked: [s for s in asked if "sum(usage_hours" in s]  # noqa: E731
    assert len(summed(first)) == 3 and not summed(second)


@pytest.fixture
def people(state: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Balances that are often the same, in no order; how many people there are."""
    monkeypatch.setattr(deep, "FAR", 50)
    monkeypatch.setattr(deep, "SAMPLE", 60)
    chance = random.Random(7)
    rows = [
        {"username": f"u{n:04}", "password": "x", "aff_code": f"a{n}", "quota": chance.randrange(40), "used_quota": n // 3,
         "request_count": 0, "group": chance.choice(("default", "vip"))}
        for n in range(600)
    ]  # fmt: skip
    with state.databases.transaction() as session:
        session.execute(insert(User), rows)
        return len(browse.user_ids(session, {}, 100))


@pytest.mark.parametrize("args", [{}, {"group": "vip"}])
@pytest.mark.parametrize("sort", ["-balance", "balance", "-used", "used", "-requests", "requests"])
def test_no_page_is_another_one_and_nobody_is_left_out(sort: str, args: dict[str, str], state: Any, people: int) -> None:
    with state.databases.transaction() as session:
        total = len(browse.user_ids(session, args, 100))
        plain = [row.id for row, _held in browse.users(session, args, sort, viewer=100, offset=0, limit=total)[0]]
        found = [
            row.id
            for offset in range(0, total, 25)
            for row, _held in browse.users(session, args, sort, viewer=100, offset=offset, limit=25, total=total)[0]
        ]
    assert found == plain and len(set(found)) == total


def test_what_comes_before_is_counted_and_not_sorted(state: Any, people: int) -> None:
    with state.databases.transaction() as session, questions(state.databases) as asked:
        browse.users(session, {}, "-balance", viewer=100, offset=500, limit=25, total=people)
    assert any("count(*)" in statement and "users.quota >" in statement for statement in asked)
    assert "users.quota <=" in asked[-1]


def test_a_total_that_is_out_of_date_leads_to_the_plain_way(state: Any, people: int) -> None:
    with state.databases.transaction() as session:
        assert browse.users(session, {}, "-balance", viewer=100, offset=590, limit=25, total=100)[0]
        assert browse.users(session, {}, "-balance", viewer=100, offset=10_000, limit=25, total=20_000)[0] == []


def test_a_sum_that_would_take_long_is_given_in_parts_that_add_up(state: Any) -> None:
    requests(state, 2500)
    with state.databases.logs() as session:
        whole, parts, before = sum(range(2500)), [], 0
        while True:
            quota, before = log_list.consumed(session, LogFilter(type=2), before=before, seconds=0, size=1000)
            parts.append(quota)
            if not before:
                break
            assert log_list.moment(session, before)
        assert (sum(parts), len(parts)) == (whole, 3)
        assert log_list.consumed(session, LogFilter(type=2), seconds=60) == (whole, 0)


def test_a_search_goes_on_where_it_stopped(state: Any) -> None:
    requests(state, 2500)
    wanted, ends = LogFilter(q="r7"), []
    with state.databases.logs() as session:
        before = 0
        for piece in log_list.pieces(session, wanted, seconds=60):  # all of them: twice as many entries, and twice as many
            assert piece.high == before
            before = piece.low + 1
            ends.append(piece.more)
        assert ends[-1] is False and len(ends) <= 3
        assert len(list(log_list.pieces(session, wanted, seconds=0))) == 1
        rows, among = log_list.search(session, wanted, before=0)
        assert [row.quota for row in rows] == [7] or among.more


def test_numbered_pages_of_a_filter_add_up_to_the_list(state: Any) -> None:
    requests(state, 2500)
    wanted, seen = LogFilter(type=2), list[int]()
    with state.databases.logs() as session:
        for number in range(26):
            found = log_pages.page(session, wanted, offset=number * 100, limit=100, seconds=60)
            assert (found.total, found.before) == (2500, 0)
            seen += [row.quota for row in found.rows]
        assert seen == list(reversed(range(2500)))
        assert log_pages.page(session, LogFilter(), limit=3, seconds=60).total >= 2500


def test_a_filter_without_a_match_says_how_far_it_looked_and_goes_on(state: Any) -> None:
    requests(state, 2500)
    with state.databases.logs() as session:
        for wanted in (LogFilter(type=4), LogFilter(username="nobody"), LogFilter(type=5, since=1)):
            before, parts = 0, 0
            while True:
                found = log_pages.page(session, wanted, before=before, seconds=0)
                assert (found.rows, found.total) == ([], 0)
                parts += 1
                if not found.before:
                    break
                assert log_list.moment(session, found.looked) and (not before or found.before < before)
                before = found.before
            assert parts == 3, wanted


def test_a_whole_page_goes_on_after_its_last_entry(state: Any) -> None:
    requests(state, 2500)
    with state.databases.logs() as session:
        first = log_pages.page(session, LogFilter(type=2), limit=10, seconds=0)
        assert [row.quota for row in first.rows] == list(range(2499, 2489, -1)) and 10 <= first.total < 2500
        second = log_pages.page(session, LogFilter(type=2), limit=10, before=first.before, seconds=0)
        assert [row.quota for row in second.rows] == list(range(2489, 2479, -1))


def test_a_search_by_keyword_goes_on_too(state: Any) -> None:
    requests(state, 2500)
    with state.databases.logs() as session:
        found, parts = log_pages.search(session, "no entry begins so", seconds=0), 1
        while found.before:
            assert found.rows == []
            found, parts = log_pages.search(session, "no entry begins so", before=found.before, seconds=0), parts + 1
        assert parts == 3
        assert [row.quota for row in log_pages.search(session, "2", limit=2, seconds=0).rows] == [2499, 2498]
        assert log_pages.search(session, "2", user_id=987, seconds=60).rows == []
